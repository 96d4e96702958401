"""MXNet's operators as ONNX nodes (opset 20): a rule for each, by its name.

A rule takes a `Step`, writes nodes with it, and gives the names of what has become of the operator's outputs: one
name, or a list. None of them needs the package onnx.
"""

from typing import Any, Callable, Dict

from . import (
    onnx_rules_arithmetic,
    onnx_rules_indices,
    onnx_rules_layers,
    onnx_rules_pooling,
    onnx_rules_products,
    onnx_rules_reductions,
    onnx_rules_resize,
    onnx_rules_sampling,
    onnx_rules_shapes,
)
from .onnx_step import Step

__all__ = ["NO_FORM", "RULES"]

# why there can be none; others just have none yet
NO_FORM: Dict[str, str] = {
    **dict.fromkeys(
        ("gamma", "gammaln", "erfinv", "_linalg_inverse", "_linalg_potrf", "_linalg_gelqf", "_linalg_syevd"),
        "ONNX has no such function",
    ),
    **dict.fromkeys(("_contrib_fft", "_contrib_ifft"), "what MXNet has of it runs on GPUs alone"),
    **dict.fromkeys(("Custom", "_CustomFunction", "_Native"), "it is code in Python, which ONNX can't hold"),
    **dict.fromkeys(
        ("_foreach", "_while_loop", "_cond"), "loops and branches hold graphs of their own, which are not looked into"
    ),
    "_contrib_boolean_mask": "the size of what it gives depends on values, and MXNet does not tell it",
    "Correlation": "ONNX has no product of displaced maps",
}

RULES: Dict[str, Callable[[Step], Any]] = {
    **onnx_rules_arithmetic.RULES,
    **onnx_rules_indices.RULES,
    **onnx_rules_layers.RULES,
    **onnx_rules_pooling.RULES,
    **onnx_rules_products.RULES,
    **onnx_rules_reductions.RULES,
    **onnx_rules_resize.RULES,
    **onnx_rules_sampling.RULES,
    **onnx_rules_shapes.RULES,
}
