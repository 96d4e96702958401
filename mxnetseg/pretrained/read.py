"""Files of ImageNet classifiers -> arrays under the names of our backbones: everything is there, nothing left over."""

from pathlib import Path
from typing import Any, Dict, List, Mapping

import mxnet as mx
import numpy as np

from .. import backbones  # noqa: F401  (fills the table)
from ..commands import typed
from ..errors import MXNetSegError
from ..foreign import read_pth
from ..nn.norm import norm_scope
from ..optional import check_installed
from ..registry import BACKBONES
from .store import models_folder
from .tables import family_of, translate

__all__ = ["bare_backbone", "fit", "read_classifier", "read_stored"]

POSITIONS = "pos_embed"


def read_classifier(path: Path, *, ema: bool = False) -> Dict[str, np.ndarray]:
    """Name -> array of a .safetensors file, or of one of PyTorch's, in which nothing is executed.

    `ema`: the moving averages of one of PyTorch's.

    Raises
    ------
    MXNetSegError
        The file is damaged or something else, or its format needs a package that is not installed.
    """
    if path.suffix.lower() == ".params":
        raise MXNetSegError(
            f"{path}: .params files are ours, which model.init=FILE takes, or GluonCV's, which belong in "
            f"{models_folder()} under GluonCV's names"
        )
    if path.suffix.lower() != ".safetensors":
        return read_pth(path, ema=ema)
    if ema:
        raise MXNetSegError(f"--ema: {path} is no file of PyTorch's; only those may hold moving averages")
    check_installed("safetensors", f"reading {path}")
    from safetensors.numpy import load_file

    try:
        arrays: Dict[str, np.ndarray] = load_file(path)
    except OSError as err:
        raise MXNetSegError(f"{path}: can't be read ({err.strerror or err})") from err
    except Exception as err:  # its own errors have no common class
        raise MXNetSegError(f"{path}: is no whole safetensors file ({err}); get it again") from err
    return arrays


def bare_backbone(name: str, **options: Any):
    """The backbone `name` alone, all of its levels, at its largest output stride; shapes known, no values."""
    entry = BACKBONES.find(name)
    strides = entry.output_strides
    with norm_scope("bn"):
        backbone = entry.build(*([strides[-1]] if strides[1:] else []), **options)
    backbone.infer_shape(mx.nd.zeros((1, 3, 64, 64)))
    return backbone


def fit(state: Mapping[str, np.ndarray], name: str, source: str) -> Dict[str, np.ndarray]:
    """The arrays of a classifier under the names of the backbone `name`, float32; its classifier is left out.

    A vision transformer's class token is left out, with its position; its last norm is that of every level. FFNet's
    classifier has no norms behind its levels: they are as at the beginning.

    Raises
    ------
    MXNetSegError
        They don't fit: the message says why.
    """
    shapes = {key: parameter.shape for key, parameter in bare_backbone(name)._collect_params_with_prefix().items()}
    if family_of(name) is None:
        raise MXNetSegError(f"{source}: no ImageNet weights are known for {name}, and no table of their names")
    if any(key.startswith("decode_head.") for key in state):
        raise MXNetSegError(f"{source} is a whole segmentation network; {typed('`mxnetseg convert`')} takes those")
    reason = _known_misfit(state, name, shapes)
    if reason:
        raise MXNetSegError(f"{source} does not fit {name}: {reason}")
    names = translate(state, name, shapes)
    for old, new in names.items():
        if new is not None and state[old].dtype.kind != "f":
            raise MXNetSegError(f"{source} does not fit {name}: {old} is of type {state[old].dtype}, not of floats")
    arrays = {new: np.asarray(state[old], np.float32) for old, new in names.items() if new is not None}
    if POSITIONS in arrays:
        arrays = _of_transformer(arrays, f"{source} does not fit {name}")
        shapes[POSITIONS] = (1, arrays[POSITIONS].shape[1], *shapes[POSITIONS][2:])  # any grid: it is resized
    if name.startswith("ffnet") and not any(key.startswith("norms.") for key in arrays):
        arrays = {**_level_norms(shapes), **arrays}
    theirs = {new: old for old, new in names.items()}
    problems = {
        "missing": [key for key in shapes if key not in arrays],
        "unknown": [theirs.get(key, key) for key in arrays if key not in shapes],
        "other shapes": [
            f"{theirs.get(key, key)} {arrays[key].shape} for {shape}"
            for key, shape in shapes.items()
            if key in arrays and arrays[key].shape != tuple(shape)
        ],
    }
    found = [f"{title}: {', '.join(keys[:4])}{' ...' if keys[4:] else ''}" for title, keys in problems.items() if keys]
    if found:
        raise MXNetSegError(f"{source} does not fit {name}; {'; '.join(found)}. Is it of another backbone?")
    return arrays


def read_stored(path: Path, backbone) -> Dict[str, np.ndarray]:
    """The arrays of a file of GluonCV's store, whose digest was checked, under the names of `backbone`."""
    stored = mx.nd.load(str(path))
    structural = any("." in name for name in stored)  # files of before 2018 hold the names of Gluon's scopes
    arrays = {}
    for name, parameter in backbone._collect_params_with_prefix().items():
        key = backbone.stored_name(name) if structural else parameter.name[len(backbone.prefix) :]
        arrays[name] = stored[key].asnumpy()
    return arrays


def _of_transformer(arrays: Dict[str, np.ndarray], misfit: str) -> Dict[str, np.ndarray]:
    """Positions of a square grid alone, and the last norm at every level."""
    positions = arrays[POSITIONS]
    count = positions.shape[1] if positions.ndim == 3 else 0
    with_class = not _square(count)
    if not _square(count - with_class) or count < 2:
        raise MXNetSegError(
            f"{misfit}: {POSITIONS} {positions.shape} is no square grid, with or without a class's position"
        )
    last = {key: array for key, array in arrays.items() if key.startswith("norms.3.")}
    every = {key.replace("norms.3.", f"norms.{level}."): array for key, array in last.items() for level in range(4)}
    return {**arrays, POSITIONS: positions[:, int(with_class) :], **every}


def _square(count: int) -> bool:
    return count >= 0 and round(count**0.5) ** 2 == count


def _level_norms(shapes: Mapping[str, Any]) -> Dict[str, np.ndarray]:
    """Norms behind levels that were never trained."""
    start = {"gamma": np.ones, "beta": np.zeros}
    return {
        key: start[key.rpartition(".")[2]](shape, np.float32)
        for key, shape in shapes.items()
        if key.startswith("norms.")
    }


def _known_misfit(state: Mapping[str, Any], name: str, shapes: Mapping[str, Any]) -> str:
    """Why weights of another network of the same family don't fit, in its own words."""
    stem: List[int] = list(getattr(state.get("conv1.0.weight"), "shape", ()))
    if "conv1.0.weight" in shapes and "conv1.weight" in state:
        return (
            f"its stem is one 7x7 convolution (ResNet v1, v1b), that of {name} three 3x3 ones (v1s); take timm's "
            f"{name}s.gluon_in1k"
        )
    if "conv1.weight" in shapes and stem:
        return f"its stem is three convolutions (ResNet v1c, v1d), that of {name} one (v1b)"
    if "conv1.0.weight" in shapes and stem and stem[0] != shapes["conv1.0.weight"][0]:
        return f"its stem is {stem[0]} channels wide, that of {name} {shapes['conv1.0.weight'][0]}"
    if name.startswith("vit") and "class_token" in state:
        return "it is torchvision's, which splits its layers in another way; take timm's"
    return ""
