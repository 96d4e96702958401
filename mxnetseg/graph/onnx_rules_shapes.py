"""ONNX for operators that move numbers or make them from shapes."""

from typing import Any, Callable, Dict, List, Optional

from .onnx_step import Free, Size, Step

__all__ = ["RULES"]

FIRST, LAST = -(2**63), 2**63 - 1  # before and behind any place


def _reshape(step: Step) -> str:
    return step.reshape(step.inputs[0], step.shapes[0], step.result)


def _expand_dims(step: Step) -> str:
    return step.emit("Unsqueeze", step.inputs[0], step.ints(step.axis(beside=1)))


def _transpose(step: Step) -> str:
    rank = len(step.shapes[0])
    axes = step.option("axes") or tuple(reversed(range(rank)))
    return step.transpose(step.inputs[0], *(axis % rank for axis in axes))


def _swap_axis(step: Step) -> str:
    order = list(range(len(step.shapes[0])))
    one, other = step.axis("dim1", 0), step.axis("dim2", 0)
    order[one], order[other] = other, one
    return step.transpose(step.inputs[0], *order)


def _concat(step: Step) -> str:
    return step.emit("Concat", *step.inputs, axis=step.axis("dim", 1))


def _stack(step: Step) -> str:
    axis = step.axis(default=0, beside=1)
    return step.emit("Concat", *(step.emit("Unsqueeze", x, step.ints(axis)) for x in step.inputs), axis=axis)


def _slice_channel(step: Step) -> List[str]:
    return _split(step, step.axis(default=1), int(step.option("num_outputs")))


