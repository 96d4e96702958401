"""What the bench of operators times: of each operation its sizes, its inputs, and how MXNetSeg and PyTorch compute it.

MXNet and PyTorch are imported where they run; each contender's process has one of them.
"""

from typing import Any, Callable, NamedTuple, Sequence, Tuple

import numpy as np

__all__ = ["OPERATIONS", "Operation"]

CORNERS = True  # aligned
EPSILON = 1e-6


class Operation(NamedTuple):
    """One operation.

    Attributes
    ----------
    sizes : sequence of tuples
        Of the cases.
    inputs : function of a random generator and the sizes
        Gives float32 arrays: those that a gradient is computed of, and behind them that of the result, or labels.
    mxnet, torch : function of the sizes and the last of the inputs
        Gives the operation, a function of the other inputs.
    backward : tuple of bool
        Whether the backward pass is timed with the forward pass.
    labels : bool
        The last of the inputs are labels; the gradient of the result is 1.
    """

    sizes: Sequence[Tuple[int, ...]]
    inputs: Callable[..., Sequence[np.ndarray]]
    mxnet: Callable[[Tuple[int, ...], Any], Callable[..., Any]]
    torch: Callable[[Tuple[int, ...], Any], Callable[..., Any]]
    backward: Tuple[bool, ...] = (True,)
    labels: bool = False


def normal(rng, *shapes):
    return [rng.standard_normal(shape).astype("float32") for shape in shapes]


# ---------------------------------------------------------------------------------------------------------------
# (heads, channels of a head, side of the map)


def attention_inputs(rng, heads, d, side):
    channels = (heads * d, heads * d, heads * d, heads * 18, heads * 9, heads * d)
    spread = (0.5, 0.5, 0.5, 0.5, 1, 1)
    return [(rng.randn(1, side, side, c) * s).astype("float32") for c, s in zip(channels, spread)]


def mxnet_attention(sizes, grad):
    from mxnet import gluon

    from mxnetseg import ops

    class Graph(gluon.HybridBlock):
        def hybrid_forward(self, F, *tensors):
            return ops.deform_attention(F, *tensors, heads=sizes[0], scale=sizes[1] ** -0.5)

    return Graph()


def torch_attention(sizes, grad):
    from .composed_torch import deform_attention

    return lambda *tensors: deform_attention(*tensors, heads=sizes[0], scale=sizes[1] ** -0.5)


# ---------------------------------------------------------------------------------------------------------------
# Logits: (images, classes, height, width, height and width that they are enlarged to)


def labelled(rng, n, classes, h, w, height, width):
    """Some labels are to be ignored."""
    labels = rng.randint(0, classes, (n, height, width))
    labels[rng.uniform(size=labels.shape) < 0.1] = 255
    return [3 * rng.standard_normal((n, classes, h, w)).astype("float32"), labels.astype("float32")]


def mxnet_argmax(sizes, labels):
    from mxnet import nd

    from mxnetseg import ops

    size = dict(height=sizes[-2], width=sizes[-1])
    return lambda logits: ops.upsample_argmax(nd, logits, align_corners=CORNERS, **size)


def mxnet_cross_entropy(sizes, labels):
    from mxnet import nd

    from mxnetseg.losses import CrossEntropy

    criterion = CrossEntropy(sizes[1], align_corners=CORNERS)
    criterion.initialize()
    criterion.hybridize(static_alloc=True, static_shape=True)
    scale = nd.array([1 / criterion.normalizer([labels.asnumpy().astype("uint8")])])
    return lambda logits: criterion(logits, labels, scale)


def torch_enlarged(sizes, grad):
    from torch.nn import functional

    return lambda x: functional.interpolate(x, size=sizes[-2:], mode="bilinear", align_corners=CORNERS)


def torch_argmax(sizes, labels):
    import torch

    enlarged = torch_enlarged(sizes, labels)
    return lambda logits: enlarged(logits).argmax(1).to(torch.uint8)


def torch_cross_entropy(sizes, labels):
    from torch.nn import functional

    enlarged, labels = torch_enlarged(sizes, labels), labels.long()
    return lambda logits: functional.cross_entropy(enlarged(logits), labels, ignore_index=255)


# ---------------------------------------------------------------------------------------------------------------
# Maps: their shape, and what else is said


def relu6_inputs(rng, *shape):
    x, grad = normal(rng, shape, shape)
    return 4 * x, grad


def mxnet_relu6(sizes, grad):
    from mxnet import nd

    from mxnetseg import ops

    return lambda x: ops.relu6(nd, x)


def torch_relu6(sizes, grad):
    from torch.nn import functional

    return functional.relu6


