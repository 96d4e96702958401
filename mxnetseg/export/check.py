"""Whether an ONNX model gives what the network gives, and if not, since which operator."""

from typing import Any, Iterable, Iterator, Mapping, NamedTuple, Optional, Tuple

import mxnet as mx
import numpy as np
from mxnet import autograd, nd

from ..data.streets import draw_scene
from ..data.transforms import resize
from ..errors import MXNetSegError
from ..graph import VARIABLE, Entry, Graph
from ..network import Network

__all__ = ["Difference", "Pair", "as_filed", "difference", "first_difference", "given", "pictures"]

LEAST = 64  # pixels of a side of a scene that can be drawn
WRONG = 1e-3  # of a feature map's greatest value: more than rounding


class Pair(NamedTuple):
    """A batch for the network, (N, 3, H, W), and the same as the file takes it."""

    batch: nd.NDArray
    fed: np.ndarray


class Difference(NamedTuple):
    """Of two networks: the largest difference of logits by the largest logit, and the share of equal classes."""

    largest: float
    same: float


def pictures(batch: int, size: Tuple[int, int], channels: int = 3) -> np.ndarray:
    """Street scenes (N, H, W, channels) uint8, always the same; further channels are red, green and blue again."""
    at_least = max(LEAST, size[0]), max(LEAST, size[1])
    drawn = [draw_scene(np.random.default_rng(seed), at_least)[0] for seed in range(batch)]
    scenes = np.stack([resize(picture, *size) for picture in drawn])
    drawn_again: np.ndarray = scenes if channels == 3 else scenes[..., np.arange(channels) % 3]
    return drawn_again


def as_filed(picture: np.ndarray, limits: Optional[Tuple[float, float]]) -> np.ndarray:
    """A picture of values from 0 to 255 as files hold it whose values are between `limits`; uint8 without any."""
    if limits is None:
        return picture
    low, high = limits
    filed: np.ndarray = picture.astype(np.float32) * np.float32((high - low) / 255) + np.float32(low)
    return filed


def given(session: Any, pairs: Iterable[Pair], output: str) -> Iterator[Tuple[np.ndarray, np.ndarray]]:
    """Logits (N, C, H, W), and class maps (N, H, W) by the output that is asked for."""
    for pair in pairs:
        logits, last = session.run(["logits", output], {"image": pair.fed})
        yield logits, last if last.ndim == 3 else last.argmax(axis=1)


def difference(network: Network, pairs: Iterable[Pair], other: Iterable[Tuple[np.ndarray, np.ndarray]]) -> Difference:
    """Between a network and what another gives for the same batches: logits and class maps.

    Raises
    ------
    MXNetSegError
        Their shapes differ.
    """
    largest, greatest, same, pixels = np.float32(0), np.float32(0), 0, 0
    for pair, (logits, classes) in zip(pairs, other):
        with autograd.pause(train_mode=False):
            wanted = network(pair.batch).asnumpy()
        if wanted.shape != logits.shape:
            raise MXNetSegError(f"the ONNX model gives logits {logits.shape}, the network {wanted.shape}")
        largest = np.maximum(largest, np.abs(wanted - logits).max())  # NaN stays NaN
        greatest = np.maximum(greatest, np.abs(wanted).max())
        equal = wanted.argmax(axis=1) == classes
        same, pixels = same + int(equal.sum()), pixels + equal.size
    return Difference(float(largest / greatest) if greatest else float(largest), same / pixels)


def first_difference(
    graph: Graph, arrays: Mapping[str, nd.NDArray], batch: nd.NDArray, values: Mapping[Entry, np.ndarray]
) -> Optional[str]:
    """The first operator of the graph whose output is not what `values` has for it, in words; None: there is none.

    What `values` lacks is not looked at.
    """
    internals = graph.symbol().get_internals()
    there = set(internals.list_outputs())
    names = {f"{name}_output": node for node, name in graph.names().items() if node.op != VARIABLE}
    names = {name: node for name, node in names.items() if name in there and Entry(node) in values}
    symbol = mx.sym.Group([internals[name] for name in names])
    with autograd.pause(train_mode=False):
        outputs: Any = nd.CachedOp(symbol)(
            *(batch if name == "data" else arrays[name] for name in symbol.list_inputs())
        )
    for node, output in zip(names.values(), outputs if isinstance(outputs, list) else [outputs]):
        wanted, value = output.asnumpy(), values[Entry(node)]
        if wanted.shape != value.shape:
            return f"{node.name} ({node.op}), whose shape is {value.shape} instead of {wanted.shape}"
        error = float(np.abs(wanted - value).max())
        if not error <= WRONG * max(float(np.abs(wanted).max()), 1e-6):
            return f"{node.name} ({node.op}), which differs by {error:.2g}"
    return None
