"""Linear layers whose output is cut into a few equal pieces become one layer per piece, so nothing is left to cut."""

from typing import Dict, Tuple

from mxnet import nd

from ..graph import Entry, Graph, Node, Sizes, single_user

__all__ = ["split_linear_layers"]

MOST = 4  # pieces: many narrow products take longer than the cut


def split_linear_layers(graph: Graph, arrays: Dict[str, nd.NDArray], size: Tuple[int, int]) -> None:
    """Change `graph` in place; weights of the layers that come out are added to `arrays`."""
    users, sizes = graph.users(), Sizes(graph, arrays, size)
    pieces: Dict[int, list] = {}  # by the id of the cut
    for cut in list(graph.operators()):
        layer = cut.inputs[0].node if cut.inputs else None
        if _is_linear(layer, arrays) and single_user(layer, users) is cut and _cuts_channels(cut, sizes):
            pieces[id(cut)] = _pieces(layer, int(cut.attrs["num_outputs"]), graph, arrays)
    if pieces:
        for node in graph.nodes():
            node.inputs = [_replaced(entry, pieces) for entry in node.inputs]
        graph.heads = [_replaced(entry, pieces) for entry in graph.heads]


def _replaced(entry: Entry, pieces) -> Entry:
    return pieces[id(entry.node)][entry.index] if id(entry.node) in pieces else entry


def _cuts_channels(node: Node, sizes: Sizes) -> bool:
    """Along the last axis, into few pieces."""
    if node.op != "SliceChannel" or int(node.attrs["num_outputs"]) > MOST or node.flag("squeeze_axis"):
        return False
    shape = sizes.of(node.inputs[0])
    return shape is not None and int(node.attrs.get("axis", "1")) in (-1, len(shape) - 1)


def _is_linear(node: Node, arrays) -> bool:
    return (
        node is not None
        and node.op == "FullyConnected"
        and not node.flag("flatten", default=True)
        and all(entry.node.name in arrays for entry in node.inputs[1:])
    )


def _pieces(layer: Node, count: int, graph: Graph, arrays) -> list:
    channels = int(layer.attrs["num_hidden"]) // count
    layers = []
    for i in range(count):
        variables = []
        for entry in layer.inputs[1:]:
            name, rows = entry.node.name, slice(i * channels, (i + 1) * channels)
            values = arrays[name]
            variables.append(graph.constant(f"{name}_{i}of{count}", lambda v=values, r=rows: v[r].asnumpy(), arrays))
        attrs = {**layer.attrs, "num_hidden": str(channels)}
        layers.append(Entry(Node("FullyConnected", f"{layer.name}_{i}of{count}", attrs, [layer.inputs[0], *variables])))
    return layers
