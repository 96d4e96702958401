"""What a file does before and behind the network."""

from typing import Sequence

import numpy as np

from .builder import Builder

__all__ = ["OUTPUTS", "add_output", "add_preprocessing"]

OUTPUTS = ("logits", "class_map", "probabilities")


def add_preprocessing(builder: Builder, image: str, mean: Sequence[float], std: Sequence[float]) -> str:
    """(N, H, W, 3) uint8 -> (N, 3, H, W) float32, as `mxnetseg.data.normalize` does it."""
    scale = 1.0 / np.asarray(std, np.float32)
    shift = -np.asarray(mean, np.float32) * scale
    x = _add(builder, "Transpose", image, perm=[0, 3, 1, 2])
    x = _add(builder, "Cast", x, to="float32")
    x = _add(builder, "Mul", x, builder.constant(scale.reshape(1, 3, 1, 1)))
    return _add(builder, "Add", x, builder.constant(shift.reshape(1, 3, 1, 1)))


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
