"""ONNX for operators that go number by number."""

import math
from typing import Any, Callable, Dict, Optional, Tuple

from .onnx_step import Step

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
    "reciprocal": "Reciprocal",
    "abs": "Abs",
    "sign": "Sign",
    "floor": "Floor",
    "ceil": "Ceil",
    "negative": "Neg",
    "erf": "Erf",
    "sin": "Sin",
    "cos": "Cos",
    "tan": "Tan",
    "arcsin": "Asin",
    "arccos": "Acos",
    "arctan": "Atan",
    "sinh": "Sinh",
    "cosh": "Cosh",
    "arcsinh": "Asinh",
    "arccosh": "Acosh",
    "arctanh": "Atanh",
}
# numbers times one of these
FACTORS = {"log2": 1 / math.log(2), "log10": 1 / math.log(10), "degrees": 180 / math.pi, "radians": math.pi / 180}
ACTIVATIONS = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "softsign": "Softsign", "softrelu": "Softplus"}
PAIRS = {"add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div"}
MORE_PAIRS = {"maximum": "Max", "minimum": "Min", "power": "Pow"}
SCALARS = {"plus": "Add", "minus": "Sub", "mul": "Mul", "div": "Div", "power": "Pow"}
NEUTRAL = {"plus": 0, "minus": 0, "mul": 1, "div": 1, "power": 1}
COMPARISONS = {
    "greater": "Greater",
    "greater_equal": "GreaterOrEqual",
    "lesser": "Less",
    "lesser_equal": "LessOrEqual",
    "equal": "Equal",
}
FORMS = ("_{}", "broadcast_{}", "_{}_scalar")  # of operators of two: of equal shapes, of others, with a number
LOGIC = {"and": "And", "or": "Or", "xor": "Xor"}
# what Cast rounds to; numbers are float32 again behind it
ROUNDED = {name: name for name in ("float16", "int8", "int32", "int64", "uint8")}


def _same(step: Step) -> str:
    return step.inputs[0]


def _unary(op: str) -> Rule:
    return lambda step: step.emit(op, step.inputs[0])


def _as_number(step: Step, truth: str) -> str:
    """MXNet's comparisons give numbers."""
    return step.emit("Cast", truth, to="float32")


def _truth(step: Step, x: str) -> str:
    return step.emit("Not", step.emit("Equal", x, step.number(0)))


def _factor(factor: float, first: str = "") -> Rule:
    def rule(step: Step) -> str:
        x = step.emit(first, step.inputs[0]) if first else step.inputs[0]
        return step.emit("Mul", x, step.number(factor))

    return rule


def _rsqrt(step: Step) -> str:
    return step.emit("Reciprocal", step.emit("Sqrt", step.inputs[0]))


def _cbrt(step: Step) -> str:
    root = step.emit("Pow", step.emit("Abs", step.inputs[0]), step.number(1 / 3))
    return step.emit("Mul", root, step.emit("Sign", step.inputs[0]))


def _expm1(step: Step) -> str:
    return step.emit("Sub", step.emit("Exp", step.inputs[0]), step.number(1))


def _log1p(step: Step) -> str:
    return step.emit("Log", step.emit("Add", step.inputs[0], step.number(1)))


def _up_from(step: Step, x: str, op: str) -> str:
    """The whole number below, or that above, where the rest is `op` 0.5."""
    below = step.emit("Floor", x)
    return step.emit("Add", below, _as_number(step, step.emit(op, step.emit("Sub", x, below), step.number(0.5))))


def _rint(step: Step) -> str:
    """A half goes down."""
    return _up_from(step, step.inputs[0], "Greater")


def _round(step: Step) -> str:
    """A half goes away from zero."""
    rounded = _up_from(step, step.emit("Abs", step.inputs[0]), "GreaterOrEqual")
    return step.emit("Mul", rounded, step.emit("Sign", step.inputs[0]))


def _truncated(step: Step) -> str:
    return step.emit("Mul", step.emit("Floor", step.emit("Abs", step.inputs[0])), step.emit("Sign", step.inputs[0]))


def _logical_not(step: Step) -> str:
    return _as_number(step, step.emit("Equal", step.inputs[0], step.number(0)))


def _cast(step: Step) -> str:
    """Values stay float32, as the rules behind expect."""
    if step.option("dtype") in ("float32", "float64"):
        return step.inputs[0]
    if step.option("dtype") == "bool":
        return _as_number(step, _truth(step, step.inputs[0]))
    return _as_number(step, step.emit("Cast", step.inputs[0], to=step.choice("dtype", ROUNDED)))


# -- of two


def _operands(step: Step, swapped: bool = False) -> Tuple[str, str]:
    """Two maps, or a map and a number."""
    one, other = step.inputs if len(step.inputs) > 1 else (step.inputs[0], step.number(step.option("scalar", 0)))
    return (other, one) if swapped else (one, other)


def _pair(op: str, swapped: bool = False, neutral: Optional[float] = None) -> Rule:
    """`neutral` is the number that changes nothing."""

    def rule(step: Step) -> str:
        if neutral is not None and float(step.option("scalar", 0)) == neutral:
            return step.inputs[0]
        return step.emit(op, *_operands(step, swapped))

    return rule


def _compared(op: str) -> Rule:
    return lambda step: _as_number(step, step.emit(op, *_operands(step)))


