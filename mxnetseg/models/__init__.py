"""The zoo: one file per paper, each registers its builder."""

from . import (  # noqa: F401
    bisenet,
    canet,
    canet_v2,
    danet,
    deeplabv3,
    denseaspp,
    fcn,
    ffnet,
    pspnet,
    seenet,
    semantic_fpn,
    setr,
    upernet,
)
from .segmentor import Branch, Segmentor

__all__ = ["Branch", "Segmentor"]
