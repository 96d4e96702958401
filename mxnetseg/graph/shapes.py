"""Shapes of what a graph's nodes give, worked out by MXNet: rules of our own might say something else."""

from typing import Dict, Mapping, Tuple

from ..errors import MXNetSegError
from .symbol import Entry, Graph

__all__ = ["Shape", "infer_shapes"]

Shape = Tuple[int, ...]


def infer_shapes(graph: Graph, known: Mapping[str, Shape]) -> Dict[Entry, Shape]:
    """The shape of every output of every node, from those of `data` (N, C, H, W) and of further variables, by name.

    Raises
    ------
    MXNetSegError
        Images of this size don't go through the graph, or a shape stays open.
    """
    import mxnet as mx

    nodes = {name: node for node, name in graph.names().items()}
    internals = graph.symbol().get_internals()
    problem, shapes = "some of its shapes stay open", None
    try:
        # not `infer_shape`, which prints what it raises
        shapes = internals.infer_shape_partial(**{name: shape for name, shape in known.items() if name in nodes})[1]
    except mx.MXNetError as err:
        problem = _reason(err)
    if shapes is None or not all(map(all, shapes)) or () in shapes:
        height, width = known["data"][2:]
        raise MXNetSegError(
            f"the network can't take an image of height {height} and width {width}: {problem}; "
            "try another shape, e.g. sides that are multiples of 32"
        )
    outputs = Graph(internals).heads
    return {Entry(nodes[node.name], index): tuple(shape) for (node, index), shape in zip(outputs, shapes)}


def _reason(err: Exception) -> str:
    """The telling line of MXNet's report."""
    lines = [line.strip() for line in str(err).splitlines() if line.strip()]
    told = [line for line in lines if line.startswith("Error in operator") or "Check failed" in line]
    return (told or lines or ["MXNet does not say why"])[0]
