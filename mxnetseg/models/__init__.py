"""The zoo: one file per paper, each registers its builder."""

from . import (  # noqa: F401
    attention_to_scale,
    bisenet,
    deeplabv3,
    deeplabv3plus,
    fcn,
    ffnet,
    ladderdensenet,
    pspnet,
    semantic_fpn,
    setr,
    upernet,
)
from .segmentor import Branch, Segmentor

__all__ = ["Branch", "Segmentor"]
