"""Networks as files for other toolkits (docs/export.md)."""

from .runtime import OnnxNetwork
from .to_mxnet import to_mxnet
from .to_onnx import Report, to_onnx

__all__ = ["OnnxNetwork", "Report", "to_mxnet", "to_onnx"]