def _split(step: Step, axis: int, parts: int) -> List[str]:
    size = step.shapes[0][axis]
    if isinstance(size, Free):
        values = step.emit_several(parts, "Split", step.inputs[0], axis=axis, num_outputs=parts)
    else:
        values = step.emit_several(parts, "Split", step.inputs[0], step.ints(*[size // parts] * parts), axis=axis)
    return _squeezed(step, values, axis)


def _squeezed(step: Step, values: List[str], axis: int) -> List[str]:
    if step.node.flag("squeeze_axis"):
        return [step.emit("Squeeze", value, step.ints(axis)) for value in values]
    return values


def _split_v2(step: Step) -> List[str]:
    axis, parts = step.axis(default=1), int(step.option("sections", 0))
    if parts:
        return _split(step, axis, parts)
    begins = step.option("indices")
    bounds = zip(begins, [*begins[1:], LAST])
    cut = [[step.ints(number) for number in (begin, end, axis)] for begin, end in bounds]
    return _squeezed(step, [step.emit("Slice", step.inputs[0], *where) for where in cut], axis)


def _slice(step: Step) -> str:
    begin, end = step.option("begin"), step.option("end")
    stride = step.option("step") or [None] * len(begin)
    begins, ends, axes, strides = [], [], [], []
    for axis, (first, last, pace) in enumerate(zip(begin, end, stride)):
        pace = pace or 1
        if first is None and last is None and pace == 1:
            continue
        begins.append((0 if pace > 0 else LAST) if first is None else first)
        ends.append((LAST if pace > 0 else FIRST) if last is None else last)
        axes.append(axis)
        strides.append(pace)
    if not axes:
        return step.inputs[0]
    return step.emit("Slice", step.inputs[0], *(step.ints(*numbers) for numbers in (begins, ends, axes, strides)))


def _slice_axis(step: Step) -> str:
    end: Optional[int] = step.option("end")
    bounds = step.ints(step.option("begin", 0)), step.ints(LAST if end is None else end)
    return step.emit("Slice", step.inputs[0], *bounds, step.ints(step.axis()))


def _slice_like(step: Step) -> str:
    rank = len(step.shapes[0])
    axes = sorted(axis % rank for axis in step.option("axes") or range(len(step.shapes[1])))
    cut = [axis for axis in axes if step.shapes[0][axis] != step.shapes[1][axis]]
    if not cut:
        return step.inputs[0]
    ends = step.sizes([step.shapes[1][axis] for axis in cut])
    return step.emit("Slice", step.inputs[0], step.ints(*[0] * len(cut)), ends, step.ints(*cut))


def _tile(step: Step) -> str:
    reps = step.option("reps")
    reps = [reps] if isinstance(reps, int) else list(reps)
    x, shape = step.inputs[0], step.shapes[0]
    if len(reps) > len(shape):
        x = step.emit("Unsqueeze", x, step.ints(*range(len(reps) - len(shape))))
    return step.emit("Tile", x, step.ints(*[1] * (len(shape) - len(reps)), *reps))


def _repeat(step: Step) -> str:
    x, count = step.inputs[0], int(step.option("repeats"))
    if step.option("axis") is None:
        axis, x = 0, step.emit("Reshape", x, step.ints(-1))
    else:
        axis = step.axis()
    rest = step.result[axis + 1 :]
    x = step.emit("Unsqueeze", x, step.ints(axis + 1))
    x = step.emit("Tile", x, step.ints(*[1] * (axis + 1), count, *[1] * len(rest)))
    return step.emit("Reshape", x, step.sizes([*[0] * axis, -1, *rest]))


def _reverse(step: Step) -> str:
    axes = step.option("axis")
    axes = [axes] if isinstance(axes, int) else axes
    count = len(axes)
    ends = ([-1] * count, [FIRST] * count, axes, [-1] * count)
    return step.emit("Slice", step.inputs[0], *(step.ints(*numbers) for numbers in ends))


def _crop(step: Step) -> str:
    """Of the last two axes, to a size or to that of a second map."""
    (rows, columns), target = step.option("offset", (0, 0)), step.result[2:]
    if step.shapes[0][2:] == target:
        return step.inputs[0]
    if step.node.flag("center_crop"):
        sources = step.shapes[0][2:]
        if any(isinstance(size, Free) for size in (*sources, *target)):
            step.refuse("center_crop", True)
        rows, columns = ((source - size) // 2 for source, size in zip(sources, target))  # type: ignore[operator]
    begins, sizes = step.ints(rows, columns), step.sizes(target)
    ends = step.emit("Add", sizes, begins) if rows or columns else sizes
    return step.emit("Slice", step.inputs[0], begins, ends, step.ints(2, 3))


def _depth_to_space(step: Step) -> str:
    return step.emit("DepthToSpace", step.inputs[0], blocksize=int(step.option("block_size")), mode="DCR")


def _space_to_depth(step: Step) -> str:
    return step.emit("SpaceToDepth", step.inputs[0], blocksize=int(step.option("block_size")))


def _broadcast(step: Step) -> str:
    target: List[Size] = [1 if a == b else b for a, b in zip(step.shapes[0], step.result)]
    return step.emit("Expand", step.inputs[0], step.sizes(target))


def _pad(step: Step) -> str:
    mode = step.choice("mode", {name: name for name in ("constant", "edge", "reflect")})
    width = step.option("pad_width")
    pads = step.ints(*width[::2], *width[1::2])
    if mode != "constant":
        return step.emit("Pad", step.inputs[0], pads, mode=mode)
    return step.emit("Pad", step.inputs[0], pads, step.number(step.option("constant_value", 0)))


def _arange_like(step: Step) -> str:
    axis = step.option("axis")
    if axis is None or step.option("repeat", 1) != 1:
        step.refuse("axis" if axis is None else "repeat", axis)
    steps = step.steps(step.shapes[0][step.axis()])
    start, pace = float(step.option("start", 0)), float(step.option("step", 1))
    if pace != 1:
        steps = step.emit("Mul", steps, step.number(pace))
    return step.emit("Add", steps, step.number(start)) if start else steps


def _shape(step: Step) -> str:
    return step.emit("Cast", step.sizes(step.shapes[0]), to="float32")


def _size(step: Step) -> str:
    return step.emit("Cast", step.emit("ReduceProd", step.sizes(step.shapes[0]), keepdims=1), to="float32")


def _filled(number: float) -> Callable[[Step], str]:
    return lambda step: step.filled(step.result, number)


RULES: Dict[str, Callable[[Step], Any]] = {
    "Reshape": _reshape,
    "reshape_like": _reshape,
    "Flatten": _reshape,
    "squeeze": _reshape,
    "expand_dims": _expand_dims,
    "transpose": _transpose,
    "SwapAxis": _swap_axis,
    "Concat": _concat,
    "stack": _stack,
    "SliceChannel": _slice_channel,
    "_split_v2": _split_v2,
    "slice": _slice,
    "slice_axis": _slice_axis,
    "slice_like": _slice_like,
    "tile": _tile,
    "repeat": _repeat,
    "reverse": _reverse,
    "Crop": _crop,
    "depth_to_space": _depth_to_space,
    "space_to_depth": _space_to_depth,
    **dict.fromkeys(("broadcast_like", "broadcast_to", "broadcast_axis"), _broadcast),
    "Pad": _pad,
    "_contrib_arange_like": _arange_like,
    "shape_array": _shape,
    "size_array": _size,
    "zeros_like": _filled(0),
    "ones_like": _filled(1),
}
