"""3x3 convolutions of a quantized graph by Winograd's algorithm, where that is faster (`ops.winograd.quantized`)."""

from contextlib import suppress
from typing import Optional, Sequence

from mxnet import nd

from ..errors import MXNetSegError
from ..graph import Entry, Node, is_relu, keeps_size_3x3
from ..ops.winograd import serves_winograd, taps_products, tiles_of, winograd_products
from ..ops.winograd.quantized import QUANTIZED, quantized_weight
from .plan import Plan
from .quantized import CONVOLUTION, DEQUANTIZE, POOLING, RANGE, has_range, signs

__all__ = ["use_winograd_int8"]

# Cycles of one core, measured on convolutions of 128 to 4096 channels with AVX512's VNNI: of a product in a direct
# convolution and in Winograd's; of a tile for each channel and for each filter, with what oneDNN takes to change the
# layout; and of working a filter out, which is done for so many tiles at a time.
DIRECT, PRODUCT = 1 / 62, 1 / 29
TILE_IN, TILE_OUT, FILTER, TILES = 81, 145, 7, 128
PAYS = 0.85  # share of the direct convolution's time


def use_winograd_int8(plan: Plan) -> None:
    """Leaves everything as it is where there is no operator library."""
    if not serves_winograd():
        return
    is_signed = signs(plan.graph)
    found = [(node, conv) for node in plan.graph.operators() for conv in [_convolution(node, plan)] if conv]
    for node, conv in [(node, conv) for node, conv in found if _cost(conv, plan.shape(node.inputs[0])) < PAYS]:
        if not _is_pooled(node, plan):
            with suppress(MXNetSegError):  # weights that the operator can't take
                _replace(node, conv, is_signed[Entry(node)], plan)


def _is_pooled(node: Node, plan: Plan) -> bool:
    """Then oneDNN would get MXNet's layout, which it pools many times slower than its own."""
    users = set(plan.graph.users(node))
    for user in list(users):
        if user is not None and user.op == DEQUANTIZE:
            users.update(plan.graph.users(user))
    return any(user is not None and user.op in (POOLING, "Pooling") for user in users)


def _convolution(node: Node, plan: Plan) -> Optional[Node]:
    """The plain 3x3 convolution that a quantized operator consists of, but for a sum and a ReLU at its end."""
    if node.op != CONVOLUTION or not node.flag("quantized") or not has_range(node):
        return None
    if node.inputs[1].node.name not in plan.arrays:
        return None
    conv, *more = [part for graph in node.subgraphs for part in graph.operators()]
    names = ["relu" if is_relu(part) else part.op for part in more]
    return (
        conv if keeps_size_3x3(conv) and names in ([], ["relu"], ["elemwise_add"], ["elemwise_add", "relu"]) else None
    )


def _cost(conv: Node, shape: Sequence[int]) -> float:
    """Time of Winograd's algorithm over that of a direct convolution."""
    channels, filters = shape[1], int(conv.attrs["num_filter"])
    image, dilation = (1, *shape[1:]), conv.numbers("dilate", (1, 1))[0]
    tiles = tiles_of(image, dilation)
    winograd = PRODUCT * winograd_products(image, dilation) * channels * filters
    winograd += tiles * (TILE_IN * channels + TILE_OUT * filters) + FILTER * channels * filters * -(-tiles // TILES)
    return winograd / (DIRECT * taps_products(image, dilation) * channels * filters)


def _replace(node: Node, conv: Node, is_signed: bool, plan: Plan) -> None:
    # MXNet's inputs: maps, weights, perhaps a bias, perhaps an addend, and the ends of both maps' ranges
    source, weight, *more = node.inputs
    name = weight.node.name
    packed, steps = quantized_weight(plan.arrays[name].asnumpy())
    constants = {f"{name}_int8": nd.array(packed, dtype="int8"), f"{name}_steps": nd.array(steps)}
    if conv.flag("no_bias"):
        constants[f"{name}_nobias"] = nd.zeros(len(steps))
    weights = [plan.constant(key, lambda values=values: values) for key, values in constants.items()]
    bias = [] if conv.flag("no_bias") else [more.pop(0)]
    addend = [more.pop(0)] if node.flag("with_sum") else []
    attrs = {
        "dilation": str(conv.numbers("dilate", (1, 1))[0]),
        "residual": str(len(addend)),
        "out_type": "int8" if is_signed else "uint8",
        **{end: node.attrs[end] for end in RANGE},
    }
    inputs = [source, *weights, *bias, *more[:2], *addend, *more[2:]]
    node.become(Node(QUANTIZED, f"{node.name}_winograd", attrs, inputs))
