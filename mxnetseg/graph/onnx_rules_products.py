"""ONNX for products of matrices."""

from typing import Any, Callable, Dict, List

from .onnx_step import Shape, Step

__all__ = ["RULES"]


def _batch_dot(step: Step) -> str:
    return step.emit("MatMul", *_turned(step))


def _gemm2(step: Step) -> str:
    if step.option("axis", -2) != -2:
        step.refuse("axis", step.option("axis"))
    # a product repeats a matrix by itself along the axes before it
    product = step.emit("MatMul", *_turned(step, bare=True))
    alpha = float(step.option("alpha", 1))
    return product if alpha == 1 else step.emit("Mul", product, step.number(alpha))


def _turned(step: Step, bare: bool = False) -> List[str]:
    values = []
    for at, flag in enumerate(("transpose_a", "transpose_b")):
        x, shape = step.inputs[at], step.shapes[at]
        source = step.node.inputs[at].node
        if bare and source.op == "broadcast_like":
            inner = step.value(source.inputs[0])
            if len(inner.shape) == len(shape) and inner.shape[-2:] == shape[-2:]:
                x = inner.name
        values.append(step.swapped(x, len(shape)) if step.node.flag(flag) else x)
    return values


def _dot(step: Step) -> str:
    """The last axis of the first with the first axis of the second (the last, where that is transposed)."""
    (a, b), (left, right) = step.inputs, step.shapes
    if step.node.flag("transpose_a"):
        if len(left) != 2:
            step.refuse("transpose_a", True)
        a, left = step.swapped(a, 2), left[::-1]
    if step.node.flag("transpose_b"):
        axes = (len(right) - 1, *range(len(right) - 1))
        b, right = step.transpose(b, *axes), tuple(right[axis] for axis in axes)
    if len(right) <= 2:
        product = step.emit("MatMul", a, b)
        shape: Shape = (*left[:-1], *right[1:])
        return product if shape else step.emit("Reshape", product, step.ints(1))
    # MatMul would take further axes of the second one by one
    b = step.emit("Reshape", b, step.sizes([right[0], -1]))
    product = step.emit("MatMul", a, b)
    return step.emit("Reshape", product, step.sizes(step.result))


def _div_sqrt_dim(step: Step) -> str:
    return step.emit("Div", step.inputs[0], step.emit("Sqrt", step.as_float(step.shapes[0][-1])))


def _interleaved(step: Step) -> List[str]:
    """(L, N, heads * 3 * d), of each head queries, keys and values -> those, (N, heads, L, d) each."""
    heads = int(step.option("heads"))
    depth = step.shapes[0][2] // (3 * heads)  # type: ignore[operator]
    apart = step.emit("Reshape", step.inputs[0], step.ints(0, 0, heads, 3, depth))
    parts = step.emit_several(3, "Split", step.transpose(apart, 3, 1, 2, 0, 4), step.ints(1, 1, 1), axis=0)
    return [step.emit("Squeeze", part, step.ints(0)) for part in parts]


def _scores(step: Step) -> str:
    query, key, _ = _interleaved(step)
    depth = step.shapes[0][2] // (3 * int(step.option("heads")))  # type: ignore[operator]
    query = step.emit("Div", query, step.number(depth**0.5))
    return step.emit("Reshape", step.emit("MatMul", query, step.swapped(key, 4)), step.sizes([-1, *step.result[1:]]))


def _weighted_sums(step: Step) -> str:
    value = _interleaved(step)[2]
    length = step.shapes[0][0]
    weights = step.emit("Reshape", step.inputs[1], step.sizes([-1, int(step.option("heads")), length, length]))
    sums = step.transpose(step.emit("MatMul", weights, value), 2, 0, 1, 3)
    return step.emit("Reshape", sums, step.ints(0, 0, -1))


RULES: Dict[str, Callable[[Step], Any]] = {
    "batch_dot": _batch_dot,
    "_linalg_gemm2": _gemm2,
    "dot": _dot,
    "_contrib_div_sqrt_dim": _div_sqrt_dim,
    "_contrib_interleaved_matmul_selfatt_qk": _scores,
    "_contrib_interleaved_matmul_selfatt_valatt": _weighted_sums,
}
