"""Bricks that every model shares."""

from .concat import concat
from .conv import ConvNormAct
from .dilate import set_output_stride
from .norm import make_norm, norm_scope
from .resize import global_average, resize_like

__all__ = ["ConvNormAct", "concat", "global_average", "make_norm", "norm_scope", "resize_like", "set_output_stride"]
