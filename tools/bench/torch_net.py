"""A plan as a PyTorch module, written as a PyTorch user would write it.

Convolutions, norms and linear layers are `torch.nn`'s own, each with its weights (batch norms are not folded, so the
module trains, and `torch.compile` folds them itself); resizes are `interpolate`. The module is an `fx.GraphModule`:
its forward pass is plain Python made from the list of operators, and costs nothing beside them.
"""

import operator
from collections import Counter

import numpy as np
import torch
import torch.nn.functional as F
from torch import fx, nn

from .composed_torch import deform_attention as composed_attention
from .plan import Plan

__all__ = ["to_torch"]


def to_torch(plan: Plan) -> fx.GraphModule:
    """The module: images (N, 3, H, W) of the plan's size -> logits."""
    root, graph = nn.Module(), fx.Graph()
    values = {}
    uses = Counter(name for node in plan.nodes for name in node.inputs)
    for node in plan.nodes:
        arrays = {role: torch.from_numpy(np.array(plan.arrays[name])) for role, name in node.arrays.items()}
        inputs = [values[name] for name in node.inputs]
        if node.op == "input":
            values[node.name] = graph.placeholder("image")
        elif node.op == "constant":
            root.register_parameter(node.name, nn.Parameter(arrays["value"]))
            values[node.name] = graph.get_attr(node.name)
        elif node.op == "relu":
            root.add_module(node.name, nn.ReLU(inplace=uses[node.inputs[0]] == 1))
            values[node.name] = graph.call_module(node.name, tuple(inputs))
        elif node.op in LAYERS:
            root.add_module(node.name, LAYERS[node.op](arrays, **node.attrs))
            values[node.name] = graph.call_module(node.name, tuple(inputs))
        else:
            function, arguments, options = FUNCTIONS[node.op](inputs, **node.attrs)
            values[node.name] = graph.call_function(function, tuple(arguments), options)
    graph.output(values[plan.nodes[-1].name])
    return fx.GraphModule(root, graph).eval()


def _fill(layer: nn.Module, **arrays) -> nn.Module:
    with torch.no_grad():
        for name, array in arrays.items():
            if array is not None:
                getattr(layer, name).copy_(array)
    return layer


def _conv(arrays, stride, pad, dilation, groups):
    weight, bias = arrays["weight"], arrays.get("bias")
    count, per_group = weight.shape[:2]
    layer = nn.Conv2d(
        per_group * groups, count, tuple(weight.shape[2:]), stride, pad, dilation, groups, bias=bias is not None
    )
    return _fill(layer, weight=weight, bias=bias)


def _linear(arrays):
    weight, bias = arrays["weight"], arrays.get("bias")
    return _fill(nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None), weight=weight, bias=bias)


def _batch_norm(arrays, eps):
    layer = nn.BatchNorm2d(len(arrays["gamma"]), eps)
    return _fill(
        layer,
        weight=arrays["gamma"],
        bias=arrays["beta"],
        running_mean=arrays["mean"],
        running_var=arrays["var"],
    )


class _ChannelNorm(nn.LayerNorm):
    """A LayerNorm over the channels of (N, C, H, W); with channels-last memory its transposes cost nothing."""

    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def _layer_norm(arrays, eps, axis):
    kind = nn.LayerNorm if axis == -1 else _ChannelNorm
    return _fill(kind(len(arrays["gamma"]), eps), weight=arrays["gamma"], bias=arrays["beta"])


def _max_pool(arrays, kernel, stride, pad):
    return nn.MaxPool2d(kernel, stride, pad)


LAYERS = {
    "conv": _conv,
    "linear": _linear,
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "max_pool": _max_pool,
    "gelu": lambda arrays: nn.GELU(),
    "silu": lambda arrays: nn.SiLU(),
}


def attention(q, k, v, offset, position, heads, scale):
    """In float32, whatever the network's type: in bfloat16 positions beyond 256 are not even whole pixels."""
    arrays = (x.float() for x in (q, k, v, offset, position))
    return composed_attention(*arrays, heads=heads, scale=scale).to(q.dtype)


def _slice(inputs, axis, begin, end):
    return torch.narrow, (inputs[0], axis, begin, end - begin), {}


def _matmul(inputs, transpose_a, transpose_b):
    return multiply, (*inputs, transpose_a, transpose_b), {}


def multiply(a, b, transpose_a, transpose_b):
    return torch.matmul(a.transpose(-1, -2) if transpose_a else a, b.transpose(-1, -2) if transpose_b else b)


def _resize(inputs, size, align_corners):
    return F.interpolate, inputs, dict(size=tuple(size), mode="bilinear", align_corners=align_corners)


def _pad(inputs, width):
    pairs = list(zip(width[::2], width[1::2]))
    return F.pad, (inputs[0], tuple(side for pair in pairs[::-1] for side in pair)), {}


def _nearest(inputs, size):
    return F.interpolate, inputs, dict(size=tuple(size), mode="nearest")


def self_attention(qkv, heads):
    count, length, width = qkv.shape
    q, k, v = qkv.reshape(count, length, 3, heads, width // (3 * heads)).permute(2, 0, 3, 1, 4).unbind(0)
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(count, length, width // 3)


FUNCTIONS = {
    "add": lambda inputs: (operator.add, inputs, {}),
    "sub": lambda inputs: (operator.sub, inputs, {}),
    "mul": lambda inputs: (operator.mul, inputs, {}),
    "div": lambda inputs: (operator.truediv, inputs, {}),
    "relu6": lambda inputs: (F.relu6, inputs, {}),
    "pad": _pad,
    "sigmoid": lambda inputs: (torch.sigmoid, inputs, {}),
    "concat": lambda inputs, axis: (torch.cat, (inputs, axis), {}),
    "reshape": lambda inputs, to: (torch.reshape, (inputs[0], tuple(to)), {}),
    "transpose": lambda inputs, axes: (torch.permute, (inputs[0], tuple(axes)), {}),
    "mean": lambda inputs, axes, keepdims: (torch.mean, (inputs[0], tuple(axes), keepdims), {}),
    "adaptive_pool": lambda inputs, size: (F.adaptive_avg_pool2d, (inputs[0], tuple(size)), {}),
    "slice": _slice,
    "matmul": _matmul,
    "resize": _resize,
    "nearest": _nearest,
    "self_attention": lambda inputs, heads: (self_attention, (*inputs, heads), {}),
    "deform_attention": lambda inputs, heads, scale: (attention, (*inputs, heads, scale), {}),
}
