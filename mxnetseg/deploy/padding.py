"""Channels to whole vectors: oneDNN has slow code for convolutions whose channels do not fill its blocks of 8."""

from typing import Dict, List, Sequence, Tuple

import numpy as np

from ..graph import NONE, VARIABLE, Entry, Node, known
from .plan import Plan

__all__ = ["pad_channels", "pad_images"]

BLOCK = 8
MOST = 1.5  # how many times more channels, at most


def pad_channels(plan: Plan) -> None:
    """Maps whose channels are no multiple of 8 get more, as long as only convolutions with known weights make them and
    take them, and operators in between treat each channel for itself.

    Whatever the new channels hold, the weights that meet them are 0.
    """
    maps = _Maps(plan)
    for conv in maps.convolutions:
        source, target = maps.padding(conv.inputs[0].node), maps.padding(conv)
        if not (source or target):
            continue
        filters = str(int(conv.attrs["num_filter"]) + target)
        changed = {"num_filter": filters}
        if _is_depthwise(conv, plan):
            changed["num_group"], source = filters, 0  # a filter sees one channel
        pads = [(0, target), (0, source), (0, 0), (0, 0)]
        image, weight, *bias = conv.inputs
        bias = [_padded(one, pads[:1], plan) for one in bias]
        conv.attrs, conv.inputs = {**conv.attrs, **changed}, [image, _padded(weight, pads, plan), *bias]


def pad_images(plan: Plan) -> None:
    """The inputs of convolutions of 3 channels get a fourth, of zeros: for 3 oneDNN has no code in bfloat16 but a
    general matrix product. In float32 it has."""
    larger: Dict[Entry, Entry] = {}
    for conv in plan.graph.operators():
        if not _is_plain(conv, plan) or _channels(conv, plan) != 3:
            continue
        image, weight, *bias = conv.inputs
        if image not in larger:
            name = f"{image.node.name}_channel"
            one = Node("slice_axis", name, {"axis": "1", "begin": "0", "end": "1"}, [image])
            zeros = Node("zeros_like", f"{name}_zeros", {}, [Entry(one)])
            both = Node("Concat", f"{name}_added", {"num_args": "2", "dim": "1"}, [image, Entry(zeros)])
            larger[image] = Entry(both)
        conv.inputs = [larger[image], _padded(weight, [(0, 0), (0, 1), (0, 0), (0, 0)], plan), *bias]


class _Maps:
    """Which nodes' outputs must have the same channels, how many these are, and which can't have more."""

    def __init__(self, plan: Plan):
        self.convolutions: List[Node] = []
        self._same: Dict[Node, Node] = {}
        self._channels: Dict[Node, int] = {}
        self._fixed = {head.node for head in plan.graph.heads}
        for node in plan.graph.operators():
            if _is_plain(node, plan):
                self.convolutions.append(node)
                self._channels[node] = int(node.attrs["num_filter"])
                if _is_depthwise(node, plan):
                    self._tie(node, node.inputs[0].node)
            elif known(node).channels != NONE:
                for entry in node.inputs[known(node).channels]:
                    self._tie(node, entry.node)
            else:
                self._fixed.update((node, *(entry.node for entry in node.inputs)))
        self._fixed = {self._root(one) for one in self._fixed}

    def padding(self, node: Node) -> int:
        """Channels that the node's output gets."""
        root = self._root(node)
        channels = self._channels.get(root)
        if channels is None or root in self._fixed:
            return 0
        more = -channels % BLOCK
        return more if channels + more <= MOST * channels else 0

    def _root(self, one: Node) -> Node:
        while one in self._same:
            one = self._same[one]
        return one

    def _tie(self, node: Node, other: Node) -> None:
        a, b = self._root(node), self._root(other)
        if a is b:
            return
        channels = {self._channels.get(root) for root in (a, b)} - {None}
        if other.op == VARIABLE or len(channels) > 1:
            self._fixed.update((a, b))
        self._same[b] = a
        if channels:
            self._channels[a] = channels.pop()


def _is_plain(node: Node, plan: Plan) -> bool:
    """A convolution of known weights, of all channels or of each for itself."""
    return (
        node.op == "Convolution"
        and len(node.numbers("kernel", ())) == 2
        and plan.has_weights(node)
        and (int(node.attrs.get("num_group", 1)) == 1 or _is_depthwise(node, plan))
    )


def _is_depthwise(node: Node, plan: Plan) -> bool:
    """As many groups as channels and filters."""
    return int(node.attrs.get("num_group", 1)) == int(node.attrs["num_filter"]) > _channels(node, plan) == 1


def _channels(conv: Node, plan: Plan) -> int:
    """That a filter sees."""
    return plan.arrays[conv.inputs[1].node.name].shape[1]


def _padded(variable: Entry, pads: Sequence[Tuple[int, int]], plan: Plan) -> Entry:
    """The variable, padded with zeros."""
    name = variable.node.name
    values = plan.arrays[name]
    shape = "x".join(str(size + after) for size, (_, after) in zip(values.shape, pads))
    return plan.constant(f"{name}_{shape}", lambda: np.pad(values.asnumpy(), pads))
