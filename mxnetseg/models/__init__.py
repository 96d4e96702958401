"""The zoo: one file per paper, each registers its builder."""

from . import (  # noqa: F401
    alignseg,
    attanet,
    bisenet,
    deeplabv3,
    eprnet,
    fcn,
    ffnet,
    pspnet,
    semantic_fpn,
    setr,
    swiftnet,
    upernet,
)
from .segmentor import Branch, Segmentor

__all__ = ["Branch", "Segmentor"]
