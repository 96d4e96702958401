"""What MXNet's quantized graphs are made of."""

from typing import Dict

import numpy as np

from ..graph import Entry, Graph, Node

__all__ = [
    "CONVOLUTION",
    "DEQUANTIZE",
    "POOLING",
    "QUANTIZE",
    "RANGE",
    "SIGNED",
    "SUM",
    "UNSIGNED",
    "has_range",
    "signs",
    "step",
]

CONVOLUTION = "_sg_mkldnn_conv"
SUM, POOLING = "_contrib_quantized_elemwise_add", "_contrib_quantized_pooling"
QUANTIZE, DEQUANTIZE = "_contrib_quantize_v2", "_contrib_dequantize"
RANGE = ("min_calib_range", "max_calib_range")  # of the values that an operator's output stands for
SIGNED, UNSIGNED = 127, 255  # the largest numbers


def has_range(node: Node) -> bool:
    """Whether there is one, which is wider than nothing: that of a map of zeros is not."""
    return any(float(node.attrs.get(end, 0)) for end in RANGE)


def step(node: Node, is_signed: bool) -> float:
    """How much more a number stands for than the one below it."""
    return max(abs(float(node.attrs[end])) for end in RANGE) / (SIGNED if is_signed else UNSIGNED)


def signs(graph: Graph) -> Dict[Entry, bool]:
    """Of every node's first output, whether it is signed."""
    internals = graph.symbol().get_internals()
    types = dict(zip(internals.list_outputs(), internals.infer_type(data="float32")[1]))
    return {
        Entry(node): types.get(f"{name}_output", types.get(f"{name}_output0")) == np.int8
        for node, name in graph.names().items()
    }
