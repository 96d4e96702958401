"""Compile the operator library against the installed MXNet, once per machine and version.

The library lands in a folder of cache.py, under a name made of everything it depends on but the compilers: one that
is built is used where there is no compiler, too. It is built beside its place and renamed, under a lock, so that
processes that start together don't clash and one that is killed leaves nothing half-written.
"""

import contextlib
import errno
import hashlib
import importlib.util
import logging
import os
import platform
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Iterator, List, Optional

from .. import preflight
from ..commands import typed
from ..saving import SaveError, explained
from ..versions import package_version
from . import cache
from .compilers import ARCHITECTURES, BuildError, compiler, find_nvcc, kernels_problem, nvcc_command, run

__all__ = ["Library", "build", "find"]

log = logging.getLogger(__name__)

SOURCES = Path(__file__).resolve().parent  # one folder per family of operators
KERNELS = SOURCES / "deform" / "kernels.cu"
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
# Names are looked up in the library itself first. libmxnet.so has some of them, too, of another compiler: where it is
# visible to all, as Horovod makes it, the two would be mixed.
LINKED = () if sys.platform == "darwin" else ("-Bsymbolic",)


@dataclass(frozen=True)
class Library:
    """A library that is, or would be, built: its file, and whether with CUDA kernels."""

    path: Path
    cuda: bool
    built: bool = False

    @property
    def log(self) -> Path:
        """What the compilers said."""
        return self.path.with_suffix(".log")


def find(cuda: Optional[bool] = None) -> Library:
    """The library for this machine, built or not. `cuda`: as for `build`.

    Raises
    ------
    BuildError
        It can't be built, or kept anywhere.
    """
    if cuda is None:
        nvcc = find_nvcc() if _mxnet_has_cuda() else None
        # MXNet's own operators do better than kernels that end in an error
        if _mxnet_has_cuda() and not (nvcc and kernels_problem(nvcc)):
            library = find(cuda=True)
            failed = library.log.exists() and not library.path.exists()
            if library.built or (nvcc and not failed):
                return library
        return find(cuda=False)
    usable, reasons = [], []
    for library in _places(cuda):
        try:
            with _explained(library, "read"):
                cache.check(library.path.parent)
                if cache.is_whole(library.path):
                    return replace(library, built=True)
                usable.append(library)
        except cache.Unusable as err:
            reasons.append(str(err))
    if not usable:
        raise BuildError("; ".join(reasons))
    return usable[0]


def build(cuda: Optional[bool] = None, force: bool = False) -> Library:
    """Build the library where it is not built already (or `force`), which takes 40 s of one core.

    `cuda`: with the CUDA kernels (True), without (False), or with them where the installed MXNet is a CUDA build and
    there is an nvcc whose code runs on the GPUs here (None).

    Raises
    ------
    BuildError
        It can't be built, or kept anywhere; the message names the remedy.
    """
    nvcc = find_nvcc() if cuda or (cuda is None and _mxnet_has_cuda()) else None
    problem = kernels_problem(nvcc) if nvcc else None
    if cuda is None:
        cuda = nvcc is not None and not problem if force else find().cuda
        try:
            return build(cuda, force)
        except BuildError as err:
            if not cuda:
                raise
            log.warning("the operators will run on the CPU only: %s", err)
            return build(False, force)
    if problem:
        log.warning("the CUDA kernels won't run on this machine: %s", problem)
    reasons: List[str] = []
    for library in _places(cuda):
        try:
            with _explained(library, "written"):
                cache.check(library.path.parent)
                if force or not cache.is_whole(library.path):
                    cache.make(library.path.parent)
                    _build(library, force)
        except cache.Unusable as err:
            reasons.append(str(err))
            continue
        if reasons:
            log.warning("the operator library is in %s, for %s", library.path.parent, "; ".join(reasons))
        return replace(library, built=True)
    raise BuildError(f"there is no place for the operator library: {'; '.join(reasons)}")


