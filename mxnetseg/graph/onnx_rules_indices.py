"""ONNX for operators that take numbers by their places, or sort them."""

from typing import Any, Callable, Dict, List, Tuple

from .onnx_step import Size, Step

__all__ = ["RULES"]


def _places(step: Step, indices: str, size: Size) -> str:
    """MXNet's indices are floats, and brought into range."""
    places = step.emit("Cast", indices, to="int64")
    if step.option("mode") == "wrap":
        return step.emit("Mod", places, step.sizes([size]))
    last = step.ints(size - 1) if isinstance(size, int) else step.emit("Sub", step.sizes([size]), step.ints(1))
    return step.emit("Max", step.emit("Min", places, last), step.ints(0))


def _take(step: Step) -> str:
    axis = step.axis(default=0)
    return step.emit("Gather", step.inputs[0], _places(step, step.inputs[1], step.shapes[0][axis]), axis=axis)


def _embedding(step: Step) -> str:
    return step.emit("Gather", step.inputs[1], _places(step, step.inputs[0], step.shapes[1][0]), axis=0)


def _pick(step: Step) -> str:
    if step.option("axis", -1) is None:
        step.refuse("axis", None)
    axis, places = step.axis(), step.inputs[1]
    if len(step.shapes[1]) < len(step.shapes[0]):
        places = step.emit("Unsqueeze", places, step.ints(axis))
    picked = step.emit("GatherElements", step.inputs[0], _places(step, places, step.shapes[0][axis]), axis=axis)
    return picked if step.node.flag("keepdims") else step.emit("Squeeze", picked, step.ints(axis))


def _gather_nd(step: Step) -> str:
    """The places of one number are a column to MXNet, a row to ONNX."""
    rank = len(step.shapes[1])
    return step.emit(
        "GatherND", step.inputs[0], step.emit("Cast", step.transpose(step.inputs[1], *range(1, rank), 0), to="int64")
    )


def _one_hot(step: Step) -> str:
    places = step.emit("Cast", step.emit("Unsqueeze", step.inputs[0], step.ints(-1)), to="int64")
    hot = step.emit("Equal", places, step.steps(int(step.option("depth")), "int64"))
    return step.emit("Where", hot, step.number(step.option("on_value", 1)), step.number(step.option("off_value", 0)))


def _sorted(step: Step, ascending: bool, count: int = 0) -> Tuple[str, str]:
    """The least or greatest numbers, all where `count` is 0, and where they were, as floats."""
    x, axis, shape = step.inputs[0], step.option("axis", -1), step.shapes[0]
    if axis is None:
        if not count:
            step.refuse("axis", None)
        x, axis, shape = step.emit("Reshape", x, step.ints(-1)), 0, shape[:1]
    size = count or shape[axis]
    values, places = step.emit_several(
        2, "TopK", x, step.sizes([size]), axis=axis % len(shape), largest=int(not ascending)
    )
    return values, step.emit("Cast", places, to="float32")


def _sort(step: Step) -> str:
    return _sorted(step, step.node.flag("is_ascend", True))[0]


def _argsort(step: Step) -> str:
    return _sorted(step, step.node.flag("is_ascend", True))[1]


def _topk(step: Step) -> List[str]:
    kept = step.choice("ret_typ", {"value": slice(0, 1), "indices": slice(1, 2), "both": slice(2)}, "indices")
    return list(_sorted(step, step.node.flag("is_ascend"), max(int(step.option("k", 1)), 0)))[kept]


RULES: Dict[str, Callable[[Step], Any]] = {
    "take": _take,
    "Embedding": _embedding,
    "pick": _pick,
    "gather_nd": _gather_nd,
    "one_hot": _one_hot,
    "sort": _sort,
    "argsort": _argsort,
    "topk": _topk,
}
