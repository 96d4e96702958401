"""The zoo: one file per paper, each registers its builder."""

from . import acfnet, bisenet, deeplabv3, fapn, fcn, ffnet, gffnet, pspnet, semantic_fpn, setr, upernet  # noqa: F401
from .segmentor import Branch, Segmentor

__all__ = ["Branch", "Segmentor"]
