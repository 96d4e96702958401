"""Going on from a checkpoint (`model.from`): what it was trained as, and its weights but for other classes."""

import logging
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from mxnet import nd
from pydantic import ValidationError

from ..config import ModelConfig, Recipe
from ..config.schema import FED
from ..errors import MXNetSegError
from ..finding import find_checkpoint
from ..models import Segmentor
from ..names import same
from ..plugins import require
from ..zoo import create_model, recipe_arguments
from . import checkpoint
from .checkpoint import Checkpoint
from .first_layers import adapted
from .record import NetworkSpec

__all__ = ["Taken", "read_origin", "take_over", "with_record"]

log = logging.getLogger(__name__)

AUX = "aux_heads."
NEW_CLASSES = "classifier, begins anew: "


class Taken(NamedTuple):
    """What came of a checkpoint: how many arrays, of how many, and the others by name with the reason."""

    arrays: int
    total: int
    left: Dict[str, str]


def read_origin(recipe: Recipe) -> Optional[Checkpoint]:
    """The checkpoint that `model.from` names; None where it names none.

    Raises MXNetSegError where it can't be read, or holds no network that can be trained.
    """
    if recipe.model.from_ is None:
        return None
    found = checkpoint.read(find_checkpoint(recipe.model.from_, option="model.from"))
    record, what = found.record, f"model.from {found.path}"
    if record.optimized or (record.model and record.model.reparameterized):
        kind = "optimized" if record.optimized else "reparameterized"
        raise MXNetSegError(f"{what}: was {kind} for deployment, which can't be trained; name what it was made from")
    if record.backbone:
        raise MXNetSegError(f"{what}: holds {record.backbone} alone; start from it with model.init={found.path}")
    require((fact for fact in record.plugins if fact.kind in ("model", "backbone")), what)
    return found


def with_record(recipe: Recipe, found: Checkpoint) -> Recipe:
    """`recipe` with what `found` was trained as in place of the keys that nobody has set.

    These are the model's, data.mean, data.std, and the sizes: base, fit, crops and the window's stride. Keys that were
    set differently hold, which is said in the log, but for model.name and model.backbone. A checkpoint without a record
    says nothing.

    Raises MXNetSegError where model.name or model.backbone contradicts the record.
    """
    content = recipe.model_dump(mode="json", exclude_unset=True)
    model = {key: value for key, value in content.get("model", {}).items() if value is not None}
    if found.record.model:
        recorded = _model_part(found.record.model)
        for key in ("name", "backbone"):
            if key in model and not same(model[key], recorded[key]):
                raise MXNetSegError(
                    f"model.{key} is {model[key]}, but {found.path}, which model.from names, holds {recorded[key]}; "
                    f"leave model.{key} out, or start from the layers that match with model.init={found.path}"
                )
        content["model"] = _under(model, recorded, "model.", found)
        content["model"].update({key: recorded[key] for key in ("name", "backbone")})
    data, window = _sizes(found)
    if "channels" in content.get("data", {}) and recipe.data.num_channels != len(data.get("mean", ())):
        data = {key: value for key, value in data.items() if key in ("base", "fit")}  # the others are of other channels
    content["data"] = _under(content.get("data", {}), data, "data.", found)
    content["eval"] = _under(content.get("eval", {}), window, "eval.", found)
    if not content["eval"].get("crop"):
        content["eval"].pop("stride", None)
    try:
        return Recipe.model_validate({"train": recipe.train.model_dump(mode="json"), **content})
    except ValidationError as err:
        what = err.errors()[0]["msg"]
        raise MXNetSegError(f"model.from {found.path}: its record and the recipe together: {what}") from None


def take_over(net: Segmentor, found: Checkpoint, classes: Sequence[str], partial: bool = False) -> Taken:
    """Load the weights of `found` into a network for `classes`, which has its initial weights.

    Classes of the same names keep their classifiers, in whatever order; with others the classifiers keep their initial
    weights: all arrays whose shape depends on the number of classes.

    Raises
    ------
    MXNetSegError
        More than classifiers does not fit (`partial`: nothing does), or values are not finite.
    """
    arrays, ours = dict(found.weights), net._collect_params_with_prefix()
    arrays.update(adapted(net, arrays, str(found.path)))
    there = found.record.feeding.classes
    left: Dict[str, str] = {}
    if there != list(classes):
        count = len(there) if there else found.record.model.num_classes if found.record.model else None
        axes = _class_axes(net, ours, count)
        if count is None:  # a file without a record: its classifier tells
            count = next((arrays[name].shape[axes[name][0]] for name in axes if name in arrays), None)
        order = _order(there, classes)
        fitting = order and all(len(classes) == ours[name].shape[axis] for name in axes for axis in axes[name])
        if order and fitting:
            log.info("the classes of %s have another order; the classifiers' rows follow their names", found.path)
            arrays.update({name: _ordered(arrays[name], order, axes[name]) for name in axes if name in arrays})
        elif there or count != len(classes):
            told = f"for {count or 'other'} classes there, {len(classes)} here"
            reason = NEW_CLASSES + (told if count != len(classes) else "its classes have other names")
            left = {name: reason for name in axes if name in arrays}
        else:
            log.warning("%s does not name its classes; they are taken to be these, in this order", found.path)
    unfit = {}
    for name, parameter in ours.items():
        if name not in arrays:
            unfit[name] = "not in the checkpoint"
        elif name not in left and arrays[name].shape != tuple(parameter.shape):
            unfit[name] = f"other shape, {_by(arrays[name].shape)} there, {_by(parameter.shape)} here"
    fit = {name: arrays[name] for name in ours if name not in left and name not in unfit}
    extra = {name: "not in the network" for name in arrays if name not in ours}
    # auxiliary heads that a recipe does without
    lost = {**unfit, **{name: why for name, why in extra.items() if not name.startswith(AUX)}}
    if lost and not (partial and fit):
        raise MXNetSegError(
            f"model.from {found.path}: more than the classifiers does not fit {net.spec['name']} "
            f"({net.spec['backbone']}): {'; '.join(_lines(lost, 4))}. Leave out model's keys that contradict the "
            "checkpoint; or start from what fits with model.partial=true"
        )
    spoilt = checkpoint.not_finite(fit)
    if spoilt:
        raise MXNetSegError(f"model.from {found.path}: holds NaN or infinity in {spoilt[0]}; take another checkpoint")
    for name, array in fit.items():
        ours[name].set_data(nd.array(array, dtype=ours[name].dtype))
    taken = Taken(len(fit), len(ours), {**left, **unfit, **extra})
    log.info("from %s: %d of %d arrays", found.path, taken.arrays, taken.total)
    for line in _lines(taken.left):
        log.info("not taken over: %s", line)
    return taken