def _places(cuda: bool) -> List[Library]:
    if sys.platform == "win32":
        raise BuildError("the operator library can't be built on Windows; MXNet's own operators serve instead")
    parts = [*FLAGS, *LINKED, *map(str, ARCHITECTURES), package_version("mxnet"), *_processor()]
    parts += [_digest(path) for path in (*_sources(), _mxnet_folder() / "src" / "lib_api.cc")]
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]
    name = f"mxnetseg_ops_{'cuda' if cuda else 'cpu'}_{key}.so"
    return [Library(folder / name, cuda) for folder in cache.folders()]


@contextlib.contextmanager
def _explained(library: Library, what: str) -> Iterator[None]:
    """Within it an OSError becomes an Unusable, which names the very file, if that is known, and the remedy."""
    try:
        yield
    except OSError as err:
        try:
            with explained(err.filename2 or err.filename or library.path, what):
                raise
        except SaveError as error:
            raise cache.Unusable(f"{error}; or name another folder in MXNETSEG_CACHE") from err


def _build(library: Library, force: bool) -> None:
    folder, prefix = library.path.parent, f".build-{library.path.stem}-"
    with cache.locked(library.path.with_suffix(".lock")):
        if not force and cache.is_whole(library.path):
            return  # another process was faster
        cache.check_free(library.path, library.log)
        if library.path.exists() and not force:
            log.warning("%s was cut short or changed since it was built; it is built anew", library.path)
        for left in folder.glob(f"{prefix}*"):  # by a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        log.info("building the operator library (some seconds, once): %s", library.path)
        with tempfile.TemporaryDirectory(prefix=prefix, dir=folder) as scratch:
            _compile(library, Path(scratch))


def _compile(library: Library, scratch: Path) -> None:
    target, mxnet, compile_ = scratch / library.path.name, _mxnet_folder(), compiler()
    sources = [*SOURCES.glob("*.cc"), *SOURCES.glob("*/*.cc"), mxnet / "src" / "lib_api.cc"]
    objects = [str(scratch / f"{source.parent.name}_{source.stem}.o") for source in sources]
    link = [*compile_, *FLAGS, "-shared"]
    nvcc = find_nvcc() if library.cuda else None
    if library.cuda:
        if nvcc is None:
            raise BuildError(
                "the CUDA half of the operator library needs nvcc, which is nowhere: "
                "install a CUDA toolkit, and put nvcc in PATH or set CUDA_HOME"
            )
        # nvcc knows where its runtime is. That is linked statically, and hidden: MXNet brings its own, perhaps of
        # another version.
        link = [nvcc, "-shared", "-ccbin", compile_[0], "-Xcompiler", "-fopenmp"]
        link += ["-cudart", "static", "-Xlinker", "--exclude-libs=ALL"]
    link += [word for option in LINKED for word in ("-Xlinker", option)]
    compile_ += [*FLAGS, f"-I{mxnet / 'include'}", *(["-DMXNETSEG_CUDA"] if nvcc else [])]
    commands = [[*compile_, "-c", str(source), "-o", object_] for source, object_ in zip(sources, objects)]
    if nvcc:
        objects.append(str(scratch / "kernels.o"))
        commands.append([*nvcc_command(nvcc), "-c", str(KERNELS), "-o", objects[-1]])
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(run, commands))
    if all(result.failed is None for result in results):
        results.append(run([*link, *objects, "-o", str(target)]))
    said = "".join(result.said for result in results)
    failed = next((result for result in results if result.failed is not None), None)
    if failed and "No space left on device" in said:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    (scratch / "log").write_text(said, encoding="utf-8")
    os.replace(scratch / "log", library.log)
    if failed:
        raise BuildError(
            f"building the operator library failed ({failed.failed}); what {failed.program} said is in {library.log}. "
            f"Mend that, or choose another compiler with {'NVCC' if failed.program == nvcc else 'CXX'}, "
            + typed("then run `mxnetseg ops build --force`")
        )
    cache.keep(target, library.path)


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
