"""Runs a benchmark's plan operator by operator in MXNet, to compare with the network it was made of."""

import mxnet as mx
from mxnet import nd

from mxnetseg.ops.deform import composed

PAIRS = {"add": nd.broadcast_add, "sub": nd.broadcast_sub, "mul": nd.broadcast_mul, "div": nd.broadcast_div}


def run(plan, image):
    """Logits (NumPy) of the image (NumPy)."""
    values = {}
    for node in plan.nodes:
        weights = {role: mx.nd.array(plan.arrays[name]) for role, name in node.arrays.items()}
        inputs = [nd.array(image)] if node.op == "input" else [values[name] for name in node.inputs]
        values[node.name] = out = OPERATORS[node.op](inputs, weights, **node.attrs)
        assert out.shape == (node.shape or (1,)), node
    return values[plan.nodes[-1].name].asnumpy()


def _conv(inputs, weights, stride, pad, dilation, groups):
    weight = weights["weight"]
    options = dict(kernel=weight.shape[2:], stride=stride, pad=pad, dilate=dilation, num_group=groups)
    return nd.Convolution(
        *inputs, weight, weights.get("bias"), num_filter=len(weight), no_bias="bias" not in weights, **options
    )


def _batch_norm(inputs, weights, eps):
    gamma, beta, mean, var = (weights[name].reshape((1, -1, 1, 1)) for name in ("gamma", "beta", "mean", "var"))
    return (inputs[0] - mean) / (var + eps).sqrt() * gamma + beta


def _self_attention(inputs, weights, heads):
    q, k, v = (part.reshape((0, 0, heads, -1)).transpose((0, 2, 1, 3)) for part in inputs[0].split(3, axis=2))
    q, k, v = (part.reshape((-3, 0, 0)) for part in (q, k, v))
    scores = nd.batch_dot(q, k, transpose_b=True) / q.shape[2] ** 0.5
    out = nd.batch_dot(nd.softmax(scores), v).reshape((-4, -1, heads, 0, 0))
    return out.transpose((0, 2, 1, 3)).reshape((0, 0, -1))


def _nearest(inputs, weights, size):
    (x,) = inputs
    rows, columns = (nd.array([i * n // m for i in range(m)]) for n, m in zip(x.shape[2:], size))
    return x.take(rows, axis=2).take(columns, axis=3)


OPERATORS = {
    **{name: lambda i, w, f=function: f(*i) for name, function in PAIRS.items()},
    "input": lambda i, w: i[0],
    "constant": lambda i, w: w["value"],
    "conv": _conv,
    "batch_norm": _batch_norm,
    "layer_norm": lambda i, w, eps, axis: nd.LayerNorm(i[0], w["gamma"], w["beta"], axis=axis, eps=eps),
    "linear": lambda i, w: nd.dot(i[0], w["weight"], transpose_b=True) + w["bias"],
    "relu": lambda i, w: nd.relu(i[0]),
    "relu6": lambda i, w: nd.clip(i[0], 0, 6),
    "pad": lambda i, w, width: nd.pad(i[0], mode="constant", pad_width=tuple(width)),
    "nearest": _nearest,
    "self_attention": _self_attention,
    "sigmoid": lambda i, w: nd.sigmoid(i[0]),
    "silu": lambda i, w: i[0] * nd.sigmoid(i[0]),
    "gelu": lambda i, w: nd.LeakyReLU(i[0], act_type="gelu"),
    "max_pool": lambda i, w, kernel, stride, pad: nd.Pooling(i[0], kernel, "max", stride=stride, pad=pad),
    "adaptive_pool": lambda i, w, size: nd.contrib.AdaptiveAvgPooling2D(i[0], output_size=tuple(size)),
    "mean": lambda i, w, axes, keepdims: i[0].mean(axis=tuple(axes), keepdims=keepdims),
    "concat": lambda i, w, axis: nd.concat(*i, dim=axis),
    "reshape": lambda i, w, to: i[0].reshape(to),
    "transpose": lambda i, w, axes: i[0].transpose(axes),
    "slice": lambda i, w, axis, begin, end: i[0].slice_axis(axis, begin, end),
    "matmul": lambda i, w, **transposed: nd.batch_dot(*i, **transposed),
    "resize": lambda i, w, size, align_corners: nd.contrib.BilinearResize2D(
        i[0], height=size[0], width=size[1], align_corners=align_corners
    ),
    "deform_attention": lambda i, w, heads, scale: composed.deform_attention(nd, *i, heads=heads, scale=scale),
}
