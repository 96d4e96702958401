"""Functions of 8-bit integers between layers that MXNet has quantized (`ops.pointwise`).

MXNet itself turns the integers into floats before such a function, and its results into integers behind it.
"""

from typing import Dict, Mapping, Optional

from ..graph import Entry, Node
from ..ops.pointwise import OPERATOR, serves_pointwise
from .plan import Plan
from .quantized import DEQUANTIZE, QUANTIZE, RANGE, has_range, signs, step

__all__ = ["keep_gelu_apart", "take_integers"]

LAYERS = ("Convolution", "FullyConnected")


def keep_gelu_apart(plan: Plan) -> None:
    """Make GELU behind a layer an operator of its own: of a layer with GELU in it, MXNet's 8-bit kernel is wrong."""
    if not serves_pointwise():
        return
    for node in plan.graph.operators():
        if node.op == "LeakyReLU" and node.attrs.get("act_type") == "gelu" and node.inputs[0].node.op in LAYERS:
            attrs = {"inputs": "1", "program": "gelu 0"}
            node.become(Node(OPERATOR, f"{node.name}_pointwise", attrs, node.inputs))


def take_integers(plan: Plan) -> None:
    """Let functions take a quantized layer's integers, and give such to those that follow."""
    graph = plan.graph
    is_signed = signs(graph)
    for node in graph.operators():
        if node.op != OPERATOR:
            continue
        inputs = [_integers(entry) for entry in node.inputs]
        if any(inputs):
            steps = [step(entry.node, is_signed[entry]) if entry else 1.0 for entry in inputs]
            node.attrs = {**node.attrs, "steps": " ".join(map(repr, steps))}
            node.inputs = [entry or before for entry, before in zip(inputs, node.inputs)]
        users = graph.users(node)
        ranges = [_quantized(user, is_signed) for user in users]
        if ranges and ranges[0] and ranges.count(ranges[0]) == len(ranges):
            node.attrs = {**node.attrs, **ranges[0]}
            is_signed[Entry(node)] = ranges[0]["out_type"] == "int8"
            for user in users:
                for index in range(3):  # the integers and the two ends of their range
                    graph.replace(Entry(user, index), Entry(node, index))


def _quantized(node: Optional[Node], is_signed: Mapping[Entry, bool]) -> Dict[str, str]:
    """What an operator's output has to be in place of what `node` makes of it; empty if that are no integers."""
    if node is None or node.op != QUANTIZE or not has_range(node):
        return {}
    return {**{end: node.attrs[end] for end in RANGE}, "out_type": "int8" if is_signed[Entry(node)] else "uint8"}


def _integers(entry: Entry) -> Optional[Entry]:
    """The integers that are turned into floats there, if their range is known."""
    if entry.node.op != DEQUANTIZE:
        return None
    source = entry.node.inputs[0]
    return source if source.index == 0 and has_range(source.node) else None
