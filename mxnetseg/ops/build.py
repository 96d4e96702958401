"""Compile the operator library against the installed MXNet, once per machine, compiler and version.

The library lands in $MXNETSEG_CACHE/ops, or ~/.cache/mxnetseg/ops, under a name made of everything it depends
on. It is built into a temporary file and renamed, under a lock, so that processes that start together don't
clash and one that is killed leaves nothing half-written.
"""

import contextlib
import hashlib
import importlib.util
import logging
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, List, NamedTuple, Optional, Tuple

from .. import cuda as gpus
from .. import preflight
from ..commands import typed
from ..errors import MXNetSegError
from ..versions import package_version

__all__ = [
    "BuildError",
    "Library",
    "build",
    "cache_folder",
    "find",
    "find_nvcc",
    "kernels_problem",
    "nvcc_command",
    "nvcc_facts",
]

log = logging.getLogger(__name__)

SOURCES = Path(__file__).resolve().parent  # one folder per family of operators
KERNELS = SOURCES / "deform_unfold" / "kernels.cu"
COMPILERS = ("g++", "c++", "clang++")
# Not -ffast-math: linking with it makes the whole process flush small numbers to zero. These two parts of it are
# what vector code needs; a NaN or an infinity still counts.
FLAGS = (
    "-O3",
    "-std=c++17",
    "-fopenmp",
    "-march=native",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=fast",
    "-Wno-psabi",
    "-fPIC",
)
# GPUs to compile for, as far as an nvcc knows them; PTX for the newest of them serves those that came later
ARCHITECTURES = (60, 61, 70, 75, 80, 86, 89, 90)


class BuildError(MXNetSegError):
    """The library can't be built; the message says why and what to do."""


@dataclass(frozen=True)
class Library:
    """A library that is, or would be, built: where, by which compilers, and whether with CUDA kernels."""

    path: Path
    compiler: List[str]
    nvcc: Optional[str]
    mxnet: Path

    @property
    def cuda(self) -> bool:
        return self.nvcc is not None

    @property
    def log(self) -> Path:
        """What the compilers said."""
        return self.path.with_suffix(".log")


def cache_folder() -> Path:
    root = os.environ.get("MXNETSEG_CACHE")
    return (Path(root).expanduser() if root else Path.home() / ".cache" / "mxnetseg").absolute() / "ops"


def find(cuda: Optional[bool] = None) -> Library:
    """The library for this machine, built or not. `cuda`: as for `build`."""
    compiler, version = _compiler()
    mxnet = _mxnet_folder()
    nvcc = find_nvcc() if cuda or (cuda is None and _mxnet_has_cuda()) else None
    if nvcc and cuda is None and kernels_problem(nvcc):
        nvcc = None  # MXNet's own operators do better than kernels that end in an error
    if cuda and nvcc is None:
        raise BuildError(
            "the CUDA half of the operator library needs nvcc, which is nowhere: "
            "install a CUDA toolkit, and put nvcc in PATH or set CUDA_HOME"
        )
    parts = [*compiler, version, *FLAGS, package_version("mxnet"), *_processor()]
    parts += [_digest(path) for path in (*_sources(), mxnet / "src" / "lib_api.cc")]
    if nvcc:
        parts += [nvcc, _output([nvcc, "--version"]) or "", *_gpu_codes(nvcc)]
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]
    name = f"mxnetseg_ops_{'cuda' if nvcc else 'cpu'}_{key}.so"
    return Library(cache_folder() / name, compiler, nvcc, mxnet)


def build(cuda: Optional[bool] = None, force: bool = False) -> Library:
    """Build the library where it is not built already (or `force`), which takes 20 s of one core; raises BuildError.

    `cuda`: with the CUDA kernels (True), without (False), or with them where the installed MXNet is
    a CUDA build and there is an nvcc whose code runs on the GPUs here (None).
    """
    library = find(cuda)
    problem = kernels_problem(library.nvcc) if library.nvcc else None
    if problem:
        log.warning("the CUDA kernels won't run on this machine: %s", problem)
    if library.path.exists() and not force:
        return library
    if cuda is None and library.cuda:
        if not force and library.log.exists():  # it failed before
            return build(cuda=False)
        try:
            return _build(library, force)
        except BuildError as err:
            log.warning("the operators will run on the CPU only: %s", err)
            return build(cuda=False, force=force)
    return _build(library, force)


