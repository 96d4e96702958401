"""Whether an ONNX model gives what the network gives, and if not, since which operator."""

from typing import Any, Mapping, NamedTuple, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np
from mxnet import autograd, nd

from ..data.streets import draw_scene
from ..data.transforms import resize
from ..errors import MXNetSegError
from ..graph import VARIABLE, Graph

__all__ = ["Difference", "Outputs", "difference", "first_difference", "pictures"]

LEAST = 64  # pixels of a side of a scene that can be drawn
WRONG = 1e-3  # of a feature map's greatest value: more than rounding


class Outputs(NamedTuple):
    """Of one batch: logits (N, C, H, W) and class maps (N, H, W)."""

    logits: np.ndarray
    classes: np.ndarray


class Difference(NamedTuple):
    """Of two networks: the largest difference of logits by the largest logit, and the share of equal classes."""

    largest: float
    same: float


def pictures(batch: int, size: Tuple[int, int]) -> np.ndarray:
    """Street scenes (N, H, W, 3) uint8, always the same."""
    at_least = max(LEAST, size[0]), max(LEAST, size[1])
    drawn = [draw_scene(np.random.default_rng(seed), at_least)[0] for seed in range(batch)]
    return np.stack([resize(picture, *size) for picture in drawn])


def difference(wanted: Sequence[np.ndarray], given: Sequence[Outputs]) -> Difference:
    """Between a network's logits and what another gives for the same batches.

    Raises
    ------
    MXNetSegError
        Their shapes differ.
    """
    largest, greatest, same, pixels = np.float32(0), np.float32(0), 0, 0
    for logits, other in zip(wanted, given):
        if logits.shape != other.logits.shape:
            raise MXNetSegError(f"the ONNX model gives logits {other.logits.shape}, the network {logits.shape}")
        largest = np.maximum(largest, np.abs(logits - other.logits).max())  # NaN stays NaN
        greatest = np.maximum(greatest, np.abs(logits).max())
        equal = logits.argmax(axis=1) == other.classes
        same, pixels = same + int(equal.sum()), pixels + equal.size
    return Difference(float(largest / greatest) if greatest else float(largest), same / pixels)


def first_difference(
    graph: Graph, arrays: Mapping[str, nd.NDArray], batch: nd.NDArray, values: Mapping[str, np.ndarray]
) -> Optional[str]:
    """The first operator of the graph whose output is not what `values` has for it, in words; None: there is none.

    `values` are outputs by the operators' names; what it lacks is not looked at.
    """
    nodes = [node for node in graph.nodes() if node.op != VARIABLE and node.name in values]
    internals = graph.symbol().get_internals()
    there = set(internals.list_outputs())
    nodes = [node for node in nodes if f"{node.name}_output" in there]
    symbol = mx.sym.Group([internals[f"{node.name}_output"] for node in nodes])
    with autograd.pause(train_mode=False):
        outputs: Any = nd.CachedOp(symbol)(
            *(batch if name == "data" else arrays[name] for name in symbol.list_inputs())
        )
    for node, output in zip(nodes, outputs if isinstance(outputs, list) else [outputs]):
        wanted, value = output.asnumpy(), values[node.name]
        if wanted.shape != value.shape:
            return f"{node.name} ({node.op}), whose shape is {value.shape} instead of {wanted.shape}"
        error = float(np.abs(wanted - value).max())
        if not error <= WRONG * max(float(np.abs(wanted).max()), 1e-6):
            return f"{node.name} ({node.op}), which differs by {error:.2g}"
    return None
