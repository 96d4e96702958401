"""From a network to its fastest form on a CPU."""

from typing import Dict

import mxnet as mx
from mxnet import nd
from mxnet.gluon import HybridBlock

from ..errors import MXNetSegError
from ..nn import inference_graph
from .bfloat16 import to_bfloat16
from .fold import fold_norms
from .graph import Graph
from .network import DeployedNetwork

__all__ = ["DTYPES", "optimize"]

DTYPES = ("float32", "bfloat16", "int8")
BACKEND = "MKLDNN"  # MXNet's name for oneDNN


def optimize(net: HybridBlock, dtype: str = "float32", calibration=None) -> DeployedNetwork:
    if dtype not in DTYPES:
        raise MXNetSegError(f"dtype={dtype!r}: must be one of {', '.join(DTYPES)}")
    arrays = _arrays(net)
    contexts = next(iter(net.collect_params().values())).list_ctx()
    graph = _graph(net, arrays)
    if dtype == "bfloat16":
        to_bfloat16(graph, arrays)
    symbol = graph.symbol().get_backend_symbol(BACKEND)
    return DeployedNetwork(symbol, arrays, dtype, net, contexts)


def _graph(net, arrays) -> Graph:
    with inference_graph() as constants:
        graph = Graph(net(mx.sym.var("data")))
    arrays.update(constants)
    fold_norms(graph, arrays)
    return graph


def _arrays(net) -> Dict[str, nd.NDArray]:
    """The network's parameters on the CPU, by name."""
    arrays = {}
    for name, parameter in net.collect_params().items():
        try:
            contexts = parameter.list_ctx()
        except RuntimeError as err:
            raise MXNetSegError(
                f"parameter {name} has no values yet; initialize the network or load its weights"
            ) from err
        if any(context.device_type != "cpu" for context in contexts):
            raise MXNetSegError("deploy.optimize is for CPUs: net.collect_params().reset_ctx(mxnet.cpu()) first")
        arrays[name] = parameter.data(contexts[0]).astype("float32", copy=False)
    return arrays
