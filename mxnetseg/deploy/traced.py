"""A network as a graph and its numbers: what optimizing and exporting begin with."""

from typing import Callable, Dict, Tuple

import mxnet as mx
from mxnet import nd

from ..errors import MXNetSegError
from ..graph import INPUT, Graph, free_name, with_input
from ..network import GluonNetwork
from ..nn import inference_graph, tracing
from .weights import weights_of

__all__ = ["traced"]


def traced(
    network: GluonNetwork, call: Callable[[mx.sym.Symbol], mx.sym.Symbol], dtype: str = "float32"
) -> Tuple[Graph, Dict[str, nd.NDArray]]:
    """The graph of `call`, which calls the network with images of `dtype` among other things, and its arrays by name.

    The graph's input is the variable `data`; a parameter of that name gets another.

    Raises
    ------
    MXNetSegError
        A parameter has no values, or some that are not finite; the network works with more than symbols, or gives
        something else than one output.
    """
    arrays = weights_of(network)
    name = free_name(INPUT, arrays)
    with inference_graph() as constants, tracing():
        output = call(mx.sym.var(name, dtype=dtype))
    if not isinstance(output, mx.sym.Symbol) or len(output) != 1:
        what = f"{len(output)} outputs" if isinstance(output, (list, tuple, mx.sym.Symbol)) else type(output).__name__
        kind = "a list of " if isinstance(output, (list, tuple)) else ""
        raise MXNetSegError(f"the network gives {kind}{what}; it must give one, the logits (N, num_classes, H, W)")
    arrays.update(constants)
    graph, renamed = with_input(output, name, arrays)
    return graph, {renamed.get(name, name): array for name, array in arrays.items()}
