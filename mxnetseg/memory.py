"""What becomes of memory that a process frees."""

import ctypes
import os
import platform
from typing import Dict

__all__ = ["give_back_freed_memory", "keep_freed_memory"]

# mallopt's parameters (malloc.h)
TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -3, -4, -8
NEVER = -1
LARGE = 2**17  # bytes


def keep_freed_memory() -> None:
    """Have the C library keep what is freed, for the next step.

    MXNet takes every array's memory from the C library, which asks the system for large pieces one by one and gives
    them back at once, and the system clears them before the next use: up to a seventh of a training step, a third of
    the time of a server that sums gradients (docs/performance.md).

    Call it before MXNet's first operator; or after a first step, before which `give_back_freed_memory` was called. Then
    what stays from that step on lies apart, and not in pieces between what comes and goes.

    glibc alone; whoever sets its environment variables (MALLOC_..., GLIBC_TUNABLES) decides, and MXNETSEG_STARTUP=0
    leaves everything as it is.
    """
    _tell({MMAP_MAX: 0, TRIM_THRESHOLD: NEVER})


def give_back_freed_memory() -> None:
    """Have the C library give all large pieces back at once: those below 32 MB, too, which it soon keeps by itself.

    When and where it says so, as for `keep_freed_memory`.
    """
    _tell({MMAP_THRESHOLD: LARGE})


def _tell(parameters: Dict[int, int]) -> None:
    said = any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ)
    if said or os.environ.get("MXNETSEG_STARTUP") == "0" or platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    # in other arenas than the first, large pieces are the system's whatever is said here
    for parameter, value in {ARENA_MAX: 1, **parameters}.items():
        mallopt(parameter, value)
