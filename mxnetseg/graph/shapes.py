"""Shapes of what a graph's nodes give, worked out by MXNet: rules of our own might say something else."""

import math
from typing import Dict, Mapping, Optional, Tuple

from ..errors import MXNetSegError
from .symbol import Entry, Graph

__all__ = ["Shape", "infer_shapes", "wrong_reshape"]

Shape = Tuple[int, ...]
# operators that MXNet 1.9.1 lets change the number of values: what they give, or others' memory, is garbage then
RESHAPES = ("Reshape", "reshape", "reshape_like", "_np_reshape", "_npx_reshape")


def infer_shapes(graph: Graph, known: Mapping[str, Shape]) -> Dict[Entry, Shape]:
    """The shape of every output of every node, from those of `data` (N, C, H, W) and of further variables, by name.

    Raises
    ------
    MXNetSegError
        Images of this size don't go through the graph, or a shape stays open.
    """
    import mxnet as mx

    problem: Optional[str] = "some of its shapes stay open"
    shapes: Dict[Entry, Shape] = {}
    try:
        shapes = _partial(graph, known)
    except mx.MXNetError as err:
        problem = _reason(err)
    if shapes and all(map(all, shapes.values())) and () not in shapes.values():
        problem = _wrong(shapes)
    if problem:
        channels, height, width = known["data"][1:]
        other = "" if channels == 3 else f" {channels} channels,"
        raise MXNetSegError(
            f"the network can't take an image of{other} height {height} and width {width}: {problem}; "
            "try another shape, e.g. sides that are multiples of 32"
        )
    return shapes


def wrong_reshape(graph: Graph, known: Mapping[str, Shape]) -> Optional[str]:
    """What reshapes an array into one of another number of values, or None; `known` as for `infer_shapes`."""
    import mxnet as mx

    try:
        return _wrong(_partial(graph, known))
    except mx.MXNetError:  # which MXNet tells by itself
        return None


def _partial(graph: Graph, known: Mapping[str, Shape]) -> Dict[Entry, Shape]:
    """The shapes as far as MXNet can tell them; 0, or (), where it can't."""
    nodes = {name: node for node, name in graph.names().items()}
    internals = graph.symbol().get_internals()
    # not `infer_shape`, which prints what it raises
    shapes = internals.infer_shape_partial(**{name: shape for name, shape in known.items() if name in nodes})[1]
    outputs = Graph(internals).heads
    return {Entry(nodes[node.name], index): tuple(shape) for (node, index), shape in zip(outputs, shapes)}


def _wrong(shapes: Mapping[Entry, Shape]) -> Optional[str]:
    for entry, shape in shapes.items():
        if entry.node.op in RESHAPES:
            before = shapes[entry.node.inputs[0]]
            if all(before) and all(shape) and math.prod(before) != math.prod(shape):
                return f"{entry.node.name} reshapes {before} to {shape}, which has another number of values"
    return None


def _reason(err: Exception) -> str:
    """The telling line of MXNet's report."""
    lines = [line.strip() for line in str(err).splitlines() if line.strip()]
    told = [line for line in lines if line.startswith("Error in operator") or "Check failed" in line]
    return (told or lines or ["MXNet does not say why"])[0]
