"""Heads that several models share."""

from .aspp import ASPP, GlobalContext
from .fcn import FCNHead
from .lateral import LateralFusion
from .pyramid import PyramidPooling
from .semantic_fpn import FeaturePyramid, SemanticFPNHead
from .setr import SETRMLAHead, SETRNaiveHead, SETRPUPHead
from .uper import UPerHead

__all__ = [
    "ASPP",
    "FCNHead",
    "FeaturePyramid",
    "GlobalContext",
    "LateralFusion",
    "PyramidPooling",
    "SETRMLAHead",
    "SETRNaiveHead",
    "SETRPUPHead",
    "SemanticFPNHead",
    "UPerHead",
]
