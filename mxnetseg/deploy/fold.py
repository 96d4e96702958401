"""Batch norms become part of the convolutions before or behind them."""

from typing import Dict, List, Tuple

import numpy as np
from mxnet import nd

from ..graph import Entry, Node
from .plan import Plan

__all__ = ["fold_norms"]

NORMS = ("BatchNorm", "_contrib_SyncBatchNorm")
KEPT = ("eps", "momentum", "fix_gamma", "use_global_stats", "axis")


def fold_norms(plan: Plan) -> None:
    """Fold each batch norm into the convolution before it, if nothing else takes that convolution's output; or else
    into those behind it, if nothing else takes its own, and they add no border, which would not be normalized.

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
            node.become(_with(conv, conv.inputs[0], made[key]))
        elif _folds_behind(node, plan):
            for user in dict.fromkeys(plan.graph.users(node)):
                assert user is not None
                key = (*node.inputs[1:], *user.inputs[1:])
                if key not in made:
                    made[key] = _fold_behind(node, user, plan, len(made))
                user.become(_with(user, node.inputs[0], made[key]))
        else:
            node.op, node.attrs = "BatchNorm", {key: node.attrs[key] for key in KEPT if key in node.attrs}


def _with(conv: Node, source: Entry, weights: List[Entry]) -> Node:
    return Node("Convolution", conv.name, {**conv.attrs, "no_bias": "False"}, [source, *weights])


def _folds(conv: Node, norm: Node, plan: Plan) -> bool:
    return conv.op == "Convolution" and plan.graph.single_user(conv) is norm and _known(conv, norm, plan)


def _folds_behind(norm: Node, plan: Plan) -> bool:
    users = plan.graph.users(norm)
    return bool(users) and all(
        conv is not None
        and conv.op == "Convolution"
        and conv.inputs[0] == Entry(norm)
        and not any(conv.numbers("pad", ()))
        and conv.attrs.get("num_group", "1") == "1"
        and _known(conv, norm, plan)
        for conv in users
    )


def _known(conv: Node, norm: Node, plan: Plan) -> bool:
    return int(norm.attrs.get("axis", 1)) == 1 and plan.has_weights(conv) and plan.has_weights(norm)


def _fold(conv: Node, norm: Node, plan: Plan, number: int) -> List[Entry]:
    """The variables of the folded weight and bias."""
    weight, *bias = (_values(plan.arrays, entry) for entry in conv.inputs[1:])
    scale, shift = _scale_and_shift(norm, plan)
    by_filter = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
    return _constants(plan, number, by_filter, shift + (bias[0] * scale if bias else 0))


def _fold_behind(norm: Node, conv: Node, plan: Plan, number: int) -> List[Entry]:
    """The same for a norm before the convolution."""
    weight, *bias = (_values(plan.arrays, entry) for entry in conv.inputs[1:])
    scale, shift = (values.reshape(-1, *[1] * (weight.ndim - 2)) for values in _scale_and_shift(norm, plan))
    added = (weight * shift).reshape(len(weight), -1).sum(axis=1)
    return _constants(plan, number, weight * scale, added + (bias[0] if bias else 0))


def _scale_and_shift(norm: Node, plan: Plan) -> Tuple[np.ndarray, np.ndarray]:
    """What the norm multiplies each channel by, and then adds."""
    gamma, beta, mean, variance = (_values(plan.arrays, entry) for entry in norm.inputs[1:])
    scale = 1 / np.sqrt(variance + float(norm.attrs.get("eps", 1e-3)))
    if not norm.flag("fix_gamma", default=True):
        scale *= gamma
    return scale, beta - mean * scale


def _constants(plan: Plan, number: int, weight: np.ndarray, bias: np.ndarray) -> List[Entry]:
    return [
        plan.constant(f"folded{number}_{kind}", lambda values=values: values)
        for kind, values in (("weight", weight), ("bias", bias))
    ]


def _values(arrays: Dict[str, nd.NDArray], entry: Entry) -> np.ndarray:
    return arrays[entry.node.name].asnumpy().astype(np.float64)
