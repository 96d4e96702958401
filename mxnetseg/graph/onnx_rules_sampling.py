"""ONNX for operators that sample maps at places that other maps say."""

from typing import Any, Callable, Dict, NamedTuple, Sequence

import numpy as np

from .onnx_step import Shape, Size, Step

__all__ = ["RULES"]

TAPS = 9  # of a 3x3 window, row by row


def _bilinear_sampler(step: Step) -> str:
    return _at(step, step.inputs[1])


def _at(step: Step, grid: str) -> str:
    """The map at a grid (N, 2, h, w) of MXNet's: x before y, -1 and 1 are the centres of the outermost pixels."""
    grid = step.transpose(grid, 0, 2, 3, 1)
    return step.emit("GridSample", step.inputs[0], grid, mode="linear", padding_mode="zeros", align_corners=1)


def _grid_generator(step: Step) -> str:
    if not step.choice("transform_type", {"affine": 0, "warp": 1}):
        return _affine(step, step.inputs[0])
    flow, sides = step.emit_several(2, "Split", step.inputs[0], step.ints(1, 1), axis=1), []
    for displaced, size, shape in zip(flow, step.shapes[0][:1:-1], ((1, 1, 1, -1), (1, 1, -1, 1))):
        place = step.emit("Add", displaced, step.emit("Reshape", step.steps(size), step.ints(*shape)))
        half = step.emit("Div", step.emit("Sub", step.as_float(size), step.number(1)), step.number(2))
        sides.append(step.emit("Sub", step.emit("Div", place, half), step.number(1)))
    return step.emit("Concat", *sides, axis=1)


def _affine(step: Step, matrix: str) -> str:
    """Six numbers for each image -> (N, 2, h, w)."""
    height, width = step.option("target_shape")
    y, x = np.meshgrid(*(np.linspace(-1, 1, size) for size in (height, width)), indexing="ij")
    places = step.number(np.stack([x.ravel(), y.ravel(), np.ones(x.size)]))
    grid = step.emit("MatMul", step.emit("Reshape", matrix, step.ints(-1, 2, 3)), places)
    return step.emit("Reshape", grid, step.ints(0, 2, height, width))


def _spatial_transformer(step: Step) -> str:
    return _at(step, _affine(step, step.inputs[1]))


def _deform_unfold(step: Step) -> str:
    (x, offset), (shape, places) = step.inputs, step.shapes
    window = _Window(
        (3, 3), *([int(step.option(*known))] * 2 for known in (("stride", 1), ("padding", 1), ("dilation", 1)))
    )
    sampled = _sampled(step, x, _grid(step, offset, places[2:], shape[2:], window))
    return step.emit("Reshape", sampled, step.ints(0, _channels(shape) * TAPS, -1))


