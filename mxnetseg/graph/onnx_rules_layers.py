"""ONNX for layers with weights, and for pooling."""

from typing import Any, Callable, Dict

import numpy as np

from .onnx_step import Size, Step

__all__ = ["RULES"]


def _convolution(step: Step) -> str:
    step.choice("layout", {"NCHW": "", "NCW": "", "None": ""}, "None")
    axes = len(step.option("kernel"))
    # the bias is not there where the operator has none
    return step.emit(
        "Conv",
        *step.inputs,
        kernel_shape=list(step.option("kernel")),
        strides=list(step.option("stride") or [1] * axes),
        dilations=list(step.option("dilate") or [1] * axes),
        pads=list(step.option("pad") or [0] * axes) * 2,
        group=int(step.option("num_group", 1)),
    )


def _fully_connected(step: Step) -> str:
    x, weight, *bias = step.inputs
    if step.node.flag("flatten", True):
        x = step.reshape(x, step.shapes[0], (step.shapes[0][0], step.shapes[1][1]))
    product = step.emit("MatMul", x, step.swapped(weight, 2))
    return step.emit("Add", product, *bias) if bias else product


def _batch_norm(step: Step) -> str:
    x, gamma, beta, mean, variance = step.inputs
    if step.axis(default=1) != 1:
        step.refuse("axis", step.option("axis"))
    if step.node.flag("fix_gamma", True):
        gamma = step.filled(step.shapes[1], 1)
    return step.emit("BatchNormalization", x, gamma, beta, mean, variance, epsilon=float(step.option("eps", 1e-3)))


def _layer_norm(step: Step) -> str:
    x, gamma, beta = step.inputs
    rank, axis = len(step.shapes[0]), step.axis()
    # ONNX normalises all axes from one on, MXNet one
    there = (*(other for other in range(rank) if other != axis), axis)
    x = step.transpose(x, *there)
    x = step.emit("LayerNormalization", x, gamma, beta, axis=-1, epsilon=float(step.option("eps", 1e-5)))
    return step.transpose(x, *(int(at) for at in np.argsort(there)))


def _pooling(step: Step) -> str:
    step.choice("layout", {"NCHW": "", "NCW": "", "None": ""}, "None")
    kind = step.choice("pool_type", {"max": "MaxPool", "avg": "AveragePool"}, "max")
    x = step.inputs[0]
    if step.node.flag("global_pool"):
        return step.emit(f"Global{kind}", x)
    kernel = list(step.option("kernel"))
    strides = list(step.option("stride") or [1] * len(kernel))
    pads = list(step.option("pad") or [0] * len(kernel))
    if set(kernel) == set(strides) == {1} and not any(pads):
        return x
    ceil = step.choice("pooling_convention", {"valid": 0, "full": 1}, "valid")
    average = {}
    if kind == "AveragePool":
        counted = step.node.flag("count_include_pad", True)
        if counted and ceil:
            # runtimes disagree whether what lies beyond the padding counts, too; to MXNet it does not
            x = step.emit("Pad", x, step.ints(0, 0, *pads, 0, 0, *pads)) if any(pads) else x
            pads, counted = [0] * len(pads), False
        average["count_include_pad"] = int(counted)
    return step.emit(kind, x, kernel_shape=kernel, strides=strides, pads=pads * 2, ceil_mode=ceil, **average)


def _adaptive_pooling(step: Step) -> str:
    size = step.option("output_size", ())
    targets = [size] * 2 if isinstance(size, int) else list(size) or [1, 1]
    x = step.inputs[0]
    if targets == [1, 1]:
        return step.emit("GlobalAveragePool", x)
    sources = step.shapes[0][2:]
    if all(isinstance(source, int) and source % target == 0 for source, target in zip(sources, targets)):
        window = [source // target for source, target in zip(sources, targets)]  # type: ignore[operator]
        return step.emit("AveragePool", x, kernel_shape=window, strides=window)
    rows, columns = (_windows(step, source, target) for source, target in zip(sources, targets))
    return step.emit("MatMul", rows, step.emit("MatMul", x, step.swapped(columns, 2)))


def _windows(step: Step, sources: Size, targets: int) -> str:
    """The matrix (targets, sources) of adaptive average pooling: window i is from floor(i * sources / targets) to
    ceil((i + 1) * sources / targets)."""
    at = np.arange(targets)[:, None]
    size = step.sizes([sources])

    def bound(factors: np.ndarray, more: int) -> str:
        product = step.emit("Mul", size, step.table(factors))
        product = step.emit("Add", product, step.ints(more)) if more else product
        return step.emit("Div", product, step.ints(targets))

    begin, end = bound(at, 0), bound(at + 1, targets - 1)
    places = step.steps(sources, "int64")
    inside = step.emit("And", step.emit("GreaterOrEqual", places, begin), step.emit("Less", places, end))
    length = step.emit("Cast", step.emit("Sub", end, begin), to="float32")
    return step.emit("Div", step.emit("Cast", inside, to="float32"), length)


RULES: Dict[str, Callable[[Step], Any]] = {
    "Convolution": _convolution,
    "FullyConnected": _fully_connected,
    "BatchNorm": _batch_norm,
    "LayerNorm": _layer_norm,
    "Pooling": _pooling,
    "_contrib_AdaptiveAvgPooling2D": _adaptive_pooling,
}
