"""ONNX for operators that sample maps at places that other maps say."""

from typing import Any, Callable, Dict

import numpy as np

from .onnx_step import Shape, Size, Step

__all__ = ["RULES"]

TAPS = 9  # of a 3x3 window, row by row


def _bilinear_sampler(step: Step) -> str:
    grid = step.transpose(step.inputs[1], 0, 2, 3, 1)
    return step.emit("GridSample", step.inputs[0], grid, mode="linear", padding_mode="zeros", align_corners=1)


def _deform_unfold(step: Step) -> str:
    (x, offset), (shape, places) = step.inputs, step.shapes
    sampled = _sampled(step, x, _grid(step, offset, places[2:], shape[2:], int(step.option("stride", 1))))
    return step.emit("Reshape", sampled, step.ints(0, _channels(shape) * TAPS, -1))


def _deform_attention(step: Step) -> str:
    q, k, v, offset, position = step.inputs
    _, height, width, channels = step.shapes[0]
    heads = int(step.option("heads"))
    depth = int(channels) // heads  # type: ignore[arg-type]

    def maps(value: str, count: int) -> str:
        """(N, H, W, heads * count) -> (N * heads, count, H, W)"""
        value = step.emit("Reshape", value, step.ints(0, 0, 0, heads, count))
        return step.emit("Reshape", step.transpose(value, 0, 3, 4, 1, 2), step.sizes([-1, count, height, width]))

    grid = _grid(step, maps(offset, 2 * TAPS), (height, width), (height, width), 1)

    def samples(value: str) -> str:
        """(N * heads, depth, 9, H * W)"""
        return step.emit("Reshape", _sampled(step, maps(value, depth), grid), step.ints(0, depth, TAPS, -1))

    query = step.emit("Reshape", maps(q, depth), step.ints(0, depth, 1, -1))
    logits = step.emit("ReduceSum", step.emit("Mul", samples(k), query), step.ints(1), keepdims=1)
    bias = step.emit("Reshape", maps(position, TAPS), step.ints(0, 1, TAPS, -1))
    logits = step.emit("Add", step.emit("Mul", logits, step.number(step.option("scale"))), bias)
    weighted = step.emit("Mul", samples(v), step.emit("Softmax", logits, axis=2))
    out = step.emit("ReduceSum", weighted, step.ints(2), keepdims=0)  # (N * heads, depth, H * W)
    out = step.emit("Reshape", out, step.sizes([-1, heads, depth, height, width]))
    return step.emit("Reshape", step.transpose(out, 0, 3, 4, 1, 2), step.ints(0, 0, 0, heads * depth))


def _grid(step: Step, offset: str, places: Shape, source: Shape, stride: int) -> str:
    """Where all taps of a displaced 3x3 window lie in a map of the size `source`, from -1 at its upper left edge to 1
    at its lower right one, x before y: offsets (B, 18, h, w) where h, w is `places` -> (B, 9 * h * w, 1, 2)."""
    padding, dilation = int(step.option("padding", 1)), int(step.option("dilation", 1))
    height, width = places
    pairs = step.emit("Reshape", offset, step.sizes([0, TAPS, 2, height, width]))
    y, x = step.emit_several(2, "Split", pairs, step.ints(1, 1), axis=2)
    tap = np.arange(TAPS).reshape(TAPS, 1, 1, 1)
    sides = []
    for displaced, target, size, window, shape in (
        (x, width, source[1], tap % 3, (1, -1)),
        (y, height, source[0], tap // 3, (-1, 1)),
    ):
        start = step.number(window * dilation - padding)
        sides.append(_side(step, displaced, target, size, start, shape, stride))
    grid = step.transpose(step.emit("Concat", *sides, axis=2), 0, 1, 3, 4, 2)
    return step.emit("Reshape", grid, step.ints(0, -1, 1, 2))


def _side(step: Step, displaced: str, target: Size, size: Size, start: str, shape: Any, stride: int) -> str:
    """(2 * (place + displacement) + 1) / size - 1, for pixels' centres: that has no size which divides by zero."""
    steps = step.steps(target)
    steps = steps if stride == 1 else step.emit("Mul", steps, step.number(stride))
    places = step.emit("Add", step.emit("Reshape", steps, step.ints(*shape)), start)  # (9, 1, h, 1) or (9, 1, 1, w)
    half = step.emit("Div", step.as_float(size), step.number(2))
    fixed = step.emit("Div", step.emit("Add", places, step.number(0.5)), half)
    fixed = step.emit("Sub", fixed, step.number(1))
    return step.emit("Add", step.emit("Div", displaced, half), fixed)


def _sampled(step: Step, x: str, grid: str) -> str:
    """(B, C, H, W) at (B, L, 1, 2) -> (B, C, L, 1); pixels beyond the map are 0."""
    return step.emit("GridSample", x, grid, mode="linear", padding_mode="zeros", align_corners=0)


def _channels(shape: Shape) -> int:
    return int(shape[1])  # type: ignore[arg-type]


RULES: Dict[str, Callable[[Step], Any]] = {
    "BilinearSampler": _bilinear_sampler,
    "mxnetseg_deform_unfold": _deform_unfold,
    "mxnetseg_deform_attention": _deform_attention,
}
