"""ONNX for pooling, and for windows as columns."""

from typing import Any, Callable, Dict, List

import numpy as np

from .onnx_step import Size, Step

__all__ = ["RULES"]

KINDS = {"max": "MaxPool", "avg": "AveragePool", "sum": "sum", "lp": "lp"}
CONVENTIONS = {"valid": 0, "full": 1}  # the sizes of maps rounded down, or up


def _pooling(step: Step) -> str:
    step.require_channels_first()
    kind = step.choice("pool_type", KINDS, "max")
    x = step.inputs[0]
    if kind == "sum":
        return _pooled_sum(step, x)
    if kind == "lp":
        return _pooled_norm(step, x)
    if step.node.flag("global_pool"):
        return step.emit(f"Global{kind}", x)
    kernel, strides, pads = _window(step)
    if set(kernel) == set(strides) == {1} and not any(pads):
        return x
    ceil = step.choice("pooling_convention", CONVENTIONS, "valid")
    average = {}
    if kind == "AveragePool":
        counted = step.node.flag("count_include_pad", True)
        if counted and ceil:
            # runtimes disagree whether what lies beyond the padding counts, too; to MXNet it does not
            x = step.emit("Pad", x, step.ints(0, 0, *pads, 0, 0, *pads)) if any(pads) else x
            pads, counted = [0] * len(pads), False
        average["count_include_pad"] = int(counted)
    return step.emit(kind, x, kernel_shape=kernel, strides=strides, pads=pads * 2, ceil_mode=ceil, **average)


def _window(step: Step) -> List[List[int]]:
    """Kernel, strides and padding."""
    kernel = list(step.option("kernel"))
    others = (list(step.option(name) or [default] * len(kernel)) for name, default in (("stride", 1), ("pad", 0)))
    return [kernel, *others]


def _pooled_sum(step: Step, x: str) -> str:
    """A mean times the size of the window, behind so many zeros that no window leaves the map."""
    if step.node.flag("global_pool"):
        return step.emit("ReduceSum", x, step.ints(*range(2, len(step.shapes[0]))), keepdims=1)
    kernel, strides, pads = _window(step)
    full = step.choice("pooling_convention", CONVENTIONS, "valid")
    ends = [pad + (stride - 1) * full for pad, stride in zip(pads, strides)]
    if any(ends):
        x = step.emit("Pad", x, step.ints(0, 0, *pads, 0, 0, *ends))
    mean = step.emit("AveragePool", x, kernel_shape=kernel, strides=strides)
    return step.emit("Mul", mean, step.number(np.prod(kernel)))


def _pooled_norm(step: Step, x: str) -> str:
    """MXNet takes no absolute values before."""
    power = step.choice("p_value", {"1": 1, "2": 2})
    if power == 1:
        return _pooled_sum(step, x)
    return step.emit("Sqrt", _pooled_sum(step, step.emit("Mul", x, x)))


def _im2col(step: Step) -> str:
    """A convolution of every channel whose filters are 1 in one place each."""
    kernel, strides, pads = _window(step)
    channels, count = int(step.shapes[0][1]), int(np.prod(kernel))  # type: ignore[arg-type]
    filters = step.number(np.tile(np.eye(count).reshape(count, 1, *kernel), (channels, *[1] * (len(kernel) + 1))))
    dilations = list(step.option("dilate") or [1] * len(kernel))
    window = dict(kernel_shape=kernel, strides=strides, pads=pads * 2, dilations=dilations, group=channels)
    taps = step.emit("Conv", step.inputs[0], filters, **window)
    return step.emit("Reshape", taps, step.ints(0, channels * count, -1))


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
    "Pooling": _pooling,
    "_contrib_AdaptiveAvgPooling2D": _adaptive_pooling,
    "im2col": _im2col,
}