def _model_part(spec: NetworkSpec) -> Dict[str, Any]:
    """What builds the recorded network, as the model part of a recipe."""
    arguments = {key: value for key, value in spec.arguments().items() if value is not None}
    own = recipe_arguments(ModelConfig()).keys()
    left = ("num_classes", "in_channels")  # the data say
    part = {key: arguments[key] for key in own if key in arguments and key not in left}
    rest = {key: value for key, value in arguments.items() if key not in own and key != "reparameterized"}
    return {**part, "options": rest} if rest else part


def _sizes(found: Checkpoint) -> Tuple[Dict[str, Any], Dict[str, Any]]:
    """How the recorded network was fed, as the data and the eval part of a recipe."""
    data: Dict[str, Any] = {}
    if "feeding" in found.record.model_fields_set:  # else nobody knows
        feeding = found.record.feeding.model_dump(mode="json")
        data = {key: feeding[key] for key in FED if feeding[key] is not None}
    recipe = found.record.recipe
    if recipe is None:
        return data, {}
    data["augment"] = {"crop": recipe.data.augment.model_dump(mode="json")["crop"]}
    window = recipe.eval.model_dump(mode="json")
    return data, {key: window[key] for key in ("crop", "stride", "base", "fit", "multiple") if window[key] is not None}


def _under(given: Mapping[str, Any], recorded: Mapping[str, Any], prefix: str, found: Checkpoint) -> Dict[str, Any]:
    """`given` over `recorded`, part by part; says where they differ."""
    merged = dict(given)
    for key, value in recorded.items():
        if {"base": "fit", "fit": "base"}.get(key, key) in given and key not in given:
            continue  # images are resized by one of the two
        if isinstance(value, dict) and isinstance(given.get(key), dict):
            merged[key] = _under(given[key], value, f"{prefix}{key}.", found)
        elif key not in given:
            merged[key] = value
        elif given[key] != value and key not in ("name", "backbone", "mean", "std"):  # of the last two others tell
            log.info("%s%s is %s; %s was trained with %s", prefix, key, given[key], found.path, value)
    return merged


def _class_axes(net: Segmentor, ours: Mapping[str, Any], count: Optional[int]) -> Dict[str, List[int]]:
    """The arrays that depend on the number of classes, and along which axes."""
    classes = net.spec["num_classes"]
    other = count if count not in (None, classes) else classes % 255 + 1
    shapes = {
        name: parameter.shape
        for name, parameter in create_model(**{**net.spec, "num_classes": other})._collect_params_with_prefix().items()
    }
    found = {
        name: [axis for axis, (here, there) in enumerate(zip(parameter.shape, shapes[name])) if here != there]
        for name, parameter in ours.items()
    }
    return {name: axes for name, axes in found.items() if axes}


def _order(there: Optional[Sequence[str]], classes: Sequence[str]) -> Optional[List[int]]:
    """Where each of `classes` is there; None unless both have the same names."""
    if there is None or sorted(there) != sorted(classes) or len(set(there)) < len(there):
        return None
    return [list(there).index(name) for name in classes]


def _ordered(array: np.ndarray, order: Sequence[int], axes: Sequence[int]) -> np.ndarray:
    for axis in axes:
        array = array.take(order, axis) if array.shape[axis] == len(order) else array
    return array


def _by(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _lines(left: Mapping[str, str], most: Optional[int] = None) -> List[str]:
    """One line a reason: its names, `most` of them."""
    names: Dict[str, List[str]] = {}
    for name, reason in left.items():
        names.setdefault(reason, []).append(name if name.isprintable() else ascii(name))
    return [
        f"{', '.join(each[:most])}{f' and {len(each) - most} more' if most and len(each) > most else ''} ({reason})"
        for reason, each in names.items()
    ]
