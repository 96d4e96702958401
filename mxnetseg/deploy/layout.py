"""Our own operators get their inputs in MXNet's plain layout, without new memory in every call."""

from typing import Dict

from ..graph import Entry, Node, known
from .plan import Plan

__all__ = ["plain_layouts"]


def plain_layouts(plan: Plan) -> None:
    """For an operator from a library MXNet copies inputs that are in oneDNN's layout into memory that it takes from the
    system and gives back in every call, which may take longer than the copy. A reshape to the same shape copies them
    into memory that is planned once.
    """
    plain: Dict[Entry, Entry] = {}

    def of(entry: Entry) -> Entry:
        if not known(entry.node).blocked:
            return entry
        if entry not in plain:
            plain[entry] = Entry(Node("Reshape", f"{entry.node.name}_plain", {"shape": "(-2,)"}, [entry]))
        return plain[entry]

    for node in plan.graph.operators():
        if node.op.startswith("mxnetseg_"):
            node.inputs = [of(entry) for entry in node.inputs]
