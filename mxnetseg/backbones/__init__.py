"""Backbones: networks that turn an image into four feature maps, finest first."""

from . import dgmn2, ffnet, mobilenetv2, moganet, resnet  # noqa: F401  (each file registers its family)
from .imagenet import load_imagenet

__all__ = ["load_imagenet"]
