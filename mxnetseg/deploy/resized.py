"""Resizes by the operator library, and convolutions that are worked out, as far as possible, before them.

A convolution is linear, so the channels that it takes from an enlarged map can be multiplied by its weights at the
map's own size, once for each of the kernel's taps, and the products enlarged and added up (`ops.upsample_taps`): equal
logits but for rounding. Where decoders enlarge their levels before they join them, that is most of their arithmetic.
"""

from typing import Dict, List, NamedTuple, Optional, Sequence

import numpy as np

from ..graph import Entry, Node, is_relu
from ..ops.upsample import serves_taps
from .plan import Plan

__all__ = ["convolve_before_resizing", "resize_in_one_pass"]

RESIZE, TAPS = "_contrib_BilinearResize2D", "mxnetseg_upsample_taps"
LEAST_GROWTH = 2  # of the area of a map
LEAST_CHANNELS = 64  # of a map: with fewer, moving numbers takes longer than the convolution
MOST = 12 << 20  # products at a time, 4 bytes each, where they can be made for some of the filters after others
LANES = 16  # filters that oneDNN works on together


class Part(NamedTuple):
    """A run of a convolution's input channels: a map as it is, or one to be enlarged."""

    entry: Entry
    start: int
    end: int
    resize: Optional[Node]  # of which `entry` is the input


def convolve_before_resizing(plan: Plan) -> None:
    """Leaves everything as it is where there is no operator library."""
    found = [
        node for node in plan.graph.operators() if _is_plain(node, plan) and _source(node).op in ("Concat", RESIZE)
    ]
    if not found or not serves_taps():
        return
    for conv in found:
        if plan.graph.single_user(_source(conv)) is conv:
            parts = _parts(conv, plan)
            if any(part.resize for part in parts):
                _replace(conv, parts, plan)


def resize_in_one_pass(plan: Plan) -> None:
    """Every resize left, with the sum after it if nothing else uses the resize, becomes an operator of the library.

    Leaves everything as it is where there is none.
    """
    found = [node for node in plan.graph.operators() if node.op == RESIZE]
    if not found or not serves_taps():
        return
    for resize in found:
        source, node = resize.inputs[0], plan.graph.single_user(resize)
        if node is not None and node.op == "elemwise_add":
            other = next(entry for entry in node.inputs if entry.node is not resize)
            node.inputs, node.attrs = [source, other], _attributes(resize, 1, add=1)
        elif len(resize.inputs) == 2 and resize.attrs.get("mode") == "like":
            node, resize.attrs = resize, _attributes(resize, 1, add=0)
        elif _factor(resize):
            node, channels = resize, plan.shape(source)[1]
            zeros = plan.constant(f"zeros{channels}", lambda channels=channels: np.zeros(channels))
            node.inputs, node.attrs = [source, zeros], _attributes(resize, 1, factor=_factor(resize))
        else:
            continue
        node.op = TAPS
        _take_relu(node, plan)


def _attributes(resize: Node, kernel: int, *, factor: int = 0, add: int = 1) -> Dict[str, str]:
    """Those of `ops.upsample_taps`."""
    corners = int(resize.flag("align_corners", True))
    found = dict(kernel=kernel, factor=factor, align_corners=corners, add=add, relu=0)
    return {name: str(value) for name, value in found.items()}


def _is_plain(node: Node, plan: Plan) -> bool:
    """A convolution of stride 1 that keeps the size, with a square kernel, no dilation and no groups."""
    if node.op != "Convolution" or not plan.has_weights(node):
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


def _parts(conv: Node, plan: Plan) -> List[Part]:
    """What the convolution's input is made of; nothing where no part tells the size."""
    source = _source(conv)
    entries = [conv.inputs[0]] if source.op == RESIZE else source.inputs
    if source.op == "Concat" and int(source.attrs.get("dim", 1)) != 1:
        return []
    parts: List[Part] = []
    for entry in entries:
        node, shape = entry.node, plan.shape(entry)
        start = parts[-1].end if parts else 0
        small = plan.shape(node.inputs[0]) if node.op == RESIZE else None
        pays = small and small[1] >= LEAST_CHANNELS and np.prod(shape[2:]) >= LEAST_GROWTH * np.prod(small[2:])
        parts.append(Part(node.inputs[0] if pays else entry, start, start + shape[1], node if pays else None))
    whole = [part for part in parts if part.resize is None]
    return parts if whole or _factor(parts[0].resize) else []


def _factor(resize: Node) -> int:
    """How many times larger it makes a map; 0 where another map tells."""
    factors = {resize.attrs.get(f"scale_{side}", "None") for side in ("height", "width")}
    factor = factors.pop()
    if resize.attrs.get("mode", "size") != "size" or len(resize.inputs) > 1 or factors or factor == "None":
        return 0
    return int(float(factor)) if float(factor) == int(float(factor)) else 0


