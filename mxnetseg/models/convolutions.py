"""Wide 3x3 convolutions of a graph for training by Winograd's algorithm or by their taps, forward and backward."""

from typing import Sequence

import mxnet as mx

from ..errors import MXNetSegError
from ..graph import VARIABLE, Entry, Graph, Node, infer_shapes, keeps_size_3x3
from ..ops.winograd import OPERATOR, by_taps, taps_products, tiles_of, winograd_products

__all__ = ["use_winograd"]

# Narrower layers spend their time on what is around the products; few tiles, on the filters
LEAST_CHANNELS, LEAST_TILES = 128, 8
MOST_PRODUCTS = 0.4  # share of a direct convolution's; without padding of tiles it is a quarter
MOST_MET = 0.7  # the same of what taps meet: oneDNN, which leaves padding out as well, keeps much memory for gradients


def use_winograd(symbol: mx.sym.Symbol, shape: Sequence[int], *, adds: bool = True) -> mx.sym.Symbol:
    """The same function for `data` of (N, C, H, W), which decide where it pays; other sizes are served as well.

    Without `adds` it needs no copies of weights, but serves no parameter whose `grad_req` is "add".
    """
    graph = Graph(symbol)
    try:
        shapes = infer_shapes(graph, {"data": tuple(shape)})
    except MXNetSegError:  # which whoever uses the graph tells better
        return symbol
    found = [
        node
        for node in graph.operators()
        if keeps_size_3x3(node) and node.inputs[1].node.op == VARIABLE and _pays(node, shapes[node.inputs[0]])
    ]
    for conv in found:
        _replace(conv, graph, adds)
    return graph.symbol() if found else symbol


def _pays(conv: Node, shape: Sequence[int]) -> bool:
    batch, channels, height, width = shape
    dilation = conv.numbers("dilate", (1, 1))[0]
    direct = 9 * batch * height * width
    if min(channels, int(conv.attrs["num_filter"])) < LEAST_CHANNELS:
        return False
    if by_taps(shape, dilation):
        return taps_products(shape, dilation) <= MOST_MET * direct
    return tiles_of(shape, dilation) >= LEAST_TILES and winograd_products(shape, dilation) <= MOST_PRODUCTS * direct


def _replace(conv: Node, graph: Graph, adds: bool) -> None:
    # MXNet tells an operator of a library to write a gradient even where it is to be added: to that of another user, or
    # to that of the last pass. Behind another operator it is MXNet that adds
    x, *parameters = conv.inputs
    if x.node.op == VARIABLE or graph.single_user(x.node) is None:
        x = Entry(Node("Reshape", f"{conv.name}_shielded", {"shape": "(-2,)"}, [x]))
    own = [
        Entry(Node("_copy", f"{entry.node.name}_shielded", {}, [entry]))
        if adds or graph.single_user(entry.node) is None
        else entry
        for entry in parameters
    ]
    attrs = {
        "num_filter": conv.attrs["num_filter"],
        "dilation": str(conv.numbers("dilate", (1, 1))[0]),
        "no_bias": str(int(len(own) == 1)),
    }
    conv.become(Node(OPERATOR, conv.name, attrs, [x, *own]))
