"""mxnetseg doctor"""

import importlib
import os
import platform
import sys
from pathlib import Path

from .. import __version__, preflight
from ..optional import installed
from ..versions import package_version

HELP = "Say what is installed, what this machine can do, what is missing and the remedy."

PACKAGES = ("mxnet", "numpy", "cv2", "yaml", "tqdm", "pydantic", "PIL", "tabulate")
OPTIONAL = {
    "wandb": "train --wandb",
    "matplotlib": "curves.png",
    "scipy": "masks in .mat files",
    "h5py": "data prepare nyuv2",
}
FEATURES = ("CUDA", "CUDNN", "NCCL", "MKLDNN", "OPENMP", "BLAS_OPEN", "DIST_KVSTORE", "F16C", "SIGNAL_HANDLER")
STARTUP = (
    "OMP_NUM_THREADS",
    "OMP_WAIT_POLICY",
    "MXNET_EXEC_INPLACE_GRAD_SUM_CAP",
    "MXNET_MKLDNN_CACHE_NUM",
    "DNNL_MAX_CPU_ISA",
)
CPU_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")


def add_arguments(parser) -> None:
    """It has no options."""


def run(args) -> int:
    problem = preflight.python_problem()
    problems = [problem] if problem else []
    rows = [("mxnetseg", __version__), ("python", f"{platform.python_version()} ({sys.executable})")]
    rows.append(("system", platform.platform()))
    numpy_problem = preflight.numpy_problem()
    if numpy_problem:
        problems.append(numpy_problem)
    problems += preflight.library_problems()
    for name in PACKAGES if not problem and not numpy_problem else ():
        version, trouble = _import(name)
        rows.append((name, version))
        if trouble and trouble not in problems:
            problems.append(trouble)
    for name, use in OPTIONAL.items():
        rows.append((name, package_version(name) if installed(name) else f"none; {use} needs it: pip install {name}"))
    mxnet = sys.modules.get("mxnet")
    if mxnet is not None and hasattr(mxnet, "runtime"):
        features = mxnet.runtime.Features()
        known = [name for name in FEATURES if name in features]
        rows.append(("MXNet built with", ", ".join(n for n in known if features.is_enabled(n))))
        rows.append(("and without", ", ".join(n for n in known if not features.is_enabled(n))))
        rows += _gpus(mxnet, features, problems)
        rows.append(("operator library", _operators(problems)))
    rows += _cpu()
    width = max(len(key) for key, _ in rows)
    for key, value in rows:
        print(f"{key:<{width}}  {value}")
    print()
    for problem in problems:
        print(f"missing: {problem}")
    print(f"{len(problems)} problems" if problems else "nothing is missing")
    return 1 if problems else 0


def _import(name: str):
    try:
        importlib.import_module(name)
    except Exception as err:  # whatever a broken installation raises
        return "not usable", preflight.explain(err) or f"import {name} fails: {err}"
    return package_version(name), None


def _gpus(mxnet, features, problems):
    count = mxnet.context.num_gpus()
    if count:
        memory = [mxnet.context.gpu_memory_info(i) for i in range(count)]
        return [
            (f"gpu {i}", f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB free")
            for i, (free, total) in enumerate(memory)
        ]
    if not features.is_enabled("CUDA"):
        remedy = "for CUDA 11.2: pip uninstall mxnet, then pip install mxnet-cu112==1.9.1"
        return [("gpus", f"none (this MXNet is the CPU build; {remedy})")]
    problems.append("MXNet is built for CUDA but finds no GPU; check nvidia-smi and the driver (460 or newer)")
    return [("gpus", "none")]


def _operators(problems):
    from ..ops import status
    from .ops import describe

    found = status()
    if found.state != "not usable":
        return describe(found)
    problems.append(f"the operator library: {found.problem}")
    return "not usable; MXNet's own operators serve instead, many times slower"


def _cpu():
    from .. import amx, startup

    rows = [("cpu", f"{_cpu_model()}, {startup.cores()} cores for us")]
    flags = amx.cpu_flags()
    if flags:
        abilities = ", ".join(f"{flag} {'yes' if flag in flags else 'no'}" for flag in CPU_FLAGS)
        rows.append(("cpu abilities", abilities))
    rows.append(("AMX for bfloat16", amx.status()))
    rows += [("start-up", ", ".join(f"{name}={os.environ.get(name, '(not set)')}" for name in STARTUP))]
    return rows


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor()
