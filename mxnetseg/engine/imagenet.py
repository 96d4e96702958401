"""ImageNet weights for the backbone of a network."""

import logging
from typing import Any, Dict, Mapping, NamedTuple

import numpy as np
from mxnet import nd

from .. import pretrained
from ..commands import typed
from ..errors import MXNetSegError
from ..models import Segmentor
from . import checkpoint
from .checkpoint import Checkpoint
from .first_layers import adapted
from .record import Feeding

__all__ = ["Loaded", "check_backbone", "check_fits", "load_imagenet"]

log = logging.getLogger(__name__)

PREFIX = "backbone."
POSITIONS = "pos_embed"


class Loaded(NamedTuple):
    """How many arrays, what they are, where they were, and what they were fed."""

    arrays: int
    name: str
    path: str
    feeding: Feeding


def load_imagenet(net: Segmentor) -> Loaded:
    """Load ImageNet weights into `net.backbone`; nothing is downloaded.

    The positions of a vision transformer are resized to the network's.

    Raises
    ------
    MXNetSegError
        There are none for this backbone or norm, or none on this machine; they don't fit.
    """
    name = net.spec["backbone"]
    found = pretrained.find(name)
    if found is None:
        if not pretrained.weights_for(name):
            raise MXNetSegError(f"there are no ImageNet weights for {name}; {_OTHERS}")
        raise MXNetSegError(
            typed(f"the ImageNet weights of {name} are not on this machine; `mxnetseg weights show {name}` says where ")
            + f"to get them. Or {_OTHERS}"
        )
    if found.weights is None:
        read = checkpoint.read(found.path)
        arrays = {key[len(PREFIX) :]: array for key, array in read.weights.items()}
        title, feeding = read.record.source or found.path.name, read.record.feeding
    else:
        weights = found.weights
        arrays = (
            pretrained.read_stored(found.path, net.backbone)
            if weights.store_name
            else pretrained.fit(pretrained.read_classifier(found.path), name, str(found.path))
        )
        title, feeding = weights.name, Feeding(mean=weights.mean, std=weights.std)
    _assign(net, arrays, str(found.path))
    return Loaded(len(net.backbone._collect_params_with_prefix()), title, str(found.path), feeding)


def check_fits(name: str, found: Checkpoint) -> None:
    """Raise MXNetSegError unless an imported file holds what the backbone `name` has."""
    arrays = {key[len(PREFIX) :]: array.shape for key, array in found.weights.items()}
    ours = pretrained.bare_backbone(name)._collect_params_with_prefix()
    wrong = [key for key, p in ours.items() if key != POSITIONS and arrays.get(key) != tuple(p.shape)]
    if wrong:
        whose = f" (it is of {found.record.backbone})" if found.record.backbone not in (None, name) else ""
        raise MXNetSegError(
            f"{found.path} does not fit {name}{whose}: {len(wrong)} of {len(ours)} arrays are missing or of another "
            f"shape, {wrong[0]} among them; import the right file with --overwrite, or remove this one"
        )


def check_backbone(net: Segmentor, found: Checkpoint) -> None:
    """Raise MXNetSegError where a file of a backbone alone is of another backbone, or another norm, than `net`."""
    whose, ours = found.record.backbone, net.spec["backbone"]
    if whose is None:
        return
    if whose != ours:
        raise MXNetSegError(f"model.init: {found.path} holds the backbone {whose}, but model.backbone is {ours}")
    _check_norm(net, found.weights, f"model.init: {found.path} does not fit")


def _check_norm(net: Segmentor, arrays: Mapping[str, Any], problem: str) -> None:
    if net.spec["norm"] == "gn" and any(key.endswith("running_mean") for key in arrays):
        raise MXNetSegError(f"{problem} {net.spec['backbone']} with norm gn; {_OTHERS}")


_OTHERS = "set model.init to random or to a checkpoint's path"


def _assign(net: Segmentor, arrays: Dict[str, np.ndarray], source: str) -> None:
    ours = net.backbone._collect_params_with_prefix()
    if POSITIONS in ours and arrays[POSITIONS].shape != ours[POSITIONS].shape:
        arrays = {**arrays, POSITIONS: _resized(arrays[POSITIONS], ours[POSITIONS].shape[1])}
    _check_norm(net, arrays, "there are no ImageNet weights for")
    spoilt = checkpoint.not_finite(arrays)
    if spoilt:
        raise MXNetSegError(f"{source} holds NaN or infinity in {spoilt[0]}; import another file with --overwrite")
    # norms of levels that this network has no use for, and what the backbone was told to do without
    arrays = {
        key: array
        for key, array in arrays.items()
        if key in ours or not (key.startswith("norms.") or net.backbone.leaves_out(key))
    }
    arrays = {**arrays, **adapted(net, arrays, source, PREFIX)}
    checkpoint.check(net, ours, arrays, source)
    for key, parameter in ours.items():
        parameter.set_data(nd.array(arrays[key], dtype=parameter.dtype))


def _resized(positions: np.ndarray, count: int) -> np.ndarray:
    """Positions (1, n * n, C) of a grid for one of `count` cells, bilinearly, as the network does it at each call."""
    grid = positions.swapaxes(1, 2).reshape(1, positions.shape[2], *[round(positions.shape[1] ** 0.5)] * 2)
    side = round(count**0.5)
    new = nd.contrib.BilinearResize2D(nd.array(grid), height=side, width=side, align_corners=False)
    found: np.ndarray = new.asnumpy().reshape(1, positions.shape[2], count).swapaxes(1, 2)
    return found
