"""ONNX Runtime on a CPU."""

from typing import Any

import numpy as np

__all__ = ["run", "session_of"]


def session_of(model: Any, plain: bool = False) -> Any:
    """An `onnxruntime.InferenceSession` of an `onnx.ModelProto` or a file; `plain`: as it is, nothing optimized."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors; what it warns of is of no use to who exports
    if plain:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    source = model if isinstance(model, str) else model.SerializeToString()
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def run(session: Any, image: np.ndarray, output: str) -> np.ndarray:
    result: np.ndarray = session.run([output], {"image": image})[0]
    return result
