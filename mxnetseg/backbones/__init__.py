"""Backbones: networks that turn an image into four feature maps, finest first."""

from . import (  # noqa: F401  (each file registers its family)
    densenet,
    dgmn2,
    efficientnet_lite,
    eprnet,
    ffnet,
    mobilenetv2,
    moganet,
    resnest,
    resnet,
    vit,
    xception39,
    xception65,
)
from .base import LEVELS, Backbone

__all__ = ["LEVELS", "Backbone"]
