"""Bricks that every model shares."""

from .concat import concat
from .conv import ConvNormAct, SeparableConv, classifier, conv2d
from .dilate import set_output_stride
from .drop import drop_channels, drop_path, drop_path_rates
from .fold import LinearSum, NormConv
from .norm import make_norm, norm_scope, tell_channels, unsynchronised
from .resize import bicubic_like, global_average, halve, nearest_like, resize_like, shrink

__all__ = [
    "ConvNormAct",
    "LinearSum",
    "NormConv",
    "SeparableConv",
    "bicubic_like",
    "classifier",
    "concat",
    "conv2d",
    "drop_channels",
    "drop_path",
    "drop_path_rates",
    "global_average",
    "halve",
    "make_norm",
    "nearest_like",
    "norm_scope",
    "resize_like",
    "set_output_stride",
    "shrink",
    "tell_channels",
    "unsynchronised",
]
