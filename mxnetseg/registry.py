"""The tables of models and backbones: names, how to build them, and the facts that go with them.

They are filled by the files in `backbones` and `models`; `zoo` looks names up and builds.
"""

import inspect
from typing import Any, Callable, Dict, NamedTuple, Optional, Tuple, TypeVar

__all__ = ["BACKBONES", "MODELS", "BackboneEntry", "ModelEntry", "register_backbone", "register_model"]

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


BACKBONES: Dict[str, BackboneEntry] = {}
MODELS: Dict[str, ModelEntry] = {}


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
    """

    def add(build: Build) -> Build:
        options = _options(name, build, ("output_stride",) if len(output_strides) > 1 else ())
        BACKBONES[name] = BackboneEntry(name, build, options, store_name, num_classes, output_strides)
        return build

    return add


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
    """

    def add(build: Build) -> Build:
        options = _options(name, build, ("backbone", "num_classes", "aux"))
        MODELS[name] = ModelEntry(name, build, options, backbone, output_stride, paper, aux, backbones)
        return build

    return add


def _options(name: str, build: Callable[..., Any], given: Tuple[str, ...]) -> Tuple[str, ...]:
    """The names of the builder's arguments behind those that it is always given.

    They must all be there to read, so that a misspelt one is found before the builder runs, and a TypeError from
    inside is known to be the builder's own fault.
    """
    signature = inspect.signature(build)
    parameters = signature.parameters.values()
    required = [one for one in parameters if one.default is one.empty]  # *args and **kwargs among them
    if len(required) != len(given) or any(one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD) for one in required):
        raise TypeError(
            f"{name}: a builder takes {', '.join(given) or 'nothing'}, then options, each with a name and a default; "
            f"this one takes {signature}"
        )
    return tuple(one.name for one in parameters if one not in required)
