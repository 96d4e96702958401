"""Channels to whole vectors: oneDNN has slow code for convolutions whose channels do not fill its blocks of 8."""

from typing import Dict, List, Sequence, Tuple

import numpy as np
from mxnet import nd

from ..graph import VARIABLE, Entry, Graph, Node

__all__ = ["pad_channels", "pad_images"]

BLOCK = 8
MOST = 1.5  # how many times more channels, at most

# Operators that treat every channel for itself: their output has the channels of their inputs (all, or the first)
ALL_INPUTS = ("elemwise_add", "broadcast_add", "elemwise_mul", "broadcast_mul")
FIRST_INPUT = (
    "Activation",
    "Dropout",
    "Pooling",
    "_contrib_AdaptiveAvgPooling2D",
    "_contrib_BilinearResize2D",
    "_mul_scalar",
    "_plus_scalar",
    "clip",
    "relu",
    "sigmoid",
)


def pad_channels(graph: Graph, arrays: Dict[str, nd.NDArray]) -> None:
    """Change `graph` in place; padded weights are added to `arrays`.

    Maps whose channels are no multiple of 8 get more, as long as only convolutions with known weights make them and
    take them, and operators in between treat each channel for itself. Whatever the new channels hold, the weights
    that meet them are 0.
    """
    maps = _Maps(graph, arrays)
    for conv in maps.convolutions:
        source, target = maps.padding(conv.inputs[0].node), maps.padding(conv)
        if not (source or target):
            continue
        filters = str(int(conv.attrs["num_filter"]) + target)
        if _is_depthwise(conv, arrays):
            conv.attrs["num_group"], source = filters, 0  # a filter sees one channel
        conv.attrs["num_filter"] = filters
        pads = [(0, target), (0, source), (0, 0), (0, 0)]
        weight, *bias = (entry.node.name for entry in conv.inputs[1:])
        conv.inputs[1:] = [
            _padded(weight, pads, graph, arrays),
            *(_padded(one, pads[:1], graph, arrays) for one in bias),
        ]


def pad_images(graph: Graph, arrays: Dict[str, nd.NDArray]) -> None:
    """The inputs of convolutions of 3 channels get a fourth, of zeros: for 3 oneDNN has no code in bfloat16 but a
    general matrix product. In float32 it has."""
    larger: Dict[Tuple[int, int], Entry] = {}
    for conv in list(graph.operators()):
        if not _is_plain(conv, arrays) or arrays[conv.inputs[1].node.name].shape[1] != 3:
            continue
        image, weight = conv.inputs[0], conv.inputs[1].node.name
        key = (id(image.node), image.index)
        if key not in larger:
            name = f"{image.node.name}_channel"
            one = Node("slice_axis", name, {"axis": "1", "begin": "0", "end": "1"}, [image])
            zeros = Node("zeros_like", f"{name}_zeros", {}, [Entry(one)])
            both = Node("Concat", f"{name}_added", {"num_args": "2", "dim": "1"}, [image, Entry(zeros)])
            larger[key] = Entry(both)
        conv.inputs[:2] = [larger[key], _padded(weight, [(0, 0), (0, 1), (0, 0), (0, 0)], graph, arrays)]


class _Maps:
    """Which nodes' outputs must have the same channels, how many these are, and which can't have more."""

    def __init__(self, graph: Graph, arrays: Dict[str, nd.NDArray]):
        self.convolutions: List[Node] = []
        self._same: Dict[int, int] = {}
        self._channels: Dict[int, int] = {}
        self._fixed = {id(head.node) for head in graph.heads}
        for node in graph.operators():
            if _is_plain(node, arrays):
                self.convolutions.append(node)
                self._channels[id(node)] = int(node.attrs["num_filter"])
                if _is_depthwise(node, arrays):
                    self._tie(node, node.inputs[0].node)
            elif node.op in ALL_INPUTS or node.op in FIRST_INPUT:
                for entry in node.inputs if node.op in ALL_INPUTS else node.inputs[:1]:
                    self._tie(node, entry.node)
            else:
                self._fixed.update(id(other) for other in (node, *(entry.node for entry in node.inputs)))
        self._fixed = {self._root(one) for one in self._fixed}

    def padding(self, node: Node) -> int:
        """Channels that the node's output gets."""
        root = self._root(id(node))
        channels = self._channels.get(root)
        if channels is None or root in self._fixed:
            return 0
        more = -channels % BLOCK
        return more if channels + more <= MOST * channels else 0

    def _root(self, one: int) -> int:
        while one in self._same:
            one = self._same[one]
        return one

    def _tie(self, node: Node, other: Node) -> None:
        a, b = self._root(id(node)), self._root(id(other))
        if a == b:
            return
        channels = {self._channels.get(root) for root in (a, b)} - {None}
        if other.op == VARIABLE or len(channels) > 1:
            self._fixed.update((a, b))
        self._same[b] = a
        if channels:
            self._channels[a] = channels.pop()


def _is_plain(node: Node, arrays) -> bool:
    """A convolution of known weights, of all channels or of each for itself."""
    return (
        node.op == "Convolution"
        and len(node.numbers("kernel", ())) == 2
        and all(entry.node.name in arrays for entry in node.inputs[1:])
        and (int(node.attrs.get("num_group", 1)) == 1 or _is_depthwise(node, arrays))
    )


def _is_depthwise(node: Node, arrays) -> bool:
    """As many groups as channels and filters."""
    channels = arrays[node.inputs[1].node.name].shape[1]
    return int(node.attrs.get("num_group", 1)) == int(node.attrs["num_filter"]) > channels == 1


def _padded(name: str, pads: Sequence[Tuple[int, int]], graph: Graph, arrays) -> Entry:
    """The variable `name`, padded with zeros."""
    values = arrays[name]
    shape = "x".join(str(size + after) for size, (_, after) in zip(values.shape, pads))
    return graph.constant(f"{name}_{shape}", lambda: np.pad(values.asnumpy(), pads), arrays)
