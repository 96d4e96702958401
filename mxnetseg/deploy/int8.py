"""A graph whose convolutions and linear layers run in int8, with the ranges seen on calibration images."""

from typing import Dict, Iterable, List, Optional, Sequence, Tuple

import mxnet as mx
from mxnet import autograd, nd
from mxnet.contrib import quantization

from ..errors import MXNetSegError
from ..graph import Graph, known
from .plan import Plan
from .pointwise_int8 import take_integers
from .quantized import QUANTIZE
from .sums import mend_sums
from .winograd_int8 import use_winograd_int8

__all__ = ["input_range", "to_int8"]

BACKEND = "MKLDNN_QUANTIZE"
OPTIONS = dict(calib_mode="naive", quantized_dtype="auto")


def to_int8(plan: Plan, batches: Iterable[nd.NDArray]) -> Plan:
    """The plan with its graph quantized.

    Weights get one scale per output channel. A feature map gets one for all of it, from its least and greatest value
    on `batches`, each (N, 3, H, W).

    Raises
    ------
    MXNetSegError
        There are no batches, all are of one colour, or one makes values that are not finite.
    """
    fused = plan.graph.symbol().get_backend_symbol(BACKEND)
    weights = {name: plan.arrays[name] for name in fused.list_arguments() if name != "data"}
    statistics = {name: plan.arrays[name] for name in fused.list_auxiliary_states()}
    quantized, _, _, table = quantization.quantize_graph(
        fused,
        weights,
        statistics,
        excluded_sym_names=_kept(fused),
        quantize_mode="smart",
        quantize_granularity="channel-wise",
        **OPTIONS,
    )
    table.min_max_dict = _ranges(fused, table.include_layer, {**weights, **statistics}, batches)
    quantized, weights, statistics = quantization.calib_graph(
        quantized, weights, statistics, table, logger=None, **OPTIONS
    )
    graph = Graph(quantized.get_backend_symbol(BACKEND))
    plan = Plan(graph, {**weights, **statistics}, plan.size, plan.channels)
    use_winograd_int8(plan)
    mend_sums(graph)
    take_integers(plan)
    return plan


def input_range(symbol: mx.sym.Symbol) -> Optional[float]:
    """The greatest value, positive or negative, that a quantized graph can tell from greater ones in its input.

    None where it isn't known: in a graph of floats.
    """
    for node in Graph(symbol).operators():
        if node.op == QUANTIZE and node.inputs[0].node.name == "data":
            return max(abs(float(node.attrs[f"{end}_calib_range"])) for end in ("min", "max"))
    return None


def _kept(symbol: mx.sym.Symbol) -> List[str]:
    """Names of operators that stay float32."""
    return [node.name for node in Graph(symbol).nodes() if not known(node).int8(node)]


def _ranges(symbol, names: Sequence[str], arrays, batches) -> Dict[str, Tuple[float, float]]:
    """Least and greatest value of each of the outputs `names` of the graph's operators."""
    internals = symbol.get_internals()
    if not names:
        raise MXNetSegError("int8: the network has no convolution or linear layer that could take 8-bit integers")
    limits = mx.sym.Group([limit(internals[name]) for name in names for limit in (mx.sym.min, mx.sym.max)])
    inputs = limits.list_inputs()
    graph = nd.CachedOp(limits, [("static_alloc", True)])
    found: Dict[str, Tuple[float, float]] = {}
    varied = False
    for batch in batches:
        varied = varied or bool((batch.max(axis=(0, 2, 3)) > batch.min(axis=(0, 2, 3))).max().asscalar())
        with autograd.pause(train_mode=False):
            values = graph(*(batch if name == "data" else arrays[name] for name in inputs))
        values = nd.concat(*values, dim=0).asnumpy().reshape(-1, 2).tolist()
        for name, (least, greatest) in zip(names, values):
            if not (abs(least) < float("inf") and abs(greatest) < float("inf")):
                raise MXNetSegError(
                    f"int8: {name} is not finite on a calibration image; look at the weights and images"
                )
            before = found.get(name, (least, greatest))
            found[name] = (min(least, before[0]), max(greatest, before[1]))
    if not found:
        raise MXNetSegError(
            "int8 needs calibration images, and there are none: optimize(net, 'int8', calibration=images)"
        )
    if not varied:
        raise MXNetSegError("int8: every calibration image is of one colour; take some like those to come")
    return found
