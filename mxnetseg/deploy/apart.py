"""What MXNet's fusion would get wrong."""

from ..graph import Entry, Node
from .plan import Plan

__all__ = ["keep_apart"]

FUSED = ("Activation", "BatchNorm", "LeakyReLU", "clip", "elemwise_add")  # with the convolution before them
MOST = 3  # a norm, a sum and an activation


def keep_apart(plan: Plan) -> None:
    """Put a reshape to the same shape between a convolution and what MXNet must not fuse with it.

    MXNet would take a batch norm and forget the others that use the convolution's output. So it does where a sum takes
    what the convolution gives and what an activation or a sum has made of it, `y + relu(y)`.
    """
    for node in plan.graph.operators():
        node.inputs = [_apart(entry, node) if _goes_wrong(entry, node) else entry for entry in node.inputs]


def _goes_wrong(entry: Entry, user: Node) -> bool:
    if entry.node.op != "Convolution":
        return False
    if user.op == "elemwise_add":
        return len(set(user.inputs)) == 1 or any(_leads(entry.node, other.node) for other in user.inputs)
    return user.op == "BatchNorm"


def _leads(conv: Node, node: Node, most: int = MOST) -> bool:
    """Whether the node is made of what the convolution gives by such operators alone."""
    if node.op not in FUSED or not most:
        return False
    return any(entry.node is conv or _leads(conv, entry.node, most - 1) for entry in node.inputs)


def _apart(entry: Entry, user: Node) -> Entry:
    return Entry(Node("Reshape", f"{user.name}_input", {"shape": "(-2,)"}, [entry]))