def _deformable_convolution(step: Step) -> str:
    """Samples of windows, and a product with the weights."""
    modulated = step.node.op != "_contrib_DeformableConvolution"
    x, offset, *others = step.inputs
    shape, (batch, _, height, width) = step.shapes[0], step.shapes[1]
    kernel = step.option("kernel")
    options = (list(step.option(name) or [default] * 2) for name, default in (("stride", 1), ("pad", 0), ("dilate", 1)))
    window = _Window(kernel, *options)
    taps, parts = kernel[0] * kernel[1], int(step.option("num_deformable_group", 1))
    depth, groups = _channels(shape) // parts, int(step.option("num_group", 1))

    def apart(value: str, count: int, sides: Shape) -> str:
        """(N, parts * count, h, w) -> (N * parts, count, h, w)"""
        return value if parts == 1 else step.emit("Reshape", value, step.sizes([-1, count, *sides]))

    grid = _grid(step, apart(offset, 2 * taps, (height, width)), (height, width), shape[2:], window)
    sampled = _sampled(step, apart(x, depth, shape[2:]), grid, "zeros" if modulated else "border")
    weights = apart(others.pop(0), taps, (height, width)) if modulated else _inside(step, grid)
    weights = step.emit("Reshape", weights, step.ints(0, 1, -1, 1))
    columns = step.emit("Mul", sampled, weights)  # (N * parts, depth, taps * h * w, 1)
    rows = _channels(shape) // groups * taps
    columns = step.emit("Reshape", columns, step.sizes([batch, groups, rows, -1]))
    filters = int(step.option("num_filter"))
    weight = step.emit("Reshape", others[0], step.ints(groups, filters // groups, rows))
    out = step.emit("Reshape", step.emit("MatMul", weight, columns), step.sizes([0, filters, height, width]))
    return step.emit("Add", out, step.emit("Reshape", others[1], step.ints(-1, 1, 1))) if others[1:] else out


def _inside(step: Step, grid: str) -> str:
    """1 where a sample is between the centres of the first pixel and beyond that of the last, as far as the map goes,
    and 0 elsewhere."""
    shape = step.shapes[0]
    sizes = step.emit("Concat", *(step.as_float(size) for size in shape[:1:-1]), axis=0)
    first = step.emit("Sub", step.emit("Div", step.number(1), sizes), step.number(1))
    last = step.emit("Add", first, step.number(2))
    inside = step.emit("And", step.emit("GreaterOrEqual", grid, first), step.emit("Less", grid, last))
    return step.emit("ReduceMin", step.emit("Cast", inside, to="float32"), step.ints(3), keepdims=0)


def _deform_attention(step: Step) -> str:
    q, k, v, offset, position = step.inputs
    _, height, width, channels = step.shapes[0]
    heads = int(step.option("heads"))
    depth = int(channels) // heads  # type: ignore[arg-type]

    def maps(value: str, count: int) -> str:
        """(N, H, W, heads * count) -> (N * heads, count, H, W)"""
        value = step.emit("Reshape", value, step.ints(0, 0, 0, heads, count))
        return step.emit("Reshape", step.transpose(value, 0, 3, 4, 1, 2), step.sizes([-1, count, height, width]))

    window = _Window((3, 3), [1, 1], *([int(step.option(name, 1))] * 2 for name in ("padding", "dilation")))
    grid = _grid(step, maps(offset, 2 * TAPS), (height, width), (height, width), window)

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


class _Window(NamedTuple):
    """Of a displaced convolution; each of them is for rows and columns."""

    kernel: Sequence[int]
    stride: Sequence[int]
    padding: Sequence[int]
    dilation: Sequence[int]


def _grid(step: Step, offset: str, places: Shape, source: Shape, window: _Window) -> str:
    """Where all taps of displaced windows lie in a map of the size `source`, from -1 at its upper left edge to 1 at its
    lower right one, x before y: offsets (B, 2 * taps, h, w) where h, w is `places` -> (B, taps * h * w, 1, 2)."""
    count = window.kernel[0] * window.kernel[1]
    pairs = step.emit("Reshape", offset, step.sizes([0, count, 2, *places]))
    displaced = step.emit_several(2, "Split", pairs, step.ints(1, 1), axis=2)
    taps = np.divmod(np.arange(count).reshape(count, 1, 1, 1), window.kernel[1])
    sides = []
    for at, shape in ((1, (1, -1)), (0, (-1, 1))):
        start = step.number(taps[at] * window.dilation[at] - window.padding[at])
        sides.append(_side(step, displaced[at], places[at], source[at], start, shape, window.stride[at]))
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


def _sampled(step: Step, x: str, grid: str, beyond: str = "zeros") -> str:
    """(B, C, H, W) at (B, L, 1, 2) -> (B, C, L, 1); pixels beyond the map are 0, or those of its border."""
    return step.emit("GridSample", x, grid, mode="linear", padding_mode=beyond, align_corners=0)


def _channels(shape: Shape) -> int:
    return int(shape[1])  # type: ignore[arg-type]


RULES: Dict[str, Callable[[Step], Any]] = {
    "BilinearSampler": _bilinear_sampler,
    "GridGenerator": _grid_generator,
    "SpatialTransformer": _spatial_transformer,
    "_contrib_DeformableConvolution": _deformable_convolution,
    "_contrib_ModulatedDeformableConvolution": _deformable_convolution,
    "mxnetseg_deform_unfold": _deform_unfold,
    "mxnetseg_deform_attention": _deform_attention,
}
