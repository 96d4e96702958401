"""3x3 convolutions in float32 by Winograd's algorithm, where that is faster (`ops.winograd`)."""

from typing import Dict, Optional, Sequence, Tuple

import numpy as np
from mxnet import nd

from ..graph import Entry, Graph, Node, Sizes, single_user
from ..ops.winograd import serves_winograd, winograd_weight

__all__ = ["use_winograd"]

# What a number moved costs in multiplications and additions, and how much slower oneDNN's matrix product of a batch is
# than its convolution: fitted to eight convolutions of 64 to 2048 channels on one core with AVX512.
BYTE, PRODUCT = 27, 1.2
PAYS = 0.85  # share of the direct convolution's cost


def use_winograd(graph: Graph, arrays: Dict[str, nd.NDArray], size: Tuple[int, int]) -> None:
    """Change `graph` in place; weights of the products that come out are added to `arrays`. What pays is decided for
    images of `size`.

    Leaves everything as it is where there is no operator library.
    """
    found = [node for node in graph.operators() if _is_eligible(node, arrays)]
    if not found or not serves_winograd():
        return
    sizes, users = Sizes(graph, arrays, size), graph.users()
    tiles: Dict[Tuple[int, int, int], Node] = {}  # convolutions of the same map share them
    for conv in found:
        shape = sizes.of(conv.inputs[0])
        if shape is not None and _cost(conv, shape) < PAYS and not _is_pooled(conv, users):
            _replace(conv, graph, arrays, users, tiles)


def _is_eligible(node: Node, arrays) -> bool:
    dilation = node.numbers("dilate", (1, 1))
    return (
        node.op == "Convolution"
        and node.numbers("kernel", ()) == (3, 3)
        and node.numbers("stride", (1, 1)) == (1, 1)
        and node.numbers("pad", (0, 0)) == dilation == (dilation[0],) * 2
        and int(node.attrs.get("num_group", 1)) == 1
        and all(entry.node.name in arrays for entry in node.inputs[1:])
    )


def _is_pooled(conv: Node, users) -> bool:
    """Winograd's output has MXNet's layout, which oneDNN pools many times slower than its own."""
    after = single_user(conv, users)
    if after is not None and after.is_relu():
        after = single_user(after, users)
    return after is not None and after.op == "Pooling"


def _cost(conv: Node, shape: Sequence[int]) -> float:
    """Time of Winograd's algorithm over that of a direct convolution."""
    _, channels, height, width = shape
    filters, dilation = int(conv.attrs["num_filter"]), conv.numbers("dilate", (1, 1))[0]
    tiles = np.prod([dilation * -(-size // (4 * dilation)) for size in (height, width)])
    moved = 4 * (36 * tiles + height * width) * (channels + filters) + 4 * 36 * channels * filters
    winograd = 2 * 36 * channels * filters * tiles * PRODUCT + BYTE * moved
    return winograd / (2 * 9 * channels * filters * height * width)


def _replace(conv: Node, graph: Graph, arrays, users, tiles) -> None:
    """The convolution, and the residual sum and ReLU that follow it alone, become Winograd's three operators."""
    weight = conv.inputs[1].node.name
    values = arrays[weight].asnumpy()
    dilation = str(conv.numbers("dilate", (1, 1))[0])
    source = conv.inputs[0]
    key = (id(source.node), source.index, int(dilation))
    if key not in tiles:
        tiles[key] = Node("mxnetseg_winograd_input", f"{conv.name}_tiles", {"dilation": dilation}, [source])
    weights = graph.constant(f"{weight}_winograd", lambda: winograd_weight(values), arrays)
    products = Node("batch_dot", f"{conv.name}_products", {}, [weights, Entry(tiles[key], 0)])
    bias = conv.inputs[2:] or [graph.constant(f"{weight}_nobias", lambda: np.zeros(len(values)), arrays)]
    inputs = [Entry(products), Entry(tiles[key], 1), *bias]
    end, residual, relu = _followers(conv, users)
    if residual is not None:
        inputs.append(residual)
    end.op, end.name, end.inputs = "mxnetseg_winograd_output", f"{conv.name}_winograd", inputs
    end.attrs = dict(dilation=dilation, residual=str(int(residual is not None)), relu=str(int(relu)))


def _followers(conv: Node, users) -> Tuple[Node, Optional[Entry], bool]:
    """The last node that the convolution can take in, the other part of a sum, and whether a ReLU is the last."""
    end, residual = conv, None
    node = single_user(conv, users)
    if node is not None and node.op == "elemwise_add":
        end, residual = node, next(entry for entry in node.inputs if entry.node is not conv)
        node = single_user(node, users)
    if node is not None and node.is_relu():
        return node, residual, True
    return end, residual, False