def depthwise_padding(kernel, stride, dilation) -> int:
    """EfficientNet-Lite pads the input of layers with a stride on its own."""
    return dilation * (kernel // 2) if stride == 1 else 0


def depthwise_inputs(rng, n, channels, h, w, kernel, stride, dilation):
    padding = depthwise_padding(kernel, stride, dilation)
    size = [(side + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1 for side in (h, w)]
    return normal(rng, (n, channels, h, w), (channels, 1, kernel, kernel), (n, channels, *size))


def mxnet_depthwise(sizes, grad):
    from mxnet import nd

    from mxnetseg import ops

    kernel, stride, dilation = sizes[4:]
    sides = {"kernel": kernel, "stride": stride, "pad": depthwise_padding(*sizes[4:]), "dilate": dilation}
    pairs = {name: (side, side) for name, side in sides.items()}
    return lambda x, weight: ops.depthwise(nd, x, weight, channels=sizes[1], **pairs)


def torch_depthwise(sizes, grad):
    from torch.nn import functional

    _, stride, dilation = sizes[4:]
    padding = depthwise_padding(*sizes[4:])
    return lambda x, weight: functional.conv2d(x, weight, None, stride, padding, dilation, groups=sizes[1])


def layer_norm_inputs(rng, *shape):
    return normal(rng, shape, shape[-1], shape[-1], shape)


def mxnet_layer_norm(sizes, grad):
    from mxnet import nd

    from mxnetseg import ops

    return lambda *tensors: ops.layer_norm(nd, *tensors, epsilon=EPSILON)


def torch_layer_norm(sizes, grad):
    from torch.nn import functional

    return lambda x, gamma, beta: functional.layer_norm(x, sizes[-1:], gamma, beta, EPSILON)


def channel_scale_inputs(rng, *shape):
    return normal(rng, shape, (1, shape[1], 1, 1), shape)


def mxnet_channel_scale(sizes, grad):
    from mxnet import nd

    from mxnetseg import ops

    return lambda x, scale: ops.channel_scale(nd, x, scale)


def torch_channel_scale(sizes, grad):
    return lambda x, scale: x * scale


def self_attention_inputs(rng, n, tokens, channels, heads):
    return normal(rng, (n, tokens, 3 * channels), (n, tokens, channels))


def mxnet_self_attention(sizes, grad):
    from mxnet import nd

    from mxnetseg.nn.attention import self_attention

    return lambda qkv: self_attention(nd, qkv, channels=sizes[2], heads=sizes[3])


def torch_self_attention(sizes, grad):
    from .torch_net import self_attention

    return lambda qkv: self_attention(qkv, sizes[3])


def resize_inputs(rng, n, channels, h, w, height, width):
    return normal(rng, (n, channels, h, w), (n, channels, height, width))


def mxnet_resize(sizes, grad):
    from mxnet import nd

    from mxnetseg.nn import resize_like

    return lambda x: resize_like(nd, x, grad, align_corners=CORNERS)


OPERATIONS = {
    # DGMN2-tiny's stages at 512x512
    "attention": Operation(
        [(1, 64, 128), (2, 64, 64), (5, 64, 32), (8, 64, 16)],
        attention_inputs,
        mxnet_attention,
        torch_attention,
        backward=(False, True),
    ),
    "argmax": Operation(
        [
            (1, 150, 128, 128, 512, 512),
            (1, 150, 64, 64, 512, 512),
            (1, 19, 128, 256, 1024, 2048),
            (1, 11, 45, 60, 360, 480),
        ],
        labelled,
        mxnet_argmax,
        torch_argmax,
        backward=(False,),
        labels=True,
    ),
    "cross-entropy": Operation(
        [(8, 11, 36, 48, 288, 384), (2, 150, 64, 64, 256, 256), (2, 19, 96, 96, 768, 768)],
        labelled,
        mxnet_cross_entropy,
        torch_cross_entropy,
        labels=True,
    ),
    # EfficientNet-Lite0 at 8 x 288x384
    "relu6": Operation([(8, 96, 144, 192), (8, 144, 72, 96), (8, 672, 18, 24)], relu6_inputs, mxnet_relu6, torch_relu6),
    # the same, then MogaNet-tiny: shape, side of the kernel, stride, dilation
    "depthwise": Operation(
        [
            (8, 144, 75, 99, 5, 2, 1),
            (8, 240, 36, 48, 5, 1, 1),
            (8, 672, 18, 24, 5, 1, 1),
            (8, 1152, 9, 12, 5, 1, 1),
            (2, 16, 64, 64, 5, 1, 2),
            (2, 16, 64, 64, 7, 1, 3),
        ],
        depthwise_inputs,
        mxnet_depthwise,
        torch_depthwise,
    ),
    # DGMN2-tiny at 512x512, ViT
    "layer-norm": Operation(
        [(1, 16384, 64), (1, 1024, 320), (2, 256, 768)], layer_norm_inputs, mxnet_layer_norm, torch_layer_norm
    ),
    # MogaNet-tiny
    "channel-scale": Operation(
        [(2, 256, 64, 64), (2, 32, 64, 64)], channel_scale_inputs, mxnet_channel_scale, torch_channel_scale
    ),
    # ViT-B at 256x256, ViT-L at 768x768: images, tokens, channels, heads
    "self-attention": Operation(
        [(2, 256, 768, 12), (1, 2304, 1024, 16)], self_attention_inputs, mxnet_self_attention, torch_self_attention
    ),
    # SwiftNet, SETR-PUP: shape, and the size that they get
    "resize": Operation(
        [(8, 96, 36, 48, 72, 96), (1, 256, 64, 64, 128, 128)], resize_inputs, mxnet_resize, torch_enlarged
    ),
}