def _build(library: Library, force: bool) -> Library:
    folder = library.path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(library.path.with_suffix(".lock")):
            if not library.path.exists() or force:  # else another process was faster
                log.info("building the operator library (some seconds, once): %s", library.path)
                with tempfile.TemporaryDirectory(prefix=".build-", dir=folder) as scratch:
                    _compile(library, Path(scratch))
    except OSError as err:
        raise BuildError(
            f"can't write the operator library into {folder}: {err}; name another folder in MXNETSEG_CACHE"
        ) from err
    return library


def _compile(library: Library, scratch: Path) -> None:
    target = scratch / library.path.name
    sources = [*SOURCES.glob("*.cc"), *SOURCES.glob("*/*.cc"), library.mxnet / "src" / "lib_api.cc"]
    objects = [str(scratch / f"{source.parent.name}_{source.stem}.o") for source in sources]
    compile_ = [*library.compiler, *FLAGS, f"-I{library.mxnet / 'include'}"]
    link = [*library.compiler, *FLAGS, "-shared"]
    if library.nvcc:
        compile_.append("-DMXNETSEG_CUDA")
    commands = [[*compile_, "-c", str(source), "-o", object_] for source, object_ in zip(sources, objects)]
    if library.nvcc:
        objects.append(str(scratch / "kernels.o"))
        commands.append([*nvcc_command(library.nvcc), "-c", str(KERNELS), "-o", objects[-1]])
        # nvcc knows where its runtime is. That is linked statically, and hidden: MXNet brings its own, perhaps of
        # another version.
        link = [library.nvcc, "-shared", "-ccbin", library.compiler[0], "-Xcompiler", "-fopenmp"]
        link += ["-cudart", "static", "-Xlinker", "--exclude-libs=ALL"]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(_run, commands))
    if all(result.failed is None for result in results):
        results.append(_run([*link, *objects, "-o", str(target)]))
    said = "".join(result.said for result in results)
    for result in results:
        if result.failed is not None:
            library.log.write_text(said, encoding="utf-8")
            raise BuildError(
                f"building the operator library failed ({result.failed}); what {result.program} said is in "
                f"{library.log}. Mend that, or choose another compiler with "
                f"{'NVCC' if result.program == library.nvcc else 'CXX'}, "
                + typed("then run `mxnetseg ops build --force`")
            )
    os.replace(target, library.path)
    library.log.write_text(said, encoding="utf-8")


class _Result(NamedTuple):
    program: str
    said: str
    failed: Optional[str]


def _run(command: List[str]) -> _Result:
    said, failed = f"$ {shlex.join(command)}\n", None
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=1800, check=False)
        said += done.stdout.decode(errors="replace")
        if done.returncode:
            failed = f"exit status {done.returncode}"
    except (OSError, subprocess.TimeoutExpired) as err:
        failed = str(err)
    return _Result(command[0], f"{said}{failed}\n" if failed else said, failed)


def nvcc_command(nvcc: str, architectures: Optional[Tuple[int, ...]] = None) -> List[str]:
    """nvcc and its flags, for all GPUs it knows or those named (75: compute capability 7.5)."""
    # Only CUDA's own headers are included, which bear compilers newer than nvcc was tested with.
    flags = ["-O3", "-std=c++14", "-Xcompiler", "-fPIC", "-allow-unsupported-compiler"]
    return [nvcc, *flags, *_gpu_codes(nvcc, architectures)]


