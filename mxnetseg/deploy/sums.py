"""Sums of 8-bit maps, some signed and some not, which MXNet's kernels get wrong."""

import json
from typing import Callable, List

import mxnet as mx
import numpy as np

__all__ = ["mend_sums"]

CONVOLUTION, SUM = "_sg_mkldnn_conv", "_contrib_quantized_elemwise_add"
RANGE = ("min_calib_range", "max_calib_range")  # of the values that an operator's output stands for
SIGNED, UNSIGNED = 127, 255  # the largest numbers


def mend_sums(symbol: mx.sym.Symbol) -> mx.sym.Symbol:
    """The quantized graph with sums that are right.

    A convolution that has taken in a sum works in the other addend's memory, so what it gives is cut off at what the
    addend's type can hold (`mkldnn_conv.cc`), but then read as its own type, which is unsigned after a ReLU. Where
    that alone is unsigned, it would lose the upper half of its range: it gets a scale that ends at 127. Where the
    addend alone is unsigned, it would lose all that is negative: the addend is made signed.

    A sum on its own brings an unsigned addend to its output's scale as a signed number (`mkldnn_quantized_elemwise_add
    .cc`), so what a negative addend would have made small again is cut off before: that addend is made signed, too.
    """
    content = json.loads(symbol.tojson())
    nodes = content["nodes"]
    is_signed = _signs(symbol, nodes)
    for index, node in enumerate(list(nodes)):
        attrs, inputs = node.get("attrs", {}), node["inputs"]
        if node["op"] == CONVOLUTION and attrs.get("quantized") == attrs.get("with_sum") == "true":
            # its last inputs: addend, least and greatest value of the data, those of the addend
            addend_signed, signed = is_signed(inputs[-5]), is_signed([index, 0])
            if addend_signed and not signed:
                attrs.update({name: str(float(attrs[name]) * UNSIGNED / SIGNED) for name in RANGE})
            elif signed and not addend_signed:
                _make_signed(nodes, node, (-5, -2, -1))
        elif node["op"] == SUM:
            # inputs: two addends, least and greatest value of each
            for places, other in (((0, 2, 3), 1), ((1, 4, 5), 0)):
                if is_signed(inputs[other]) and not is_signed(inputs[places[0]]):
                    _make_signed(nodes, node, places)
    return mx.sym.load_json(json.dumps(content))


def _signs(symbol: mx.sym.Symbol, nodes: List[dict]) -> Callable[[list], bool]:
    """Whether an output, [node, index, version] as MXNet writes it, is signed."""
    internals = symbol.get_internals()
    types = dict(zip(internals.list_outputs(), internals.infer_type(data="float32")[1]))

    def is_signed(output: list) -> bool:
        name = nodes[output[0]]["name"]
        return types.get(f"{name}_output", types.get(f"{name}_output0")) == np.int8

    return is_signed


def _make_signed(nodes: List[dict], node: dict, places) -> None:
    """One addend of `node`, of which `places` are the inputs for data, least and greatest value, becomes signed."""
    inputs = [node["inputs"][place] for place in places]
    name, greatest = f"{node['name']}_addend", str(_greatest(nodes, inputs[0]))
    wide = {"op": "_contrib_dequantize", "name": f"{name}_dequantize", "inputs": inputs}
    attrs = {"out_type": "int8", **dict(zip(RANGE, (f"-{greatest}", greatest)))}
    # MXNet takes nodes in any order
    signed = {"op": "_contrib_quantize_v2", "name": name, "attrs": attrs, "inputs": [[len(nodes), 0, 0]]}
    nodes += [wide, signed]
    for index, place in enumerate(places):
        node["inputs"][place] = [len(nodes) - 1, index, 0]


def _greatest(nodes: List[dict], output: list) -> float:
    """The greatest value that an 8-bit map can stand for. Operators without a range take their inputs'."""
    node = nodes[output[0]]
    attrs = node.get("attrs", {})
    if RANGE[0] in attrs:
        return max(abs(float(attrs[name])) for name in RANGE)
    return max(_greatest(nodes, source) for source in node["inputs"] if source[1] == 0)  # the others are ranges
