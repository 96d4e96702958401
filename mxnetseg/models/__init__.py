"""The zoo: one file per paper, each registers its builder."""

from . import (  # noqa: F401
    acfnet,
    alignseg,
    attanet,
    attention_to_scale,
    bisenet,
    canet,
    canet_v2,
    danet,
    deeplabv3,
    deeplabv3plus,
    denseaspp,
    eprnet,
    fapn,
    fcn,
    ffnet,
    gffnet,
    ladderdensenet,
    pspnet,
    seenet,
    semantic_fpn,
    setr,
    swiftnet,
    upernet,
)
from .segmentor import Branch, Segmentor

__all__ = ["Branch", "Segmentor"]
