"""MXNet's operators as ONNX nodes (opset 20): a rule for each, by its name.

A rule takes a `Step`, writes nodes with it, and gives the names of what has become of the operator's outputs: one
name, or a list. None of them needs the package onnx.
"""

from typing import Any, Callable, Dict

from . import onnx_rules_arithmetic, onnx_rules_layers, onnx_rules_resize, onnx_rules_sampling, onnx_rules_shapes
from .onnx_step import Step

__all__ = ["RULES"]

RULES: Dict[str, Callable[[Step], Any]] = {
    **onnx_rules_arithmetic.RULES,
    **onnx_rules_layers.RULES,
    **onnx_rules_resize.RULES,
    **onnx_rules_sampling.RULES,
    **onnx_rules_shapes.RULES,
}
