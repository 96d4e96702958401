"""Convolutions of enlarged maps are worked out, as far as possible, before the maps are enlarged.

A convolution is linear, so the channels that it takes from an enlarged map can be multiplied by its weights at the
map's own size, once for each of the kernel's taps, and the products enlarged and added up (`ops.upsample_taps`): equal
logits but for rounding. Where decoders enlarge their levels before they join them, that is most of their arithmetic.
"""

from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from mxnet import nd

from ..ops.upsample import serves_taps
from .graph import VARIABLE, Entry, Graph, Node

__all__ = ["convolve_before_resizing"]

RESIZE, TAPS = "_contrib_BilinearResize2D", "mxnetseg_upsample_taps"
SIZE = (1, 3, 512, 512)  # of the image that decides what pays
LEAST_GROWTH = 2  # of the area of a map
LEAST_CHANNELS = 64  # of a map: with fewer, moving numbers takes longer than the convolution


class Part(NamedTuple):
    """A run of a convolution's input channels: a map as it is, or one to be enlarged."""

    entry: Entry
    channels: int
    resize: Optional[Node]  # of which `entry` is the input


def convolve_before_resizing(graph: Graph, arrays: Dict[str, nd.NDArray]) -> None:
    """Change `graph` in place; weights of the convolutions that come out are added to `arrays`.

    Leaves everything as it is where there is no operator library.
    """
    found = [node for node in graph.operators() if _is_plain(node, arrays) and _source(node).op in ("Concat", RESIZE)]
    if not found or not serves_taps():
        return
    sizes = _Sizes(graph)
    users = _users(graph)
    for conv in found:
        if users.get(id(_source(conv)), []) == [conv]:
            parts = _parts(conv, sizes)
            if any(part.resize for part in parts):
                _split(conv, parts, arrays, users)


