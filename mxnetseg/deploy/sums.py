"""Sums of 8-bit maps, some signed and some not, which MXNet's kernels get wrong."""

from typing import Sequence

from ..graph import Entry, Graph, Node
from .quantized import CONVOLUTION, DEQUANTIZE, QUANTIZE, RANGE, SIGNED, SUM, UNSIGNED, signs

__all__ = ["mend_sums"]


def mend_sums(graph: Graph) -> None:
    """Make the sums of a quantized graph right.

    A convolution that has taken in a sum works in the other addend's memory, so what it gives is cut off at what the
    addend's type can hold (`mkldnn_conv.cc`), but then read as its own type, which is unsigned after a ReLU. Where
    that alone is unsigned, it would lose the upper half of its range: it gets a scale that ends at 127. Where the
    addend alone is unsigned, it would lose all that is negative: the addend is made signed.

    A sum on its own brings an unsigned addend to its output's scale as a signed number (`mkldnn_quantized_elemwise_add
    .cc`), so what a negative addend would have made small again is cut off before: that addend is made signed, too.
    """
    is_signed = signs(graph)
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
            both = [is_signed[entry] for entry in node.inputs[:2]]
            if both == [False, True]:
                _make_signed(node, (0, 2, 3))
            elif both == [True, False]:
                _make_signed(node, (1, 4, 5))


def _make_signed(node: Node, places: Sequence[int]) -> None:
    """One addend of `node`, of which `places` are the inputs for data, least and greatest value, becomes signed."""
    inputs = list(node.inputs)
    addend = [inputs[place] for place in places]
    name, greatest = f"{node.name}_addend", str(_greatest(addend[0].node))
    wide = Node(DEQUANTIZE, f"{name}_dequantize", {}, addend)
    attrs = {"out_type": "int8", **dict(zip(RANGE, (f"-{greatest}", greatest)))}
    signed = Node(QUANTIZE, name, attrs, [Entry(wide)])
    for index, place in enumerate(places):
        inputs[place] = Entry(signed, index)
    node.inputs = inputs


def _greatest(node: Node) -> float:
    """The greatest value that an 8-bit map can stand for. Operators without a range take their inputs'."""
    if RANGE[0] in node.attrs:
        return max(abs(float(node.attrs[name])) for name in RANGE)
    return max(_greatest(source.node) for source in node.inputs if source.index == 0)  # the others are ranges
