"""Files of other toolkits, read as data, and tables of the names in them."""

from .pth import read_pth

__all__ = ["read_pth"]
