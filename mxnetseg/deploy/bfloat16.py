"""A graph whose convolutions and linear layers run in bfloat16; whatever is not known to be right in it stays float32.

MXNet's own conversion (`mxnet.contrib.amp`) gives operators inputs of both types in half of the zoo's graphs, and
bfloat16 to operators that do not have it: PReLU fails, transpose writes where it should not.
"""

from typing import Dict, List, Sequence, Set, Tuple

import mxnet as mx
import numpy as np
from mxnet import nd

from ..errors import MXNetSegError
from ..graph import VARIABLE, Entry, Node, known
from .plan import Plan

__all__ = ["require_bfloat16", "to_bfloat16"]

NARROW, WIDE = "bfloat16", "float32"
DTYPE = np.dtype([(NARROW, np.uint16)])  # how MXNet spells it


def require_bfloat16() -> None:
    """Raise MXNetSegError where oneDNN has no bfloat16 convolution for the processor."""
    ones = nd.amp_cast(nd.ones((1, 16, 3, 3)), dtype=DTYPE)
    try:
        nd.Convolution(ones, ones, no_bias=True, num_filter=1, kernel=(3, 3)).wait_to_read()
    except mx.MXNetError as err:
        raise MXNetSegError(
            "bfloat16 is for processors with AVX512, which this one lacks; take float32 or int8 (--dtype)"
        ) from err


def to_bfloat16(plan: Plan) -> None:
    """The weights of converted layers are added to the plan's arrays."""
    narrow: Set[Node] = set()
    casts: Dict[Tuple[Entry, str], Entry] = {}

    def as_type(entries: Sequence[Entry], dtype: str) -> List[Entry]:
        return [_cast(entry, dtype, narrow, casts, plan) for entry in entries]

    for node in plan.graph.operators():
        if known(node).bfloat16(node, [entry.node in narrow for entry in node.inputs]):
            node.inputs = as_type(node.inputs, NARROW)
            narrow.add(node)
        else:
            node.inputs = as_type(node.inputs, WIDE)
    plan.graph.heads = as_type(plan.graph.heads, WIDE)


def _cast(entry: Entry, dtype: str, narrow: Set[Node], casts: Dict[Tuple[Entry, str], Entry], plan: Plan) -> Entry:
    source = entry.node
    if (source in narrow) == (dtype == NARROW):
        return entry
    if (entry, dtype) not in casts:
        name = f"{source.name}_{entry.index}_{dtype}"
        if source.op == VARIABLE and source.name in plan.arrays:
            cast = plan.constant(name, lambda: nd.amp_cast(plan.arrays[source.name], dtype=DTYPE))
        else:
            cast = Entry(Node("amp_cast", name, {"dtype": dtype}, [entry]))
        casts[entry, dtype] = cast
        if dtype == NARROW:
            narrow.add(cast.node)
    return casts[entry, dtype]
