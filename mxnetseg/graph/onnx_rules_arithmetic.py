"""ONNX for operators that go number by number, for sums over axes, and for products of matrices."""

from typing import Any, Callable, Dict, List

from .onnx_step import Shape, Step

__all__ = ["RULES"]

Rule = Callable[[Step], Any]

UNARY = {
    "relu": "Relu",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "softsign": "Softsign",
    "exp": "Exp",
    "log": "Log",
    "sqrt": "Sqrt",
    "abs": "Abs",
    "floor": "Floor",
    "ceil": "Ceil",
    "negative": "Neg",
    "erf": "Erf",
}
ACTIVATIONS = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "softsign": "Softsign", "softrelu": "Softplus"}
PAIRS = {"add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div"}
EXTREMES = {"maximum": "Max", "minimum": "Min"}
COMPARISONS = {
    "greater": "Greater",
    "greater_equal": "GreaterOrEqual",
    "lesser": "Less",
    "lesser_equal": "LessOrEqual",
    "equal": "Equal",
}
SCALARS = {"plus": "Add", "minus": "Sub", "mul": "Mul", "div": "Div", "power": "Pow"}
NEUTRAL = {"plus": 0, "minus": 0, "mul": 1, "div": 1, "power": 1}
REDUCTIONS = {"sum": "ReduceSum", "mean": "ReduceMean", "max": "ReduceMax", "min": "ReduceMin"}


def _same(step: Step) -> str:
    return step.inputs[0]


def _unary(op: str) -> Rule:
    return lambda step: step.emit(op, step.inputs[0])


def _pair(op: str) -> Rule:
    return lambda step: step.emit(op, *step.inputs)


def _compared(op: str) -> Rule:
    """MXNet's comparisons give numbers."""
    return lambda step: step.emit("Cast", step.emit(op, *step.inputs), to="float32")


def _scalar(op: str, neutral: float) -> Rule:
    def rule(step: Step) -> str:
        scalar = float(step.option("scalar", 0))
        return step.inputs[0] if scalar == neutral else step.emit(op, step.inputs[0], step.number(scalar))

    return rule


def _scalar_first(op: str) -> Rule:
    return lambda step: step.emit(op, step.number(step.option("scalar", 0)), step.inputs[0])


def _compared_to_scalar(op: str) -> Rule:
    def rule(step: Step) -> str:
        return step.emit("Cast", step.emit(op, step.inputs[0], step.number(step.option("scalar", 0))), to="float32")

    return rule


def _add(step: Step) -> str:
    for one, other in ((0, 1), (1, 0)):
        # a sum with zeros is there for the order in which MXNet works
        if step.node.inputs[other].node.op == "zeros_like" and step.shapes[one] == step.result:
            return step.inputs[one]
    return step.emit("Add", *step.inputs)


def _square(step: Step) -> str:
    return step.emit("Mul", step.inputs[0], step.inputs[0])


def _clip(step: Step) -> str:
    limits = (step.number(step.option(name)) for name in ("a_min", "a_max"))
    return step.emit("Clip", step.inputs[0], *limits)


def _where(step: Step) -> str:
    condition = step.emit("Not", step.emit("Equal", step.inputs[0], step.number(0)))
    return step.emit("Where", condition, *step.inputs[1:])


def _activation(step: Step) -> str:
    return step.emit(step.choice("act_type", ACTIVATIONS), step.inputs[0])


def _leaky_relu(step: Step) -> str:
    kind = step.choice("act_type", {name: name for name in ("leaky", "elu", "prelu", "gelu")}, "leaky")
    slope = float(step.option("slope", 0.25))
    if kind == "gelu":
        return step.emit("Gelu", step.inputs[0])
    if kind == "prelu":  # a slope per channel
        channels = step.shapes[1][0]
        behind = len(step.shapes[0]) - 2 if channels != 1 else 0
        slopes = step.reshape(step.inputs[1], step.shapes[1], (channels, *[1] * behind))
        return step.emit("PRelu", step.inputs[0], slopes)
    return step.emit("LeakyRelu" if kind == "leaky" else "Elu", step.inputs[0], alpha=slope)


def _reduction(op: str) -> Rule:
    def rule(step: Step) -> str:
        rank = len(step.shapes[0])
        axes = step.option("axis", ())
        axes = [axis % rank for axis in ((axes,) if isinstance(axes, int) else axes or range(rank))]
        if step.node.flag("exclude"):
            axes = [axis for axis in range(rank) if axis not in axes]
        kept = step.node.flag("keepdims")
        # of everything MXNet makes an array of one number, not a number
        whole = len(axes) == rank and not kept
        reduced = step.emit(op, step.inputs[0], step.ints(*axes), keepdims=int(kept or (whole and rank == 1)))
        return step.emit("Reshape", reduced, step.ints(1)) if whole and rank > 1 else reduced

    return rule


def _softmax(step: Step) -> str:
    return _softmax_of(step, step.inputs[0])


def _softmin(step: Step) -> str:
    return _softmax_of(step, step.emit("Neg", step.inputs[0]))


def _softmax_of(step: Step, x: str) -> str:
    if step.node.flag("use_length"):
        step.refuse("use_length", True)
    temperature = step.option("temperature") or 1
    if temperature != 1:
        x = step.emit("Div", x, step.number(temperature))
    return step.emit("Softmax", x, axis=step.axis())


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


RULES: Dict[str, Rule] = {
    **dict.fromkeys(("_copy", "BlockGrad", "Dropout"), _same),
    **{name: _unary(op) for name, op in UNARY.items()},
    **{f"{kind}_{name}": _pair(op) for kind in ("elemwise", "broadcast") for name, op in PAIRS.items()},
    **{f"broadcast_{name}": _pair(op) for name, op in EXTREMES.items()},
    **{f"broadcast_{name}": _compared(op) for name, op in COMPARISONS.items()},
    **{f"_{name}_scalar": _scalar(op, NEUTRAL[name]) for name, op in SCALARS.items()},
    **{f"_r{name}_scalar": _scalar_first(SCALARS[name]) for name in ("minus", "div", "power")},
    **{f"_{name}_scalar": _scalar(op, float("nan")) for name, op in EXTREMES.items()},
    **{f"_{name}_scalar": _compared_to_scalar(op) for name, op in COMPARISONS.items()},
    **{name: _reduction(op) for name, op in REDUCTIONS.items()},
    "elemwise_add": _add,
    "broadcast_add": _add,
    "square": _square,
    "clip": _clip,
    "where": _where,
    "Activation": _activation,
    "LeakyReLU": _leaky_relu,
    "softmax": _softmax,
    "softmin": _softmin,
    "batch_dot": _batch_dot,
    "_linalg_gemm2": _gemm2,
    "dot": _dot,
}
