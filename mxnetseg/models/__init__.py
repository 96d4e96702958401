"""The zoo: one file per paper, each registers its builder."""

from . import (  # noqa: F401
    alignseg,
    attanet,
    attention_to_scale,
    bisenet,
    deeplabv3,
    deeplabv3plus,
    eprnet,
    fcn,
    ffnet,
    ladderdensenet,
    pspnet,
    semantic_fpn,
    setr,
    swiftnet,
    upernet,
)
from .segmentor import Branch, Segmentor

__all__ = ["Branch", "Segmentor"]
