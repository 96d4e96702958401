"""Heads that several models share."""

from .aspp import ASPP, GlobalContext
from .fcn import FCNHead

__all__ = ["ASPP", "FCNHead", "GlobalContext"]
