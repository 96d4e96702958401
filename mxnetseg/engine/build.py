"""The network of a recipe."""

import logging
from typing import Optional, Sequence

import mxnet as mx
import numpy as np

from ..config import Recipe
from ..errors import MXNetSegError
from ..finding import find_checkpoint
from ..models import Segmentor
from ..plugins import require
from ..zoo import create_model, recipe_arguments
from . import checkpoint
from .checkpoint import Checkpoint
from .imagenet import check_backbone, load_imagenet
from .origin import take_over
from .record import Feeding

__all__ = ["build_network", "create_network", "recorded_network"]

log = logging.getLogger(__name__)


def create_network(recipe: Recipe, num_classes: int) -> Segmentor:
    """The recipe's network for a data set with so many classes, without values.

    Raises MXNetSegError where the recipe says another number of classes, or can't be built.
    """
    model = recipe.model
    if model.num_classes is not None and model.num_classes != num_classes:
        raise MXNetSegError(
            f"model.num_classes is {model.num_classes}, but data set {recipe.data.name} has {num_classes} classes; "
            "leave model.num_classes out"
        )
    channels = recipe.data.num_channels
    if model.in_channels is not None and model.in_channels != channels:
        raise MXNetSegError(
            f"model.in_channels is {model.in_channels}, but images have {channels} channels (data.channels); leave "
            "model.in_channels out"
        )
    try:
        return create_model(**{**recipe_arguments(model), "num_classes": num_classes, "in_channels": channels})
    except MXNetSegError:
        raise
    except Exception as err:  # a builder fails in as many ways as there are wrong values
        what = str(err).splitlines()[0] if str(err) else ""
        raise MXNetSegError(
            f"model {model.name} can't be built from the recipe ({type(err).__name__}: {what}); check model.options "
            "and model.backbone_options"
        ) from err


def build_network(
    recipe: Recipe,
    num_classes: int,
    contexts: Sequence[mx.Context],
    initializer: Optional[mx.init.Initializer] = None,
    origin: Optional[Checkpoint] = None,
    classes: Sequence[str] = (),
) -> Segmentor:
    """The recipe's network on its contexts, with its initial weights (seeded by train.seed).

    `initializer` is of everything that no file gives; the layers' own, else Xavier's for ReLU, when left out. `origin`
    is what `model.from` names (`origin.read_origin`), `classes` are what the network's are called.
    """
    net = create_network(recipe, num_classes)
    seed = recipe.train.seed % 2**31  # neither generator takes more
    np.random.seed(seed)  # Gluon draws initial weights from both
    mx.random.seed(seed)
    if initializer:
        for parameter in net.collect_params().values():
            parameter.initialize(initializer, ctx=list(contexts))
    else:
        net.initialize(mx.init.Xavier(rnd_type="gaussian", factor_type="in", magnitude=2), ctx=list(contexts))
    init = recipe.model.init
    if origin:
        take_over(net, origin, classes, recipe.model.partial)
        _check_recorded(recipe, origin)
    elif init.lower() == "imagenet":
        loaded = load_imagenet(net)
        log.info("backbone: %d arrays of %s, from %s", loaded.arrays, loaded.name, loaded.path)
        _check_feeding(recipe, loaded.feeding, "the ImageNet weights")
    elif init.lower() != "random":
        found = checkpoint.read(find_checkpoint(init, option="model.init"))
        check_backbone(net, found)
        log.info("init: %d of %d parameters from %s", *checkpoint.load_matching(net, found), init)
        _check_recorded(recipe, found)
    return net


def recorded_network(found: Checkpoint, contexts: Sequence[mx.Context]) -> Segmentor:
    """The network that a checkpoint with a record of it holds, on these contexts.

    Raises MXNetSegError where it can't be built, or the weights don't fit.
    """
    assert found.record.model
    require((fact for fact in found.record.plugins if fact.kind in ("model", "backbone")), f"checkpoint {found.path}")
    try:
        net = create_model(**found.record.model.arguments())
    except MXNetSegError as err:
        raise MXNetSegError(f"checkpoint {found.path}: {err}") from err
    except Exception as err:  # a builder fails in as many ways as there are wrong values
        what = (str(err).splitlines() or [""])[0]
        raise MXNetSegError(
            f"checkpoint {found.path}: the network of its record can't be built ({type(err).__name__}: {what}); take "
            "another checkpoint"
        ) from err
    checkpoint.load_weights(net, found.weights, f"checkpoint {found.path}", contexts)
    return net


def _check_recorded(recipe: Recipe, found: Checkpoint) -> None:
    if "feeding" in found.record.model_fields_set:  # else nobody knows
        _check_feeding(recipe, found.record.feeding, f"the weights in {found.path}")


def _check_feeding(recipe: Recipe, trained: Feeding, weights: str) -> None:
    """Warn where the network was fed otherwise than it will be."""
    fed, before = (recipe.data.mean, recipe.data.std), (trained.mean, trained.std)
    if len(recipe.data.mean) == len(trained.mean) and fed != before:
        log.warning(
            "%s were trained with mean %s and std %s, but data.mean is %s and data.std %s; set these to the former, "
            "unless you mean to change them",
            weights,
            *(list(part) for part in (*before, *fed)),
        )
