"""Multiply-accumulates of operators: the rules that the table of operators refers to (docs/flops.md)."""

import ast
from math import prod
from typing import Callable, NamedTuple, Sequence, Tuple

from .symbol import Node

__all__ = [
    "Call",
    "Rule",
    "activation",
    "clipped",
    "convolution",
    "deconvolution",
    "deformed",
    "last_axis_norm",
    "leaky",
    "linear",
    "linear_with_bias",
    "nothing",
    "per_input",
    "per_output",
    "per_result",
    "product",
    "rectified",
    "scores",
    "sorting",
    "summands",
    "upsampling",
    "weighted_sums",
]

TAPS = 9  # the deformable operators look at a window of 3 x 3
CORNERS = 4  # of a bilinear sample


class Call(NamedTuple):
    """An operator at work: its node, and the shapes of what it takes and gives."""

    node: Node
    inputs: Sequence[Tuple[int, ...]]
    outputs: Sequence[Tuple[int, ...]]


Rule = Callable[[Call], int]


def nothing(call: Call) -> int:
    return 0


def per_input(call: Call) -> int:
    """One for each element of the first input."""
    return prod(call.inputs[0])


def per_output(number: int) -> Rule:
    """So many for each element of the first output."""
    return lambda call: number * prod(call.outputs[0])


def per_result(number: int) -> Rule:
    """So many for each element of all outputs."""
    return lambda call: number * sum(map(prod, call.outputs))


def convolution(call: Call) -> int:
    elements, weight = prod(call.outputs[0]), call.inputs[1]  # (out, in / groups, kh, kw)
    return elements * prod(weight[1:]) + (elements if len(call.inputs) > 2 else 0)


def deconvolution(call: Call) -> int:
    weight = call.inputs[1]  # (in, out / groups, kh, kw)
    return prod(call.inputs[0]) * prod(weight[1:]) + (prod(call.outputs[0]) if len(call.inputs) > 2 else 0)


def upsampling(call: Call) -> int:
    """A deconvolution of every channel; or the nearest pixel, which is no arithmetic."""
    return deconvolution(call) if call.node.attrs.get("sample_type") == "bilinear" else 0


def deformed(call: Call) -> int:
    """A convolution, and a sample of every input channel for every tap."""
    biased = not call.node.flag("no_bias")
    elements, weight = prod(call.outputs[0]), call.inputs[-2 if biased else -1]
    samples = elements // call.outputs[0][1] * call.inputs[0][1] * prod(call.node.numbers("kernel", ()))
    return elements * prod(weight[1:]) + (elements if biased else 0) + CORNERS * samples


def summands(call: Call) -> int:
    return (len(call.inputs) - 1) * prod(call.outputs[0])


def sorting(call: Call) -> int:
    """Comparisons of all numbers along the axis: n log2(n)."""
    axis = ast.literal_eval(call.node.attrs.get("axis", "-1"))
    length = prod(call.inputs[0]) if axis is None else call.inputs[0][axis]
    return prod(call.inputs[0]) * max(length - 1, 1).bit_length()


def linear(call: Call) -> int:
    """Without the bias: mmcv leaves it out, here only."""
    return prod(call.outputs[0]) * call.inputs[1][1]


def linear_with_bias(call: Call) -> int:
    return linear(call) + (prod(call.outputs[0]) if len(call.inputs) > 2 else 0)


def last_axis_norm(call: Call) -> int:
    """Over channels first it is a class of the originals' own, which mmcv does not know."""
    last = int(call.node.attrs.get("axis", -1)) in (-1, len(call.outputs[0]) - 1)
    return 2 * prod(call.outputs[0]) if last else 0


def activation(call: Call) -> int:
    """ReLU, the only one of these that mmcv counts."""
    return prod(call.outputs[0]) if call.node.attrs.get("act_type") == "relu" else 0


def leaky(call: Call) -> int:
    """LeakyReLU, PReLU and ELU."""
    return prod(call.outputs[0]) if call.node.attrs.get("act_type", "leaky") in ("leaky", "prelu", "elu") else 0


def clipped(call: Call) -> int:
    """ReLU6."""
    limits = [float(call.node.attrs[name]) for name in ("a_min", "a_max")]
    return prod(call.outputs[0]) if limits == [0, 6] else 0


def rectified(call: Call) -> int:
    """ReLU, where the number is 0."""
    return prod(call.outputs[0]) if float(call.node.attrs["scalar"]) == 0 else 0


def product(call: Call) -> int:
    """A matrix product: output elements times the length of the sums."""
    left, op = call.inputs[0], call.node.op
    if not call.node.flag("transpose_a"):
        length = left[-1]
    elif op == "dot":
        length = left[0]  # dot takes the first axis, whatever the number of axes
    else:
        length = left[int(ast.literal_eval(call.node.attrs.get("axis", "-2")))]
    elements = prod(call.outputs[0])
    return elements * length + (elements if op == "_linalg_gemm" else 0)


def self_attention(call: Call) -> int:
    """(N, L, 3 C): queries scaled, two products of every head, and between them a softmax of every row."""
    count, length, width = call.inputs[0]
    maps = count * int(call.node.attrs["heads"]) * length * length
    return prod(call.outputs[0]) * (1 + 2 * length) + 3 * maps


def scores(call: Call) -> int:
    """Of interleaved self-attention: (length, N, heads * 3 * d) -> (N * heads, length, length)."""
    return prod(call.outputs[0]) * (call.inputs[0][-1] // (3 * int(call.node.attrs["heads"])))


def weighted_sums(call: Call) -> int:
    """Of interleaved self-attention, over the length."""
    return prod(call.outputs[0]) * call.inputs[0][0]
