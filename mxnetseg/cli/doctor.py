"""mxnetseg doctor"""

import importlib
import platform
import sys

from .. import __version__, preflight
from ..versions import package_version

HELP = "Say what is installed, what this machine can do, what is missing and the remedy."

PACKAGES = (
    "mxnet",
    "gluoncv",
    "numpy",
    "cv2",
    "yaml",
    "wandb",
    "tqdm",
    "pydantic",
    "PIL",
    "matplotlib",
    "tabulate",
    "scipy",
)
FEATURES = ("CUDA", "CUDNN", "NCCL", "MKLDNN", "OPENMP", "BLAS_OPEN", "DIST_KVSTORE", "F16C", "SIGNAL_HANDLER")
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
        return [("gpus", "none (this MXNet is the CPU build; for CUDA 11.2: pip install -r requirements-cu112.txt)")]
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
    from .. import startup

    flags, model = set(), platform.processor()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                key, _, value = line.partition(":")
                if key.strip() == "flags":
                    flags.update(value.split())
                elif key.strip() == "model name":
                    model = value.strip()
    except OSError:
        return [("cpu", f"{model}, {startup.cores()} cores")]
    abilities = ", ".join(f"{flag} {'yes' if flag in flags else 'no'}" for flag in CPU_FLAGS)
    return [("cpu", f"{model}, {startup.cores()} cores for us"), ("cpu abilities", abilities)]
