"""Bricks that every model shares."""

from .act import ReLU6, activation, gelu, silu
from .attention import attend, self_attention
from .channels import image_channels, image_scope
from .concat import concat
from .conv import ConvNormAct, DepthwiseConv, SeparableConv, classifier, conv2d
from .deform import DeformConv
from .dilate import set_output_stride
from .drop import drop_channels, drop_path, drop_path_rates
from .fold import LinearSum, NormConv
from .inference import forward_only, inference_graph, tracing
from .mixer import ChannelMixer, TokenMixer, strip_kernels
from .norm import make_norm, norm_scope, reuse, unsynchronised, waits_for_siblings
from .resize import bicubic_like, enlarge_image, global_average, halve, nearest_like, resize_like, shrink
from .scale import channel_scale
from .tokens import to_map, to_tokens
from .transformer import TransformerBlock, dense, layer_norm
from .warp import warp

__all__ = [
    "ChannelMixer",
    "ConvNormAct",
    "DepthwiseConv",
    "DeformConv",
    "LinearSum",
    "NormConv",
    "ReLU6",
    "SeparableConv",
    "TokenMixer",
    "TransformerBlock",
    "activation",
    "attend",
    "bicubic_like",
    "channel_scale",
    "classifier",
    "concat",
    "conv2d",
    "dense",
    "drop_channels",
    "drop_path",
    "drop_path_rates",
    "gelu",
    "global_average",
    "enlarge_image",
    "forward_only",
    "halve",
    "image_channels",
    "image_scope",
    "inference_graph",
    "tracing",
    "layer_norm",
    "make_norm",
    "nearest_like",
    "norm_scope",
    "resize_like",
    "reuse",
    "self_attention",
    "set_output_stride",
    "shrink",
    "silu",
    "strip_kernels",
    "to_map",
    "to_tokens",
    "unsynchronised",
    "waits_for_siblings",
    "warp",
]
