"""3x3 convolutions in float32 by Winograd's algorithm, where that is faster (`ops.winograd`)."""

from typing import Sequence, Tuple

import numpy as np

from ..graph import Entry, Node, is_relu, keeps_size_3x3
from ..ops.winograd import LANES, serves_winograd, tiles_of, winograd_weight
from .plan import Plan

__all__ = ["use_winograd", "use_winograd_among_bfloat16"]

# What a tile of a map and a filter of a channel cost in multiplications and additions, beside their products: measured
# on eight convolutions of 64 to 2048 channels on one core with AVX512, of an earlier form of the operator. Of a tile a
# quarter is for layouts around it.
TILE, FILTER = 2200, 500
PAYS = 0.85  # share of the direct convolution's cost
PAYS_NARROW = 0.35  # of one in float32, where the direct one is in bfloat16, which takes half of it


def use_winograd(plan: Plan) -> None:
    """Leaves everything as it is where there is no operator library."""
    _use(plan, PAYS)


def use_winograd_among_bfloat16(plan: Plan) -> None:
    """The same in a graph whose other convolutions become bfloat16: these stay float32, which costs no digits."""
    _use(plan, PAYS_NARROW)


def _use(plan: Plan, pays: float) -> None:
    found = [node for node in plan.graph.operators() if keeps_size_3x3(node) and plan.has_weights(node)]
    if not found or not serves_winograd():
        return
    found = [conv for conv in found if _cost(conv, plan.shape(conv.inputs[0])) < pays]
    for conv in found:
        _replace(conv, plan)


def _cost(conv: Node, shape: Sequence[int]) -> float:
    """Time of Winograd's algorithm over that of a direct convolution."""
    _, channels, height, width = shape
    filters, dilation = int(conv.attrs["num_filter"]), conv.numbers("dilate", (1, 1))[0]
    tiles = tiles_of((1, *shape[1:]), dilation)
    products = 36 * channels * filters * LANES * -(-tiles // LANES)
    winograd = products + TILE * tiles * (channels + filters) + FILTER * channels * filters
    return winograd / (9 * channels * filters * height * width)


def _replace(conv: Node, plan: Plan) -> None:
    """The convolution, and the residual sum and ReLU that follow it alone, become one operator."""
    end, residual, relu = _followers(conv, plan)
    after = plan.graph.single_user(end)
    if after is not None and after.op == "Pooling":
        return  # Winograd's output has MXNet's layout, which oneDNN pools many times slower than its own
    source, weight, *bias = conv.inputs
    name, dilation = weight.node.name, str(conv.numbers("dilate", (1, 1))[0])
    values = plan.arrays[name].asnumpy()
    weights = plan.constant(f"{name}_winograd", lambda: winograd_weight(values))
    bias = bias or [plan.constant(f"{name}_nobias", lambda: np.zeros(len(values)))]
    attrs = dict(dilation=dilation, residual=str(len(residual)), relu=str(int(relu)))
    end.become(Node("mxnetseg_winograd", f"{conv.name}_winograd", attrs, [source, weights, *bias, *residual]))


def _followers(conv: Node, plan: Plan) -> Tuple[Node, Sequence[Entry], bool]:
    """The last node that the convolution can take in, the other part of a sum, and whether a ReLU is the last."""
    end, residual = conv, []
    node = plan.graph.single_user(conv)
    if node is not None and node.op == "elemwise_add":
        end, residual = node, [entry for entry in node.inputs if entry.node is not conv]
        node = plan.graph.single_user(node)
    if node is not None and is_relu(node):
        return node, residual, True
    return end, residual, False
