"""The zoo: one file per paper, each registers its builder."""

from . import bisenet, deeplabv3, fcn, pspnet  # noqa: F401
from .segmentor import Branch, Segmentor

__all__ = ["Branch", "Segmentor"]
