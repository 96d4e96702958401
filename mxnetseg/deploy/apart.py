"""What MXNet's fusion would get wrong."""

from ..graph import Entry, Node
from .plan import Plan

__all__ = ["keep_apart"]


def keep_apart(plan: Plan) -> None:
    """Put a reshape to the same shape behind each convolution that several operators use, or whose user is a norm.

    Nothing can rightly be fused with such a convolution, because its own output is needed. MXNet does so where it meets
    one user on the way from another: in `y + conv(relu(y))` it forgets `y`. After a norm it forgets the others.
    """
    graph = plan.graph
    for conv in graph.operators():
        users = graph.users(conv)
        if conv.op == "Convolution" and (len(users) > 1 or any(user and user.op == "BatchNorm" for user in users)):
            apart = Node("Reshape", f"{conv.name}_apart", {"shape": "(-2,)"}, [Entry(conv)])
            graph.replace(Entry(conv), Entry(apart))
