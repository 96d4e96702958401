"""Load the operator library into MXNet, on first use; where that can't be, say so once and do without."""

import contextlib
import ctypes
import logging
import os
import threading
from dataclasses import dataclass
from typing import Iterator, Optional, Tuple

from ..commands import typed
from ..errors import MXNetSegError
from .build import Library, build, find
from .compilers import compiler, find_nvcc, kernels_problem

__all__ = ["Status", "available", "function", "load", "mxnet_only", "serves", "status"]

log = logging.getLogger(__name__)

_loaded: Optional[Library] = None
_functions: Optional[ctypes.CDLL] = None  # those of the same library that are no operators of MXNet
_problem: Optional[str] = None  # why it was not loaded, once that was tried
_warned_of_gpu = False
_said = 0  # how loudly it was said that there is no library
_scope = threading.local()


@dataclass(frozen=True)
class Status:
    """What `mxnetseg doctor` says about the library.

    state: "loaded", "built", "not built", "off" or "not usable"; path: the library's file, if there may be one;
    cuda: it has CUDA kernels; problem: what is wrong and the remedy.
    """

    state: str
    path: Optional[str] = None
    cuda: bool = False
    problem: Optional[str] = None


def load() -> None:
    """Load the library, building it if it is not built; raises MXNetSegError where that fails.

    Whoever loads an exported network that holds these operators calls this first. `MXNETSEG_OPS=0` in the
    environment leaves the library alone.
    """
    from ..turn import in_turn  # here: it imports MXNet, which need not be there where CUDA kernels are checked

    in_turn(_load_once)()  # nothing may be traced or queued while MXNet gets more operators


def available(quiet: bool = False) -> bool:
    """Load the library if that is possible; the first time it is not, a warning says why and what to do.

    `quiet`: for operators that MXNet's own serve nearly as well; then it is an info.
    """
    global _said
    if _loaded is not None:
        return True
    try:
        load()
    except MXNetSegError as err:
        level = logging.INFO if quiet else logging.WARNING
        if level > _said:
            _said = level
            log.log(level, "what needs the operator library runs on MXNet's own operators, slower: %s", err)
        return False
    return True


def serves(array=None, *, cuda: bool = True) -> bool:
    """Whether the library is there for `array`'s context; without an array (a symbol): for all contexts.

    `cuda`: the operator has a CUDA half. One that has none leaves GPUs to MXNet's own operators, and says nothing.
    """
    if getattr(_scope, "mxnet_only", False) or not available(quiet=not cuda):
        return False
    if cuda and _loaded.cuda:
        return True
    if array is not None:
        gpu = array.context.device_type == "gpu"
    else:
        import mxnet

        gpu = mxnet.context.num_gpus() > 0
    if gpu and cuda:
        _warn_of_gpu()
    return not gpu


@contextlib.contextmanager
def mxnet_only() -> Iterator[None]:
    """Within it this thread does without the library, so the graphs that it traces run where MXNet alone is."""
    before = getattr(_scope, "mxnet_only", False)
    _scope.mxnet_only = True
    try:
        yield
    finally:
        _scope.mxnet_only = before


def function(name: str):
    """A C function of the library, which is loaded; arguments go as ctypes has them, and there is no result."""
    found = getattr(_functions, name)
    found.restype = None
    return found


def status() -> Status:
    """Where the library stands; builds and loads nothing."""
    if _loaded is not None:
        return Status("loaded", str(_loaded.path), _loaded.cuda)
    if _switched_off():
        return Status("off", problem=_switched_off())
    try:
        library = find()
        if not library.built:
            compiler()
    except MXNetSegError as err:
        return Status("not usable", problem=str(err))
    if _problem is not None:
        return Status("not usable", str(library.path), library.cuda, _problem)
    return Status("built" if library.built else "not built", str(library.path), library.cuda)


def _load_once() -> None:
    global _loaded, _functions, _problem
    if _loaded is not None:
        return
    if _problem is None:
        try:
            _loaded, _functions = _load()
            return
        except MXNetSegError as err:
            _problem = str(err)
    raise MXNetSegError(_problem)


def _load() -> Tuple[Library, ctypes.CDLL]:
    if _switched_off():
        raise MXNetSegError(_switched_off())
    library = build()
    import mxnet

    from .register import load_library

    try:
        load_library(str(library.path))
        return library, ctypes.CDLL(str(library.path))
    except (mxnet.MXNetError, OSError) as err:
        raise MXNetSegError(
            typed(f"MXNet does not load {library.path}: {err}; run `mxnetseg ops build --force`, see {library.log}")
        ) from err


def _switched_off() -> Optional[str]:
    if os.environ.get("MXNETSEG_OPS") == "0":
        return "MXNETSEG_OPS=0 switches the operator library off; unset it to have it back"
    return None


def _warn_of_gpu() -> None:
    global _warned_of_gpu
    if not _warned_of_gpu:
        _warned_of_gpu = True
        nvcc = find_nvcc()
        log.warning(
            "the operator library has no CUDA kernels, MXNet's own operators serve instead, several times slower: %s",
            (nvcc and kernels_problem(nvcc))
            or typed("install a CUDA toolkit (nvcc), then run `mxnetseg ops build --cuda --force`"),
        )
