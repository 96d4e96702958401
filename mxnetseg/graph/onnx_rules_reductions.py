"""ONNX for sums and the like over axes, and for what stands on them."""

from typing import Any, Callable, Dict, List

from .onnx_step import Step

__all__ = ["RULES"]

Rule = Callable[[Step], Any]

REDUCTIONS = {"sum": "ReduceSum", "mean": "ReduceMean", "max": "ReduceMax", "min": "ReduceMin", "prod": "ReduceProd"}


def _reduction(op: str) -> Rule:
    return lambda step: _reduced(step, step.inputs[0], op)


def _reduced(step: Step, x: str, op: str, name: str = "axis") -> str:
    rank = len(step.shapes[0])
    axes = _axes(step, name)
    kept = step.node.flag("keepdims")
    # of everything MXNet makes an array of one number, not a number
    whole = len(axes) == rank and not kept
    reduced = step.emit(op, x, step.ints(*axes), keepdims=int(kept or (whole and rank == 1)))
    return step.emit("Reshape", reduced, step.ints(1)) if whole and rank > 1 else reduced


def _axes(step: Step, name: str) -> List[int]:
    rank = len(step.shapes[0])
    axes = step.option(name)
    axes = [axis % rank for axis in ((axes,) if isinstance(axes, int) else axes or range(rank))]
    return [axis for axis in range(rank) if axis not in axes] if step.node.flag("exclude") else axes


def _without_nan(op: str, neutral: float) -> Rule:
    def rule(step: Step) -> str:
        x = step.inputs[0]
        return _reduced(step, step.emit("Where", step.emit("IsNaN", x), step.number(neutral), x), op)

    return rule


def _norm(step: Step) -> str:
    return _reduced(step, step.inputs[0], {1: "ReduceL1", 2: "ReduceL2"}[step.option("ord", 2)])


def _moments(step: Step) -> List[str]:
    x, axes = step.inputs[0], step.ints(*_axes(step, "axes"))
    apart = step.emit("Sub", x, step.emit("ReduceMean", x, axes, keepdims=1))
    return [_reduced(step, of, "ReduceMean", "axes") for of in (x, step.emit("Mul", apart, apart))]


def _place(op: str) -> Rule:
    """Of several equal ones the first."""

    def rule(step: Step) -> str:
        x, axis, kept = step.inputs[0], step.option("axis"), int(step.node.flag("keepdims"))
        if axis is None:
            x, axis, kept = step.emit("Reshape", x, step.ints(-1)), 0, 1
        rank = len(step.shapes[0])
        kept = kept or int(rank == 1)  # MXNet has no array without axes
        return step.emit("Cast", step.emit(op, x, axis=axis % rank, keepdims=kept), to="float32")

    return rule


def _cumsum(step: Step) -> str:
    x, axis = step.inputs[0], step.option("axis")
    if axis is None:
        x, axis = step.emit("Reshape", x, step.ints(-1)), 0
    return step.emit("CumSum", x, step.table(axis))


def _softmax(step: Step) -> str:
    return _softmax_of(step, step.inputs[0], step.axis())


def _softmin(step: Step) -> str:
    return _softmax_of(step, step.emit("Neg", step.inputs[0]), step.axis())


def _log_softmax(step: Step) -> str:
    return _softmax_of(step, step.inputs[0], step.axis(), "LogSoftmax")


def _softmax_activation(step: Step) -> str:
    """That of an instance is over the last axis, whatever its description says."""
    return _softmax_of(step, step.inputs[0], step.choice("mode", {"instance": -1, "channel": 1}, "instance"))


def _softmax_of(step: Step, x: str, axis: int, op: str = "Softmax") -> str:
    if step.node.flag("use_length"):
        step.refuse("use_length", True)
    temperature = step.option("temperature") or 1
    if temperature != 1:
        x = step.emit("Div", x, step.number(temperature))
    return step.emit(op, x, axis=axis)


RULES: Dict[str, Rule] = {
    **{name: _reduction(op) for name, op in REDUCTIONS.items()},
    "nansum": _without_nan("ReduceSum", 0),
    "nanprod": _without_nan("ReduceProd", 1),
    "norm": _norm,
    "moments": _moments,
    "argmax": _place("ArgMax"),
    "argmin": _place("ArgMin"),
    "_np_cumsum": _cumsum,
    "softmax": _softmax,
    "softmin": _softmin,
    "log_softmax": _log_softmax,
    "SoftmaxActivation": _softmax_activation,
}
