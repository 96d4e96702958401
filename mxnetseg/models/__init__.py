"""The zoo: one file per paper, each registers its builder."""

from . import bisenet, deeplabv3, fcn, ffnet, pspnet, semantic_fpn, setr, swiftnet, upernet  # noqa: F401
from .segmentor import Branch, Segmentor

__all__ = ["Branch", "Segmentor"]
