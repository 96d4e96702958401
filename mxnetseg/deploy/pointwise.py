"""Functions of every number, one after the other, as one operator of the library (`ops.pointwise`).

MXNet runs each in a pass of its own, and those that repeat the smaller of two maps, or take an exponential, number by
number.
"""

from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Set

import numpy as np

from ..graph import Entry, Node, known
from ..ops.pointwise import OPERATOR, serves_pointwise
from .plan import Plan

__all__ = ["fuse_pointwise"]

LEAST_PIXELS = 64  # of a map: with fewer, finding its numbers takes longer than working on them
MOST = 12  # functions at a time: what passes between them is to stay in the first-level cache


class Rule(NamedTuple):
    """How an operator is written in a program.

    `steps`, of a node and its operands; in those that it returns, "-1" is what the step before gives. `slow`: MXNet's
    is so slow that one alone is worth an operator of ours.
    """

    steps: Callable[[Node, Sequence[str]], Sequence[str]]
    slow: bool = False


def _pair(function: str, slow: bool = False) -> Rule:
    return Rule(lambda node, operands: [f"{function} {operands[0]} {operands[1]}"], slow)


def _with_number(function: str) -> Rule:
    return Rule(lambda node, operands: [f"{function} {operands[0]} ={node.attrs['scalar']}"])


def _clip(node: Node, operands: Sequence[str]) -> Sequence[str]:
    return [f"max {operands[0]} ={node.attrs['a_min']}", f"min -1 ={node.attrs['a_max']}"]


_SIGMOID = Rule(lambda node, operands: [f"sigmoid {operands[0]}"], slow=True)
_RELU = Rule(lambda node, operands: [f"max {operands[0]} =0"])
RULES: Dict[str, Rule] = {
    **{f"elemwise_{name}": _pair(name) for name in ("add", "sub", "mul", "div")},
    **{f"broadcast_{name}": _pair(name, slow=True) for name in ("add", "sub", "mul", "div")},
    **{
        f"_{name}_scalar": _with_number(function)
        for name, function in dict(plus="add", minus="sub", mul="mul", div="div").items()
    },
    "clip": Rule(_clip),
    "relu": _RELU,
    "sigmoid": _SIGMOID,
}


def fuse_pointwise(plan: Plan) -> None:
    """Leaves everything as it is where there is no operator library, or where numbers may be no float32."""
    if any(node.attrs.get("dtype", "None") not in ("float32", "None") for node in plan.graph.operators()):
        return
    groups: List[List[Node]] = []
    done: Set[Node] = set()
    for last in reversed(plan.graph.operators()):
        if last not in done and _can(last, plan):
            group = _group(last, plan)
            done.update(group)
            if _pays(group) and _fits(group, plan):
                groups.append(group)
    if groups and serves_pointwise():
        for group in groups:
            _replace(group)


def _rule(node: Node) -> Optional[Rule]:
    if node.op == "Activation":
        return {"relu": _RELU, "sigmoid": _SIGMOID._replace(slow=False)}.get(node.attrs.get("act_type", ""))
    return RULES.get(node.op)


def _pays(group: Sequence[Node]) -> bool:
    rules = [_rule(node) for node in group]
    return any(rule and rule.slow for rule in rules) or sum(not known(node).blocked for node in group) > 1


def _can(node: Node, plan: Plan) -> bool:
    if _rule(node) is None or _with_convolution(node, plan):
        return False
    shape = plan.shape(Entry(node))
    return len(shape) == 4 and np.prod(shape[2:]) >= LEAST_PIXELS


def _with_convolution(node: Node, plan: Plan) -> bool:
    """Whether oneDNN works it out together with a convolution before it."""

    def alone(entry: Entry) -> bool:
        return plan.graph.single_user(entry.node) is node

    if node.op == "elemwise_add":
        return any(entry.node.op == "Convolution" and alone(entry) for entry in node.inputs)
    if node.op in ("clip", "Activation"):
        source = node.inputs[0].node
        return alone(node.inputs[0]) and (source.op == "Convolution" or _with_convolution(source, plan))
    return False


def _group(last: Node, plan: Plan) -> List[Node]:
    """The node, and what only it and others of the group take, in order."""
    shape = plan.shape(Entry(last))
    group = {last}
    waiting = list(last.inputs)
    while waiting and len(group) < MOST:
        entry = waiting.pop(0)
        node = entry.node
        inside = node not in group and all(user in group for user in plan.graph.users(node))
        if inside and _can(node, plan) and plan.shape(entry) == shape:
            group.add(node)
            waiting.extend(node.inputs)
    return [node for node in plan.graph.operators() if node in group]


def _inputs(group: Sequence[Node]) -> List[Entry]:
    return list(dict.fromkeys(entry for node in group for entry in node.inputs if entry.node not in group))


def _fits(group: Sequence[Node], plan: Plan) -> bool:
    whole = plan.shape(Entry(group[-1]))
    for entry in _inputs(group):
        shape = plan.shape(entry)
        if len(shape) != 4 or any(one not in (1, all_) for one, all_ in zip(shape, whole)):
            return False
        if shape[2:] != whole[2:] and shape[2:] != (1, 1):
            return False
    return True


def _replace(group: Sequence[Node]) -> None:
    inputs = _inputs(group)
    numbers = {entry: str(number) for number, entry in enumerate(inputs)}
    program: List[str] = []
    for node in group:
        rule = _rule(node)
        assert rule is not None
        for step in rule.steps(node, [numbers[entry] for entry in node.inputs]):
            program.append(step.replace(" -1", f" {len(inputs) + len(program) - 1}"))
        numbers[Entry(node)] = str(len(inputs) + len(program) - 1)
    attrs = {"inputs": str(len(inputs)), "program": ";".join(program)}
    group[-1].become(Node(OPERATOR, f"{group[-1].name}_pointwise", attrs, inputs))