def _is_plain(node: Node, arrays) -> bool:
    """A convolution of stride 1 that keeps the size, with a square kernel, no dilation and no groups."""
    if node.op != "Convolution" or any(entry.node.name not in arrays for entry in node.inputs[1:]):
        return False
    kernel = _pair(node, "kernel", "(0, 0)")
    return (
        kernel in ((1, 1), (3, 3))
        and _pair(node, "pad", "(0, 0)") == (kernel[0] // 2,) * 2
        and _pair(node, "stride", "(1, 1)") == _pair(node, "dilate", "(1, 1)") == (1, 1)
        and int(node.attrs.get("num_group", 1)) == 1
    )


def _pair(node: Node, name: str, default: str) -> Tuple[int, ...]:
    return tuple(int(number) for number in node.attrs.get(name, default).strip("()[] ").split(",") if number.strip())


def _source(conv: Node) -> Node:
    return conv.inputs[0].node


def _users(graph: Graph) -> Dict[int, List[Node]]:
    """Who takes each node's outputs, by `id(node)`; nobody is who takes the graph's."""
    users: Dict[int, List[Node]] = {}
    for node in graph.nodes():
        for entry in node.inputs:
            users.setdefault(id(entry.node), []).append(node)
    for head in graph.heads:
        users.setdefault(id(head.node), []).append(None)
    return users


class _Sizes:
    """The shapes, for an image of `SIZE`, of what the nodes give that are in the graph now."""

    def __init__(self, graph: Graph):
        internals = graph.symbol().get_internals()
        shapes = dict(zip(internals.list_outputs(), internals.infer_shape(data=SIZE)[1]))
        self._of: Dict[int, Optional[Sequence[int]]] = {}
        names = set()
        for node in graph.nodes():
            shape = shapes.get(node.name if node.op == VARIABLE else f"{node.name}_output")
            self._of[id(node)] = None if node.name in names else shape
            names.add(node.name)

    def of(self, entry: Entry) -> Optional[Sequence[int]]:
        """None for one of several outputs, and where another node has the same name."""
        return self._of[id(entry.node)]


def _parts(conv: Node, sizes: _Sizes) -> List[Part]:
    """What the convolution's input is made of; nothing where a size is not known."""
    source = _source(conv)
    entries = [conv.inputs[0]] if source.op == RESIZE else source.inputs
    if source.op == "Concat" and int(source.attrs.get("dim", 1)) != 1:
        return []
    parts = []
    for entry in entries:
        node, shape = entry.node, sizes.of(entry)
        if shape is None:
            return []
        small = sizes.of(node.inputs[0]) if node.op == RESIZE else None
        pays = small and small[1] >= LEAST_CHANNELS and np.prod(shape[2:]) >= LEAST_GROWTH * np.prod(small[2:])
        parts.append(Part(node.inputs[0], shape[1], node) if pays else Part(entry, shape[1], None))
    whole = [part for part in parts if part.resize is None]
    if whole or not parts or _factor(parts[0].resize):
        return parts
    return []  # nothing tells the size


def _factor(resize: Node) -> int:
    """How many times larger it makes a map; 0 where another map tells."""
    factors = {float(resize.attrs.get(f"scale_{side}", 0)) for side in ("height", "width")}
    factor = factors.pop()
    fixed = resize.attrs.get("mode", "size") == "size" and len(resize.inputs) == 1 and not factors
    return int(factor) if fixed and factor == int(factor) else 0


def _split(conv: Node, parts: Sequence[Part], arrays, users) -> None:
    """Replace the convolution by one of the maps as they are, and what each map to be enlarged adds to it."""
    weight = arrays[conv.inputs[1].node.name].asnumpy()
    starts = np.cumsum([0, *(part.channels for part in parts)])
    pieces = [weight[:, start:end] for start, end in zip(starts, starts[1:])]
    whole = [(part, piece) for part, piece in zip(parts, pieces) if part.resize is None]
    base = factor = None
    if whole:
        base = _convolution(conv, [part.entry for part, _ in whole], np.concatenate([p for _, p in whole], 1), arrays)
    else:
        factor = _factor(parts[0].resize)
        base = _bias(conv, weight.shape[0], arrays)
    last = None
    for number, (part, piece) in enumerate(zip(parts, pieces)):
        if part.resize is None:
            continue
        taps = _taps(conv, part, piece, f"{conv.name}_taps{number}", arrays)
        attrs = dict(
            kernel=str(weight.shape[2]),
            factor=str(factor or 0),
            align_corners=str(int(part.resize.flag("align_corners", True))),
            relu="0",
        )
        last = Node(TAPS, f"{conv.name}_sum{number}", attrs, [Entry(taps), Entry(base)])
        base, factor = last, None
    _become(conv, last, users)


def _convolution(conv: Node, entries: List[Entry], weight: np.ndarray, arrays) -> Node:
    name = f"{conv.name}_whole"
    source = entries[0]
    if len(entries) > 1:
        source = Entry(Node("Concat", f"{name}_input", {"dim": "1", "num_args": str(len(entries))}, entries))
    variables = [_variable(f"{name}_weight", weight, arrays), *conv.inputs[2:]]
    return Node("Convolution", name, dict(conv.attrs), [source, *variables])


def _taps(conv: Node, part: Part, weight: np.ndarray, name: str, arrays) -> Node:
    channels, kernel = weight.shape[0], weight.shape[2]
    weight = weight.transpose(2, 3, 0, 1).reshape(kernel * kernel * channels, -1, 1, 1)
    attrs = {**conv.attrs, "kernel": "(1, 1)", "pad": "(0, 0)", "no_bias": "True", "num_filter": str(weight.shape[0])}
    return Node("Convolution", name, attrs, [part.entry, _variable(f"{name}_weight", weight, arrays)])


def _bias(conv: Node, channels: int, arrays) -> Node:
    if len(conv.inputs) > 2:
        return conv.inputs[2].node
    return _variable(f"{conv.name}_nobias", np.zeros(channels), arrays).node


def _variable(name: str, values: np.ndarray, arrays) -> Entry:
    arrays[name] = nd.array(values, dtype="float32")
    return Entry(Node(VARIABLE, name))


def _become(conv: Node, last: Node, users) -> None:
    """`conv` is now the last sum; a ReLU that alone follows becomes part of it."""
    conv.op, conv.attrs, conv.inputs, conv.name = last.op, last.attrs, last.inputs, last.name
    following = users.get(id(conv), [])
    if len(following) == 1 and following[0] is not None:
        node = following[0]
        if node.op == "relu" or (node.op == "Activation" and node.attrs.get("act_type") == "relu"):
            node.op, node.name, node.inputs = conv.op, f"{conv.name}_relu", conv.inputs
            node.attrs = {**conv.attrs, "relu": "1"}
