"""What a file does before and behind the network."""

import numpy as np

from ..engine.inference import Preprocess
from .builder import Builder

__all__ = ["OUTPUTS", "add_output", "add_preprocessing"]

OUTPUTS = ("logits", "class_map", "probabilities")


def add_preprocessing(builder: Builder, image: str, preprocess: Preprocess) -> str:
    """(N, H, W, C) uint8 -> (N, C, H, W) float32, as `mxnetseg.data.normalize` does it.

    With `preprocess.range` it is float32 that comes in, values as files hold them, which are brought to 0..255 first.
    """
    scale = 1.0 / np.asarray(preprocess.std, np.float32)
    shift = -np.asarray(preprocess.mean, np.float32) * scale
    x = _add(builder, "Transpose", image, perm=[0, 3, 1, 2])
    if preprocess.range is None:
        x = _add(builder, "Cast", x, to="float32")
    else:
        low, high = preprocess.range
        x = _add(builder, "Sub", x, builder.constant(np.array(low, np.float32)))
        x = _add(builder, "Mul", x, builder.constant(np.array(255 / (high - low), np.float32)))
        x = _add(builder, "Clip", x, *(builder.constant(np.array(end, np.float32)) for end in (0, 255)))
    x = _add(builder, "Mul", x, builder.constant(scale.reshape(1, -1, 1, 1)))
    return _add(builder, "Add", x, builder.constant(shift.reshape(1, -1, 1, 1)))


def add_output(builder: Builder, logits: str, output: str) -> None:
    """Add a value of the name `output`, one of OUTPUTS, that is made of the logits (N, num_classes, H, W)."""
    if output == "logits":
        builder.rename(logits, output)
    elif output == "probabilities":
        builder.rename(_add(builder, "Softmax", logits, axis=1), output)
    else:
        classes = _add(builder, "ArgMax", logits, axis=1, keepdims=0)
        builder.rename(_add(builder, "Cast", classes, to="uint8"), output)


def _add(builder: Builder, op: str, *inputs: str, **attributes: object) -> str:
    return builder.emit(op.lower(), op, inputs, 1, attributes)[0]
