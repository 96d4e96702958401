"""ONNX for layers with weights, and for norms."""

from typing import Any, Callable, Dict, List

import numpy as np

from .onnx_step import Shape, Step

__all__ = ["RULES"]


def _convolution(step: Step) -> str:
    # the bias is not there where the operator has none
    return step.emit("Conv", *step.inputs, pads=_each_side(step, "pad", 0) * 2, **_window(step))


def _window(step: Step) -> Dict[str, Any]:
    step.require_channels_first()
    return dict(
        kernel_shape=list(step.option("kernel")),
        strides=_each_side(step, "stride", 1),
        dilations=_each_side(step, "dilate", 1),
        group=int(step.option("num_group", 1)),
    )


def _each_side(step: Step, name: str, default: int) -> List[int]:
    return list(step.option(name) or [default] * len(step.option("kernel")))


def _deconvolution(step: Step) -> str:
    targets = step.option("target_shape")
    if targets and any(targets):
        step.refuse("target_shape", targets)  # nor can a CPU run most of them
    pads = _each_side(step, "pad", 0) * 2
    return step.emit(
        "ConvTranspose", *step.inputs, pads=pads, output_padding=_each_side(step, "adj", 0), **_window(step)
    )


def _upsampling(step: Step) -> str:
    scale = int(step.option("scale"))
    if step.choice("sample_type", {"nearest": 0, "bilinear": 1}):  # a deconvolution of every channel, with weights
        pad, kernel = scale // 2, 2 * scale - scale % 2
        window = dict(kernel_shape=[kernel] * 2, strides=[scale] * 2, pads=[pad] * 4, group=step.shapes[0][1])
        return step.emit("ConvTranspose", *step.inputs, **window)
    op = step.choice("multi_input_mode", {"concat": "Concat", "sum": "Sum"}, "concat")
    enlarged = [_repeated(step, x, shape) for x, shape in zip(step.inputs, step.shapes)]
    if len(enlarged) == 1:
        return enlarged[0]
    return step.emit(op, *enlarged, **({"axis": 1} if op == "Concat" else {}))


def _repeated(step: Step, x: str, shape: Shape) -> str:
    """Every pixel becomes a square of its colour."""
    options = dict(mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    if shape is step.shapes[0]:
        return step.emit("Resize", x, "", step.number([1, 1, *[step.option("scale")] * 2]), **options)
    return step.emit("Resize", x, "", "", step.sizes([*shape[:2], *step.result[2:]]), **options)


def _fully_connected(step: Step) -> str:
    x, weight, *bias = step.inputs
    if step.node.flag("flatten", True):
        x = step.reshape(x, step.shapes[0], (step.shapes[0][0], step.shapes[1][1]))
    product = step.emit("MatMul", x, step.swapped(weight, 2))
    return step.emit("Add", product, *bias) if bias else product


def _batch_norm(step: Step) -> str:
    x, gamma, beta, mean, variance = step.inputs
    if step.node.flag("fix_gamma", True):
        gamma = step.filled(step.shapes[1], 1)
    order = list(range(len(step.shapes[0])))
    axis = step.axis(default=1)
    order[1], order[axis] = axis, 1
    x = step.transpose(x, *order)
    x = step.emit("BatchNormalization", x, gamma, beta, mean, variance, epsilon=float(step.option("eps", 1e-3)))
    return step.transpose(x, *order)


def _instance_norm(step: Step) -> str:
    return step.emit("InstanceNormalization", *step.inputs, epsilon=float(step.option("eps", 1e-3)))


def _group_norm(step: Step) -> str:
    """With a factor and a summand for each group."""
    x, gamma, beta = step.inputs
    x = step.emit("Reshape", x, step.ints(0, int(step.option("num_groups", 1)), -1))
    x = step.emit("InstanceNormalization", x, gamma, beta, epsilon=float(step.option("eps", 1e-5)))
    return step.emit("Reshape", x, step.sizes([0, *step.result[1:]]))


def _l2_norm(step: Step) -> str:
    rank = len(step.shapes[0])
    spans = {"instance": (1, rank), "channel": (1, 2), "spatial": (2, rank)}
    axes = step.ints(*range(*step.choice("mode", spans, "instance")))
    x = step.inputs[0]
    squares = step.emit("ReduceSumSquare", x, axes, keepdims=1)
    return step.emit("Div", x, step.emit("Sqrt", step.emit("Add", squares, step.number(step.option("eps", 1e-10)))))


def _lrn(step: Step) -> str:
    given = {"alpha": ("alpha", 1e-4), "beta": ("beta", 0.75), "bias": ("knorm", 2.0)}
    options = {name: float(step.option(*known)) for name, known in given.items()}
    return step.emit("LRN", step.inputs[0], size=int(step.option("nsize")), **options)


def _layer_norm(step: Step) -> str:
    x, gamma, beta = step.inputs
    rank, axis = len(step.shapes[0]), step.axis()
    # ONNX normalises all axes from one on, MXNet one
    there = (*(other for other in range(rank) if other != axis), axis)
    x = step.transpose(x, *there)
    x = step.emit("LayerNormalization", x, gamma, beta, axis=-1, epsilon=float(step.option("eps", 1e-5)))
    return step.transpose(x, *(int(at) for at in np.argsort(there)))


RULES: Dict[str, Callable[[Step], Any]] = {
    "Convolution": _convolution,
    "Deconvolution": _deconvolution,
    "UpSampling": _upsampling,
    "FullyConnected": _fully_connected,
    "BatchNorm": _batch_norm,
    "_contrib_SyncBatchNorm": _batch_norm,
    "LayerNorm": _layer_norm,
    "InstanceNorm": _instance_norm,
    "GroupNorm": _group_norm,
    "L2Normalization": _l2_norm,
    "LRN": _lrn,
}
