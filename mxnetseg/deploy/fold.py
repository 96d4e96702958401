"""Batch norms that follow a convolution become part of it."""

from typing import Dict

import numpy as np
from mxnet import nd

from ..graph import VARIABLE, Entry, Graph, Node, single_user

__all__ = ["fold_norms"]

NORMS = ("BatchNorm", "_contrib_SyncBatchNorm")
KEPT = ("eps", "momentum", "fix_gamma", "use_global_stats", "axis")


def fold_norms(graph: Graph, arrays: Dict[str, nd.NDArray]) -> None:
    """Fold each batch norm into the convolution before it, if nothing else takes that convolution's output.

    Weights of the convolutions that come out are added to `arrays` (values by variable name). A synchronised norm
    that stays becomes a plain one: in inference they are the same.
    """
    users = graph.users()
    made: Dict[tuple, tuple] = {}  # layers that a graph uses twice keep one set of weights
    for node in list(graph.operators()):
        if node.op not in NORMS:
            continue
        before = node.inputs[0].node
        if before.op == "Convolution" and single_user(before, users) is node and int(node.attrs.get("axis", 1)) == 1:
            names = tuple(entry.node.name for entry in (*before.inputs[1:], *node.inputs[1:]))
            if all(name in arrays for name in names):
                if names not in made:
                    made[names] = _fold(before, node, arrays, len(made))
                node.op, node.name, node.attrs = "Convolution", before.name, {**before.attrs, "no_bias": "False"}
                node.inputs = [before.inputs[0], *map(Entry, made[names])]
                continue
        if before.op == "Convolution":
            # MXNet's fusion would take the norm and forget the others that use the convolution's output
            node.inputs[0] = Entry(Node("Reshape", f"{node.name}_input", {"shape": "(-2,)"}, [node.inputs[0]]))
        node.op, node.attrs = "BatchNorm", {key: node.attrs[key] for key in KEPT if key in node.attrs}


def _fold(conv: Node, norm: Node, arrays: Dict[str, nd.NDArray], number: int) -> tuple:
    """The variables of the folded weight and bias."""
    weight, *bias = (_values(arrays, entry) for entry in conv.inputs[1:])
    gamma, beta, mean, variance = (_values(arrays, entry) for entry in norm.inputs[1:])
    scale = 1 / np.sqrt(variance + float(norm.attrs.get("eps", 1e-3)))
    if not norm.flag("fix_gamma", default=True):
        scale *= gamma
    shift = beta + ((bias[0] if bias else 0) - mean) * scale
    folded = {"weight": weight * scale[:, None, None, None], "bias": shift}
    variables = []
    for kind, values in folded.items():
        name = f"folded{number}_{kind}"
        arrays[name] = nd.array(values, dtype="float32")
        variables.append(Node(VARIABLE, name))
    return tuple(variables)


def _values(arrays: Dict[str, nd.NDArray], entry: Entry) -> np.ndarray:
    return arrays[entry.node.name].asnumpy().astype(np.float64)
