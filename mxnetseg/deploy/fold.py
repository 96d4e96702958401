"""Batch norms that follow a convolution become part of it."""

from typing import Dict, List

import numpy as np
from mxnet import nd

from ..graph import Entry, Node
from .plan import Plan

__all__ = ["fold_norms"]

NORMS = ("BatchNorm", "_contrib_SyncBatchNorm")
KEPT = ("eps", "momentum", "fix_gamma", "use_global_stats", "axis")


def fold_norms(plan: Plan) -> None:
    """Fold each batch norm into the convolution before it, if nothing else takes that convolution's output.

    A synchronised norm that stays becomes a plain one: in inference they are the same.
    """
    made: Dict[tuple, List[Entry]] = {}  # layers that a graph uses twice keep one set of weights
    for node in plan.graph.operators():
        if node.op not in NORMS:
            continue
        conv = node.inputs[0].node
        if _folds(conv, node, plan):
            key = (*conv.inputs[1:], *node.inputs[1:])
            if key not in made:
                made[key] = _fold(conv, node, plan, len(made))
            attrs = {**conv.attrs, "no_bias": "False"}
            node.become(Node("Convolution", conv.name, attrs, [conv.inputs[0], *made[key]]))
        else:
            node.op, node.attrs = "BatchNorm", {key: node.attrs[key] for key in KEPT if key in node.attrs}


def _folds(conv: Node, norm: Node, plan: Plan) -> bool:
    return (
        conv.op == "Convolution"
        and plan.graph.single_user(conv) is norm
        and int(norm.attrs.get("axis", 1)) == 1
        and plan.has_weights(conv)
        and plan.has_weights(norm)
    )


def _fold(conv: Node, norm: Node, plan: Plan, number: int) -> List[Entry]:
    """The variables of the folded weight and bias."""
    weight, *bias = (_values(plan.arrays, entry) for entry in conv.inputs[1:])
    gamma, beta, mean, variance = (_values(plan.arrays, entry) for entry in norm.inputs[1:])
    scale = 1 / np.sqrt(variance + float(norm.attrs.get("eps", 1e-3)))
    if not norm.flag("fix_gamma", default=True):
        scale *= gamma
    shift = beta + ((bias[0] if bias else 0) - mean) * scale
    folded = {"weight": weight * scale.reshape(-1, *[1] * (weight.ndim - 1)), "bias": shift}
    return [plan.constant(f"folded{number}_{kind}", lambda values=values: values) for kind, values in folded.items()]


def _values(arrays: Dict[str, nd.NDArray], entry: Entry) -> np.ndarray:
    return arrays[entry.node.name].asnumpy().astype(np.float64)
