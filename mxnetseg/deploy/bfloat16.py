"""A graph whose convolutions and linear layers run in bfloat16; whatever is not known to be right in it stays float32.

MXNet's own conversion (`mxnet.contrib.amp`) gives operators inputs of both types in half of the zoo's graphs, and
bfloat16 to operators that do not have it: PReLU fails, transpose writes where it should not.
"""

from typing import Dict, List, Tuple

import numpy as np
from mxnet import nd

from ..graph import VARIABLE, Entry, Graph, Node

__all__ = ["to_bfloat16"]

NARROW, WIDE = "bfloat16", "float32"
DTYPE = np.dtype([(NARROW, np.uint16)])  # how MXNet spells it
# oneDNN multiplies in bfloat16 and sums in float32
CONVERTED = frozenset({"Convolution", "FullyConnected"})
# These take and give bfloat16 where all their inputs are; each was compared with float32.
FOLLOWING = frozenset({"Activation", "LeakyReLU", "Pooling", "clip", "elemwise_add", "relu", "slice_axis"})
ACTIVATIONS = ("leaky", "gelu")  # of LeakyReLU's


def to_bfloat16(graph: Graph, arrays: Dict[str, nd.NDArray]) -> None:
    """Change `graph` in place; the weights of converted layers are added to `arrays`."""
    narrow = set()  # ids of the nodes that give bfloat16
    casts: Dict[Tuple[int, int, str], Node] = {}

    def as_type(entries: List[Entry], dtype: str) -> List[Entry]:
        return [_cast(entry, dtype, narrow, casts, arrays) for entry in entries]

    for node in list(graph.operators()):
        if _runs_narrow(node, [id(entry.node) in narrow for entry in node.inputs]):
            node.inputs = as_type(node.inputs, NARROW)
            narrow.add(id(node))
        else:
            node.inputs = as_type(node.inputs, WIDE)
    graph.heads = as_type(graph.heads, WIDE)


def _runs_narrow(node: Node, inputs_narrow: List[bool]) -> bool:
    if node.op in CONVERTED:
        return True
    if node.op == "Concat":  # only moves numbers
        return any(inputs_narrow)
    if node.op == "LeakyReLU" and node.attrs.get("act_type", "leaky") not in ACTIVATIONS:
        return False
    return node.op in FOLLOWING and all(inputs_narrow)


def _cast(entry: Entry, dtype: str, narrow: set, casts, arrays) -> Entry:
    source = entry.node
    if (id(source) in narrow) == (dtype == NARROW):
        return entry
    key = (id(source), entry.index, dtype)
    if key not in casts:
        name = f"{source.name}_{entry.index}_{dtype}"
        if source.op == VARIABLE and source.name in arrays:
            arrays[name] = nd.amp_cast(arrays[source.name], dtype=DTYPE)
            casts[key] = Node(VARIABLE, name)
        else:
            casts[key] = Node("amp_cast", name, {"dtype": dtype}, [entry])
        if dtype == NARROW:
            narrow.add(id(casts[key]))
    return Entry(casts[key])
