"""Resizes by the operator library, and convolutions that are worked out, as far as possible, before them.

A convolution is linear, so the channels that it takes from an enlarged map can be multiplied by its weights at the
map's own size, once for each of the kernel's taps, and the products enlarged and added up (`ops.upsample_taps`): equal
logits but for rounding. Where decoders enlarge their levels before they join them, that is most of their arithmetic.
"""

from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from mxnet import nd

from ..graph import Entry, Graph, Node, Sizes, single_user
from ..ops.upsample import serves_taps

__all__ = ["convolve_before_resizing", "resize_in_one_pass"]

RESIZE, TAPS = "_contrib_BilinearResize2D", "mxnetseg_upsample_taps"
LEAST_GROWTH = 2  # of the area of a map
LEAST_CHANNELS = 64  # of a map: with fewer, moving numbers takes longer than the convolution


class Part(NamedTuple):
    """A run of a convolution's input channels: a map as it is, or one to be enlarged."""

    entry: Entry
    channels: int
    resize: Optional[Node]  # of which `entry` is the input


def convolve_before_resizing(graph: Graph, arrays: Dict[str, nd.NDArray], size: Tuple[int, int]) -> None:
    """Change `graph` in place; weights of the convolutions that come out are added to `arrays`. What pays is decided
    for images of `size`.

    Leaves everything as it is where there is no operator library.
    """
    found = [node for node in graph.operators() if _is_plain(node, arrays) and _source(node).op in ("Concat", RESIZE)]
    if not found or not serves_taps():
        return
    sizes = Sizes(graph, arrays, size)
    users = graph.users()
    for conv in found:
        if single_user(_source(conv), users) is conv:
            parts = _parts(conv, sizes)
            if any(part.resize for part in parts):
                _split(conv, parts, graph, arrays, users)


def resize_in_one_pass(graph: Graph, arrays: Dict[str, nd.NDArray], size: Tuple[int, int]) -> None:
    """Every resize left, with the sum after it if nothing else uses the resize, becomes an operator of the library.

    Leaves everything as it is where there is none.
    """
    found = [node for node in graph.operators() if node.op == RESIZE]
    if not found or not serves_taps():
        return
    sizes, users = Sizes(graph, arrays, size), graph.users()
    for resize in found:
        source, node = resize.inputs[0], single_user(resize, users)
        if node is not None and node.op == "elemwise_add":
            other = next(entry for entry in node.inputs if entry.node is not resize)
            node.inputs, node.attrs = [source, other], _attributes(resize, 1, add=1)
        elif len(resize.inputs) == 2 and resize.attrs.get("mode") == "like":
            node, resize.attrs = resize, _attributes(resize, 1, add=0)
        elif _factor(resize) and sizes.of(source) is not None:
            node, channels = resize, sizes.of(source)[1]
            zeros = graph.constant(f"zeros{channels}", lambda channels=channels: np.zeros(channels), arrays)
            node.inputs, node.attrs = [source, zeros], _attributes(resize, 1, factor=_factor(resize))
        else:
            continue
        node.op = TAPS
        _take_relu(node, users)


def _attributes(resize: Node, kernel: int, *, factor: int = 0, add: int = 1) -> Dict[str, str]:
    """Those of `ops.upsample_taps`."""
    corners = int(resize.flag("align_corners", True))
    found = dict(kernel=kernel, factor=factor, align_corners=corners, add=add, relu=0)
    return {name: str(value) for name, value in found.items()}