def find_nvcc() -> Optional[str]:
    """$NVCC, or nvcc of $CUDA_HOME, of PATH, or of /usr/local/cuda."""
    homes = [os.environ[name] for name in ("CUDA_HOME", "CUDA_PATH") if os.environ.get(name)]
    places = [os.environ.get("NVCC"), *(f"{home}/bin/nvcc" for home in homes), "nvcc", "/usr/local/cuda/bin/nvcc"]
    return next((found for found in (shutil.which(place) for place in places if place) if found), None)


def nvcc_facts(nvcc: str) -> Tuple[Tuple[int, int], List[int]]:
    """The CUDA of an nvcc, (13, 0), and the GPUs that it makes machine code for, 75 for compute capability 7.5."""
    release = re.search(r"release (\d+)\.(\d+)", _output([nvcc, "--version"]) or "")
    if not release:
        raise BuildError(f"{nvcc} --version names no release; CUDA 11 or newer is needed")
    return (int(release[1]), int(release[2])), _architectures(nvcc)


def kernels_problem(nvcc: str) -> Optional[str]:
    """Why kernels of this nvcc can't run on the GPUs of this machine, or None."""
    try:
        return gpus.toolkit_problem(*nvcc_facts(nvcc))
    except BuildError as err:
        return str(err)


def _architectures(nvcc: str, wanted: Tuple[int, ...] = ARCHITECTURES) -> List[int]:
    known = sorted(int(number) for number in re.findall(r"compute_(\d+)\b", _output([nvcc, "--list-gpu-arch"]) or ""))
    if not known:
        raise BuildError(f"{nvcc} --list-gpu-arch lists nothing; CUDA 11 or newer is needed")
    return [number for number in wanted if number in known] or known[-1:]


def _gpu_codes(nvcc: str, architectures: Optional[Tuple[int, ...]] = None) -> List[str]:
    chosen = _architectures(nvcc, architectures or ARCHITECTURES)
    codes = [f"-gencode=arch=compute_{number},code=sm_{number}" for number in chosen]
    if architectures is None:
        codes.append(f"-gencode=arch=compute_{chosen[-1]},code=compute_{chosen[-1]}")
    return codes


def _compiler() -> Tuple[List[str], str]:
    chosen = os.environ.get("CXX")
    for command in [shlex.split(chosen)] if chosen else [[name] for name in COMPILERS]:
        version = _output([*command, "--version"])
        if version is not None:
            return command, version
    raise BuildError(
        f"CXX={chosen} does not run; set CXX to a C++17 compiler with OpenMP, or unset it"
        if chosen
        else f"there is no C++ compiler ({', '.join(COMPILERS)}): install g++ 8 or newer (Debian, Ubuntu: "
        "apt install g++), or set CXX"
    )


def _mxnet_folder() -> Path:
    spec = importlib.util.find_spec("mxnet")
    if spec is None or not spec.submodule_search_locations:
        raise BuildError(f"MXNet is not installed: {preflight.install_command('mxnet')}")
    folder = Path(list(spec.submodule_search_locations)[0])
    for needed in ("include/mxnet/lib_api.h", "src/lib_api.cc"):
        if not (folder / needed).exists():
            raise BuildError(f"{folder} has no {needed}: install MXNet 1.9.1 from its wheel")
    return folder


def _mxnet_has_cuda() -> bool:
    import mxnet

    return mxnet.runtime.Features().is_enabled("CUDA")


def _sources() -> List[Path]:
    return sorted(path for path in SOURCES.rglob("*") if path.suffix in (".cc", ".cu", ".h"))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _processor() -> List[str]:
    """What -march=native depends on."""
    found = {"machine": platform.machine()}
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() in ("model name", "flags", "Features", "CPU part"):
                found.setdefault(name.strip(), value.strip())
    return [f"{name}={value}" for name, value in sorted(found.items())]


def _output(command: List[str]) -> Optional[str]:
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    if sys.platform == "win32":
        raise BuildError("the operator library can't be built on Windows; MXNet's own operators serve instead")
    import fcntl

    with open(path, "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
