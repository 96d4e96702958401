"""The tables of models, backbones and losses: names, how to build them, and the facts that go with them.

They are filled by the files in `backbones` and `models`, by `losses`, and by plugins; `zoo` and `losses` look names up
and build.
"""

import inspect
from typing import Any, Callable, Iterable, NamedTuple, Optional, Sequence, Tuple, TypeVar

from .errors import MXNetSegError
from .names import near
from .plugins import Table, caller, named

__all__ = [
    "BACKBONES",
    "LOSSES",
    "MODELS",
    "BackboneEntry",
    "LossEntry",
    "ModelEntry",
    "check_options",
    "options_of",
    "register_backbone",
    "register_loss",
    "register_model",
]

Build = TypeVar("Build", bound=Callable[..., Any])


class BackboneEntry(NamedTuple):
    """What `register_backbone` was told; `options` are the names of the builder's own keyword arguments."""

    name: str
    build: Callable[..., Any]
    options: Tuple[str, ...]
    store_name: Optional[str]
    num_classes: int
    output_strides: Tuple[int, ...]


class ModelEntry(NamedTuple):
    """What `register_model` was told; `options` are the names of the builder's own keyword arguments."""

    name: str
    build: Callable[..., Any]
    options: Tuple[str, ...]
    backbone: str
    output_stride: int
    paper: str
    aux: bool
    backbones: Tuple[str, ...]


class LossEntry(NamedTuple):
    """What `register_loss` was told; `options` are the names of the builder's own keyword arguments.

    Builders of our own losses read the keys of a `LossTerm` instead, and have none.
    """

    name: str
    build: Callable[..., Any]
    options: Tuple[str, ...]
    reads_term: bool = False


BACKBONES: Table[BackboneEntry] = Table("backbone", "mxnetseg.backbones")
MODELS: Table[ModelEntry] = Table("model", "mxnetseg.models")
LOSSES: Table[LossEntry] = Table("loss", "mxnetseg.losses")


@named
def register_backbone(
    name: str,
    *,
    store_name: Optional[str] = None,
    num_classes: int = 19,
    output_strides: Tuple[int, ...] = (8, 16, 32),
) -> Callable[[Build], Build]:
    """Register `build(**options) -> Backbone`, or `build(output_stride, **options)` where there are several strides.

    `store_name` is the classifier's name in GluonCV's store of ImageNet weights, `num_classes` that of the
    data set which its segmentation models were published for, `output_strides` those that can be built.

    Raises
    ------
    TypeError
        The builder takes other arguments than these, or an option without a name or a default.
    PluginError
        Another module has registered this name.
    """
    module = caller(3)

    def add(build: Build) -> Build:
        options = options_of(name, build, ("output_stride",) if len(output_strides) > 1 else ())
        entry = BackboneEntry(name, build, options, store_name, num_classes, output_strides)
        BACKBONES.add(name, entry, module)
        return build

    return add


@named
def register_model(
    name: str,
    *,
    backbone: str,
    output_stride: int,
    paper: str,
    aux: bool = False,
    backbones: Tuple[str, ...] = (),
) -> Callable[[Build], Build]:
    """Register `build(backbone, num_classes, aux, **options) -> Segmentor` with its defaults.

    `backbones` are the only ones it can be built on; all when empty.

    Raises
    ------
    TypeError
        The builder takes other arguments than these, or an option without a name or a default.
    PluginError
        Another module has registered this name.
    """
    module = caller(3)

    def add(build: Build) -> Build:
        options = options_of(name, build, ("backbone", "num_classes", "aux"))
        MODELS.add(name, ModelEntry(name, build, options, backbone, output_stride, paper, aux, backbones), module)
        return build

    return add


@named
def register_loss(name: str) -> Callable[[Build], Build]:
    """Register `build(num_classes, class_weights, **options) -> losses.Criterion` with its defaults.

    `class_weights` are what a recipe says, a list or None; `options` are `loss.options` of a recipe.

    Raises
    ------
    TypeError
        The builder takes other arguments than these, or an option without a name or a default.
    PluginError
        Another module has registered this name.
    """
    module = caller(3)

    def add(build: Build) -> Build:
        options = options_of(name, build, ("num_classes", "class_weights"))
        LOSSES.add(name, LossEntry(name, build, options), module)
        return build

    return add


def options_of(name: str, build: Callable[..., Any], given: Tuple[str, ...]) -> Tuple[str, ...]:
    """The names of the builder's arguments behind those that it is always given, in order, by position. Of those one
    may have a default, which is never used, if it is called what it is: another would be an option at the wrong place.

    They must all be there to read, so that a misspelt one is found before the builder runs, and a TypeError from
    inside is known to be the builder's own fault.
    """
    signature = inspect.signature(build)
    parameters = list(signature.parameters.values())
    first, options = parameters[: len(given)], parameters[len(given) :]
    fits = len(first) == len(given) and all(
        one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD) and (one.default is one.empty or one.name == word)
        for one, word in zip(first, given)
    )
    if not fits or any(one.default is one.empty for one in options):  # *args and **kwargs among them
        raise TypeError(
            f"{name}: a builder takes {', '.join(given) or 'nothing'}, then options, each with a name and a default; "
            f"this one takes {signature}"
        )
    return tuple(one.name for one in options)


def check_options(title: str, given: Iterable[str], known: Sequence[str], beside: Iterable[str] = ()) -> None:
    """Raise MXNetSegError where one of `given` is not `known`; `beside` are names that it may be meant for, too."""
    for name in given:
        if name not in known:
            close = near(name, [*known, *beside])
            hint = f"did you mean {', '.join(close)}?" if close else f"it takes {', '.join(known) or 'none'}"
            raise MXNetSegError(f"{title} has no option {name!r}; {hint}")
