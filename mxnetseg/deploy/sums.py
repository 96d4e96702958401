"""Sums of 8-bit maps, some signed and some not, which MXNet's kernels get wrong."""

from typing import Dict, Sequence

import mxnet as mx
import numpy as np

from ..graph import Entry, Graph, Node

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
    graph = Graph(symbol)
    is_signed = _signs(graph)
    for node in graph.operators():
        if node.op == CONVOLUTION and node.attrs.get("quantized") == node.attrs.get("with_sum") == "true":
            # its last inputs: addend, least and greatest value of the data, those of the addend
            addend_signed, signed = is_signed[node.inputs[-5]], is_signed[Entry(node)]
            if addend_signed and not signed:
                wider = {name: str(float(node.attrs[name]) * UNSIGNED / SIGNED) for name in RANGE}
                node.attrs = {**node.attrs, **wider}
            elif signed and not addend_signed:
                _make_signed(node, (-5, -2, -1))
        elif node.op == SUM:
            # inputs: two addends, least and greatest value of each
            signs = [is_signed[entry] for entry in node.inputs[:2]]
            if signs == [False, True]:
                _make_signed(node, (0, 2, 3))
            elif signs == [True, False]:
                _make_signed(node, (1, 4, 5))
    return graph.symbol()


def _signs(graph: Graph) -> Dict[Entry, bool]:
    """Of every node's first output, whether it is signed."""
    internals = graph.symbol().get_internals()
    types = dict(zip(internals.list_outputs(), internals.infer_type(data="float32")[1]))
    return {
        Entry(node): types.get(f"{name}_output", types.get(f"{name}_output0")) == np.int8
        for node, name in graph.names().items()
    }


def _make_signed(node: Node, places: Sequence[int]) -> None:
    """One addend of `node`, of which `places` are the inputs for data, least and greatest value, becomes signed."""
    inputs = list(node.inputs)
    addend = [inputs[place] for place in places]
    name, greatest = f"{node.name}_addend", str(_greatest(addend[0].node))
    wide = Node("_contrib_dequantize", f"{name}_dequantize", {}, addend)
    attrs = {"out_type": "int8", **dict(zip(RANGE, (f"-{greatest}", greatest)))}
    signed = Node("_contrib_quantize_v2", name, attrs, [Entry(wide)])
    for index, place in enumerate(places):
        inputs[place] = Entry(signed, index)
    node.inputs = inputs


def _greatest(node: Node) -> float:
    """The greatest value that an 8-bit map can stand for. Operators without a range take their inputs'."""
    if RANGE[0] in node.attrs:
        return max(abs(float(node.attrs[name])) for name in RANGE)
    return max(_greatest(source.node) for source in node.inputs if source.index == 0)  # the others are ranges