def _replace(conv: Node, parts: Sequence[Part], plan: Plan) -> None:
    """The convolution becomes one of the maps as they are, and what each map to be enlarged adds to it.

    Without the former, a run of filters comes after another, so that their products, which are many times the result,
    are never all in memory.
    """
    filters = len(plan.arrays[conv.inputs[1].node.name])
    whole = any(part.resize is None for part in parts)
    count = filters if whole else _filters_at_a_time(conv, parts, filters, plan)
    runs = [slice(first, min(first + count, filters)) for first in range(0, filters, count)]
    if len(runs) == 1:
        conv.become(_sum(conv, parts, runs[0], "", plan))
        _take_relu(conv, plan)
        return
    pieces = [_sum(conv, parts, run, f"_{run.start}on", plan) for run in runs]
    follower = plan.graph.single_user(conv)
    if follower is not None and is_relu(follower):
        pieces = [_with_relu(piece) for piece in pieces]
        conv = follower
    attrs = {"dim": "1", "num_args": str(len(pieces))}
    conv.become(Node("Concat", f"{conv.name}_runs", attrs, [Entry(piece) for piece in pieces]))


def _filters_at_a_time(conv: Node, parts: Sequence[Part], filters: int, plan: Plan) -> int:
    taps = conv.numbers("kernel", (0, 0))[0] ** 2
    products = taps * max(np.prod(plan.shape(part.entry)[2:]) for part in parts)
    fitting = max(LANES, int(MOST // products) // LANES * LANES)
    runs = -(-filters // fitting)
    return -(-filters // (runs * LANES)) * LANES


def _sum(conv: Node, parts: Sequence[Part], run: slice, suffix: str, plan: Plan) -> Node:
    """A run of the convolution's filters, without a ReLU behind it."""
    _, variable, *bias = conv.inputs
    name = variable.node.name
    weight = plan.arrays[name].asnumpy()[run]
    whole = [part for part in parts if part.resize is None]
    factor = 0
    if whole:
        base = _convolution(conv, whole, weight, plan)
    else:
        factor = _factor(parts[0].resize)
        base = _bias(name, bias, run, suffix, plan)
    for part in parts:
        if part.resize is None:
            continue
        at = f"{part.start}to{part.end}{suffix}"
        piece = weight[:, part.start : part.end]
        matrices = plan.constant(f"{name}_taps{at}", lambda piece=piece: _matrices(piece))
        attrs = {**conv.attrs, "kernel": "(1, 1)", "pad": "(0, 0)", "no_bias": "True"}
        attrs["num_filter"] = str(plan.arrays[matrices.node.name].shape[0])
        taps = Entry(Node("Convolution", f"{conv.name}_taps{at}", attrs, [part.entry, matrices]))
        attrs = _attributes(part.resize, conv.numbers("kernel", (0, 0))[0], factor=factor)
        base, factor = Entry(Node(TAPS, f"{conv.name}_sum{at}", attrs, [taps, base])), 0
    return base.node


def _bias(name: str, bias: Sequence[Entry], run: slice, suffix: str, plan: Plan) -> Entry:
    if not bias:
        count = run.stop - run.start
        return plan.constant(f"{name}_nobias{count}", lambda: np.zeros(count))
    if not suffix:
        return bias[0]
    values = plan.arrays[bias[0].node.name].asnumpy()[run]
    return plan.constant(f"{bias[0].node.name}{suffix}", lambda: values)


def _convolution(conv: Node, parts: Sequence[Part], weight: np.ndarray, plan: Plan) -> Entry:
    """That of the maps as they are, each with its piece of the weight."""
    name = "_".join([conv.inputs[1].node.name, "from", *(f"{part.start}to{part.end}" for part in parts)])
    pieces = [weight[:, part.start : part.end] for part in parts]
    variable = plan.constant(name, lambda: np.concatenate(pieces, axis=1))
    source = parts[0].entry
    if len(parts) > 1:
        attrs = {"dim": "1", "num_args": str(len(parts))}
        source = Entry(Node("Concat", f"{conv.name}_whole_input", attrs, [part.entry for part in parts]))
    return Entry(Node("Convolution", f"{conv.name}_whole", conv.attrs, [source, variable, *conv.inputs[2:]]))


def _matrices(weight: np.ndarray) -> np.ndarray:
    """(O, C, k, k) -> (k * k * O, C, 1, 1)"""
    return weight.transpose(2, 3, 0, 1).reshape(-1, weight.shape[1], 1, 1)


def _take_relu(taps: Node, plan: Plan) -> None:
    """A ReLU that alone follows becomes part of it."""
    node = plan.graph.single_user(taps)
    if node is not None and is_relu(node):
        node.become(_with_relu(taps))


def _with_relu(taps: Node) -> Node:
    return Node(taps.op, f"{taps.name}_relu", {**taps.attrs, "relu": "1"}, taps.inputs)
