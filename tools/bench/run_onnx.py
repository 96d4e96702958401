"""What a worker does with the network as an ONNX file: runs it in ONNX Runtime or in OpenVINO."""

import os
from pathlib import Path

import numpy as np

from .worker import Prepared

__all__ = ["CALIBRATION_FILE", "FILE", "QUANTIZED", "onnxruntime", "openvino", "quantized_openvino"]

FILE = "network.onnx"
QUANTIZED = {"onnxruntime": "network-int8.onnx", "openvino": "network-int8.xml"}  # of int8
CALIBRATION_FILE = "calibration.npy"


def onnxruntime(request) -> Prepared:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = int(os.environ["OMP_NUM_THREADS"])
    options.inter_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    # threads may spin while a call runs, not into the next contender's turn
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = ort.InferenceSession(_file(request, "onnxruntime"), options, providers=["CPUExecutionProvider"])
    feed = {"image": _image(request)}
    return Prepared(lambda: session.run(["logits"], feed), session.run(["logits"], feed)[0])


def openvino(request) -> Prepared:
    import openvino as ov

    core = ov.Core()
    precision = {"float32": "f32", "bfloat16": "bf16", "int8": "f32"}[request["dtype"]]
    if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise RuntimeError("OpenVINO has no bfloat16 on this processor")
    options = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": int(os.environ["OMP_NUM_THREADS"]),
    }
    model = core.compile_model(core.read_model(_file(request, "openvino")), "CPU", options)
    infer, feed = model.create_infer_request(), {"image": _image(request)}

    def run():
        return infer.infer(feed, share_inputs=True, share_outputs=True)

    return Prepared(run, np.array(run()["logits"], np.float32))


def quantized_openvino(request) -> None:
    """Write the network as NNCF quantizes it after training."""
    import nncf
    import openvino as ov

    batches = nncf.Dataset(list(np.load(Path(request["folder"]) / CALIBRATION_FILE)))
    model = nncf.quantize(ov.Core().read_model(Path(request["folder"]) / FILE), batches)
    ov.save_model(model, _path(request, "openvino"), compress_to_fp16=False)


def _path(request, engine: str) -> Path:
    return Path(request["folder"]) / (QUANTIZED[engine] if request["dtype"] == "int8" else FILE)


def _file(request, engine: str) -> str:
    path = _path(request, engine)
    if not path.exists():
        raise RuntimeError("the network could not be written as ONNX")
    return str(path)


def _image(request):
    return np.load(Path(request["folder"]) / "image.npy")
