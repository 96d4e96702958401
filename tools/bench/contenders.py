"""Who is compared."""

from pathlib import Path
from typing import List, NamedTuple

__all__ = ["CHECKPOINT", "CONTENDERS", "Contender", "has_amx", "select"]

CHECKPOINT = "MXNetSeg, train.checkpoint"


class Contender(NamedTuple):
    """A function of a module that a worker runs. `peer`: in the peers' Python, else in MXNet's.

    `before` is another of that module, or of run_mxnet, that writes what it runs, in a process that ends: what is timed
    and weighed is as one who is given the file has it.
    """

    name: str
    task: str
    peer: bool
    module: str
    function: str
    dtype: str = "float32"
    before: str = ""


CONTENDERS = (
    Contender("MXNet f32", "inference", False, "run_mxnet", "plain"),
    Contender("MXNetSeg f32", "inference", False, "run_mxnet", "deployed", before="optimized"),
    Contender("MXNetSeg bf16", "inference", False, "run_mxnet", "deployed", "bfloat16", "optimized"),
    Contender("MXNetSeg int8", "inference", False, "run_mxnet", "deployed", "int8", "optimized"),
    Contender("PyTorch eager f32", "inference", True, "run_torch", "eager"),
    Contender("PyTorch compiled f32", "inference", True, "run_torch", "compiled"),
    Contender("PyTorch eager bf16", "inference", True, "run_torch", "eager", "bfloat16"),
    Contender("PyTorch compiled bf16", "inference", True, "run_torch", "compiled", "bfloat16"),
    Contender("ONNX Runtime f32", "inference", True, "run_onnx", "onnxruntime"),
    Contender("OpenVINO f32", "inference", True, "run_onnx", "openvino"),
    Contender("OpenVINO bf16", "inference", True, "run_onnx", "openvino", "bfloat16"),
    Contender("ONNX Runtime int8", "inference", True, "run_onnx", "onnxruntime", "int8", "quantized_onnx"),
    Contender("OpenVINO int8", "inference", True, "run_onnx", "openvino", "int8", "quantized_openvino"),
    Contender("MXNetSeg", "training", False, "run_mxnet", "training"),
    Contender(CHECKPOINT, "training", False, "run_mxnet", "checkpointed_training"),
    Contender("PyTorch eager", "training", True, "run_torch", "eager_training"),
    Contender("PyTorch compiled", "training", True, "run_torch", "compiled_training"),
)


def select(task: str, dtypes, names=None, without=()) -> List[Contender]:
    """Those of a task with these types, whose name contains one of `names` (if given) and none of `without`."""

    def holds(contender, texts):
        return any(text.lower() in contender.name.lower() for text in texts)

    return [
        c
        for c in CONTENDERS
        if c.task == task and c.dtype in dtypes and (not names or holds(c, names)) and not holds(c, without)
    ]


def has_amx(cpuinfo: str = "/proc/cpuinfo") -> bool:
    """Whether the processor multiplies bfloat16 matrices in hardware (Intel AMX)."""
    try:
        return "amx_bf16" in Path(cpuinfo).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