def _not_equal(step: Step) -> str:
    return _as_number(step, step.emit("Not", step.emit("Equal", *_operands(step))))


def _logical(op: str) -> Rule:
    return lambda step: _as_number(step, step.emit(op, *(_truth(step, x) for x in _operands(step))))


def _modulo(swapped: bool = False) -> Rule:
    """The rest has the divisor's sign, and is 0 where that is 0."""

    def rule(step: Step) -> str:
        x, divisor = _operands(step, swapped)
        rest = step.emit("Mod", x, divisor, fmod=1)
        other = step.emit("Less", step.emit("Mul", step.emit("Sign", rest), divisor), step.number(0))
        rest = step.emit("Where", other, step.emit("Add", rest, divisor), rest)
        return step.emit("Where", _truth(step, divisor), rest, step.number(0))

    return rule


def _hypot(step: Step) -> str:
    one, other = (step.emit("Mul", x, x) for x in _operands(step))
    return step.emit("Sqrt", step.emit("Add", one, other))


def _add(step: Step) -> str:
    for one, other in ((0, 1), (1, 0)):
        # a sum with zeros is there for the order in which MXNet works
        if step.node.inputs[other].node.op == "zeros_like" and step.shapes[one] == step.result:
            return step.inputs[one]
    return step.emit("Add", *step.inputs)


def _sum_of_all(step: Step) -> str:
    return step.emit("Sum", *step.inputs)


def _square(step: Step) -> str:
    return step.emit("Mul", step.inputs[0], step.inputs[0])


def _clip(step: Step) -> str:
    limits = (step.number(step.option(name)) for name in ("a_min", "a_max"))
    return step.emit("Clip", step.inputs[0], *limits)


def _where(step: Step) -> str:
    """A condition of one axis is one of the first axis."""
    condition, behind = step.inputs[0], len(step.result) - len(step.shapes[0])
    if behind:
        condition = step.emit("Unsqueeze", condition, step.ints(*range(1, 1 + behind)))
    return step.emit("Where", _truth(step, condition), *step.inputs[1:])


# -- activations


def _activation(step: Step) -> str:
    return step.emit(step.choice("act_type", ACTIVATIONS), step.inputs[0])


def _hard_sigmoid(step: Step) -> str:
    alpha, beta = float(step.option("alpha", 0.2)), float(step.option("beta", 0.5))
    return step.emit("HardSigmoid", step.inputs[0], alpha=alpha, beta=beta)


def _leaky_relu(step: Step) -> str:
    kinds = {"leaky": "LeakyRelu", "rrelu": "LeakyRelu", "elu": "Elu", "selu": "Selu", "prelu": "PRelu", "gelu": "Gelu"}
    op, kind = step.choice("act_type", kinds, "leaky"), step.option("act_type", "leaky")
    if kind in ("gelu", "selu"):
        return step.emit(op, step.inputs[0])
    if kind == "prelu":  # a slope per channel
        channels = step.shapes[1][0]
        behind = len(step.shapes[0]) - 2 if channels != 1 else 0
        slopes = step.reshape(step.inputs[1], step.shapes[1], (channels, *[1] * behind))
        return step.emit(op, step.inputs[0], slopes)
    slope = float(step.option("slope", 0.25))
    if kind == "rrelu":  # which is random in training alone
        slope = (float(step.option("lower_bound", 0.125)) + float(step.option("upper_bound", 0.334))) / 2
    return step.emit(op, step.inputs[0], alpha=slope)


RULES: Dict[str, Rule] = {
    **dict.fromkeys(("_copy", "BlockGrad", "Dropout", "make_loss", "MakeLoss"), _same),
    **{name: _unary(op) for name, op in UNARY.items()},
    **{name: _factor(factor, "Log" if name.startswith("log") else "") for name, factor in FACTORS.items()},
    **{f"{kind}_{name}": _pair(op) for kind in ("elemwise", "broadcast") for name, op in PAIRS.items()},
    **{form.format(name): _pair(op) for name, op in MORE_PAIRS.items() for form in FORMS},
    **{f"_{name}_scalar": _pair(op, neutral=NEUTRAL[name]) for name, op in SCALARS.items()},
    **{f"_r{name}_scalar": _pair(SCALARS[name], swapped=True) for name in ("minus", "div", "power")},
    **{form.format(name): _compared(op) for name, op in COMPARISONS.items() for form in FORMS},
    **{form.format(f"logical_{name}"): _logical(op) for name, op in LOGIC.items() for form in FORMS},
    **{form.format("not_equal"): _not_equal for form in FORMS},
    **{form.format("hypot"): _hypot for form in FORMS},
    **{form.format("mod"): _modulo() for form in FORMS},
    "_rmod_scalar": _modulo(swapped=True),
    "elemwise_add": _add,
    "broadcast_add": _add,
    "add_n": _sum_of_all,
    "square": _square,
    "rsqrt": _rsqrt,
    "cbrt": _cbrt,
    "expm1": _expm1,
    "log1p": _log1p,
    "rint": _rint,
    "round": _round,
    "fix": _truncated,
    "trunc": _truncated,
    "logical_not": _logical_not,
    "Cast": _cast,
    "amp_cast": _cast,
    "clip": _clip,
    "where": _where,
    "Activation": _activation,
    "hard_sigmoid": _hard_sigmoid,
    "LeakyReLU": _leaky_relu,
}
