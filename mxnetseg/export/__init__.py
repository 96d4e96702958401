"""Networks as files for other toolkits (docs/export.md)."""

from .plain import to_mxnet

__all__ = ["to_mxnet"]
