"""Networks as files for other toolkits (docs/export.md)."""

from .to_mxnet import to_mxnet
from .to_onnx import Report, to_onnx

__all__ = ["Report", "to_mxnet", "to_onnx"]