def _is_plain(node: Node, arrays) -> bool:
    """A convolution of stride 1 that keeps the size, with a square kernel, no dilation and no groups."""
    if node.op != "Convolution" or any(entry.node.name not in arrays for entry in node.inputs[1:]):
        return False
    kernel = node.numbers("kernel", (0, 0))
    return (
        kernel in ((1, 1), (3, 3))
        and node.numbers("pad", (0, 0)) == (kernel[0] // 2,) * 2
        and node.numbers("stride", (1, 1)) == node.numbers("dilate", (1, 1)) == (1, 1)
        and int(node.attrs.get("num_group", 1)) == 1
    )


def _source(conv: Node) -> Node:
    return conv.inputs[0].node


def _parts(conv: Node, sizes: Sizes) -> List[Part]:
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
    factors = {resize.attrs.get(f"scale_{side}", "None") for side in ("height", "width")}
    factor = factors.pop()
    if resize.attrs.get("mode", "size") != "size" or len(resize.inputs) > 1 or factors or factor == "None":
        return 0
    return int(float(factor)) if float(factor) == int(float(factor)) else 0


def _split(conv: Node, parts: Sequence[Part], graph: Graph, arrays, users) -> None:
    """Replace the convolution by one of the maps as they are, and what each map to be enlarged adds to it."""
    name = conv.inputs[1].node.name
    weight = arrays[name].asnumpy()
    starts = np.cumsum([0, *(part.channels for part in parts)])
    pieces = [weight[:, start:end] for start, end in zip(starts, starts[1:])]
    whole = [(part.entry, piece, start) for start, part, piece in zip(starts, parts, pieces) if part.resize is None]
    factor = 0
    if whole:
        base = Entry(_convolution(conv, whole, graph, arrays))
    else:
        factor = _factor(parts[0].resize)
        base = (conv.inputs[2:] or [graph.constant(f"{name}_nobias", lambda: np.zeros(len(weight)), arrays)])[0]
    for start, part, piece in zip(starts, parts, pieces):
        if part.resize is None:
            continue
        matrices = graph.constant(f"{name}_taps{start}", lambda piece=piece: _matrices(piece), arrays)
        attrs = {**conv.attrs, "kernel": "(1, 1)", "pad": "(0, 0)", "no_bias": "True"}
        attrs["num_filter"] = str(arrays[matrices.node.name].shape[0])
        taps = Node("Convolution", f"{conv.name}_taps{start}", attrs, [part.entry, matrices])
        attrs = _attributes(part.resize, weight.shape[2], factor=factor)
        base, factor = Entry(Node(TAPS, f"{conv.name}_sum{start}", attrs, [Entry(taps), base])), 0
    _become(conv, base.node, users)


def _convolution(conv: Node, parts: Sequence[Tuple[Entry, np.ndarray, int]], graph: Graph, arrays) -> Node:
    """That of the maps as they are, each with its piece of the weight and where that begins."""
    name = "_".join([conv.inputs[1].node.name, "from", *(str(start) for *_, start in parts)])
    weight = graph.constant(name, lambda: np.concatenate([piece for _, piece, _ in parts], axis=1), arrays)
    source = parts[0][0]
    if len(parts) > 1:
        entries = [entry for entry, *_ in parts]
        source = Entry(Node("Concat", f"{conv.name}_whole_input", {"dim": "1", "num_args": str(len(parts))}, entries))
    return Node("Convolution", f"{conv.name}_whole", dict(conv.attrs), [source, weight, *conv.inputs[2:]])


def _matrices(weight: np.ndarray) -> np.ndarray:
    """(O, C, k, k) -> (k * k * O, C, 1, 1)"""
    return weight.transpose(2, 3, 0, 1).reshape(-1, weight.shape[1], 1, 1)


def _become(conv: Node, last: Node, users) -> None:
    """`conv` is now the last sum."""
    conv.op, conv.attrs, conv.inputs, conv.name = last.op, last.attrs, last.inputs, last.name
    _take_relu(conv, users)


def _take_relu(taps: Node, users) -> None:
    """A ReLU that alone follows becomes part of it."""
    node = single_user(taps, users)
    if node is not None and node.is_relu():
        node.op, node.name, node.inputs = taps.op, f"{taps.name}_relu", taps.inputs
        node.attrs = {**taps.attrs, "relu": "1"}
