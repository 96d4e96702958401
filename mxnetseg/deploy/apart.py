"""What MXNet's fusion would get wrong."""

from ..graph import Entry, Node
from .plan import Plan

__all__ = ["keep_apart"]


def keep_apart(plan: Plan) -> None:
    """Put a reshape to the same shape between a convolution and what must not be fused with it.

    MXNet would take a batch norm and forget the others that use the convolution's output, and fails where a sum takes
    that output twice.
    """
    for node in plan.graph.operators():
        entries = list(node.inputs)
        twice = node.op == "elemwise_add" and entries[0] == entries[1]
        if (twice or node.op == "BatchNorm") and entries[0].node.op == "Convolution":
            entries[0] = Entry(Node("Reshape", f"{node.name}_input", {"shape": "(-2,)"}, entries[:1]))
            node.inputs = entries
