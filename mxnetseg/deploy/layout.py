"""Our own operators get their inputs in MXNet's plain layout, without new memory in every call."""

from typing import Dict, Tuple

from ..graph import Entry, Graph, Node

__all__ = ["plain_layouts"]

# whose outputs may be in a layout of oneDNN's
SOURCES = ("Activation", "Concat", "Convolution", "LeakyReLU", "Pooling", "elemwise_add")


def plain_layouts(graph: Graph) -> None:
    """Change `graph` in place.

    For an operator from a library MXNet copies inputs that are in oneDNN's layout into memory that it takes from the
    system and gives back in every call, which may take longer than the copy. A reshape to the same shape copies them
    into memory that is planned once.
    """
    plain: Dict[Tuple[int, int], Entry] = {}

    def of(entry: Entry) -> Entry:
        if entry.node.op not in SOURCES:
            return entry
        key = (id(entry.node), entry.index)
        if key not in plain:
            plain[key] = Entry(Node("Reshape", f"{entry.node.name}_plain", {"shape": "(-2,)"}, [entry]))
        return plain[key]

    for node in list(graph.operators()):
        if node.op.startswith("mxnetseg_"):
            node.inputs = [of(entry) for entry in node.inputs]
