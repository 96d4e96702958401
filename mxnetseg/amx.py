"""Intel's matrix unit (AMX), which bfloat16 needs to be fast: only for a process that asked the kernel for it."""

import ctypes
import os
import platform
import sys
from pathlib import Path
from typing import Optional, Set

__all__ = ["CPUINFO", "SWITCH", "cpu_flags", "prepare", "status"]

CPUINFO = Path("/proc/cpuinfo")
SWITCH = "MXNETSEG_AMX"  # 0 in the environment leaves AMX alone
ISA = "DNNL_MAX_CPU_ISA"
AMX_ISA = "AVX512_CORE_AMX"  # oneDNN 2.4 does not take AMX on its own

ARCH_PRCTL, REQUEST_PERMISSION, TILE_DATA = 158, 0x1023, 18  # x86-64: system call, ARCH_REQ_XCOMP_PERM, state

_permitted: Optional[bool] = None  # what the kernel said, once asked


def prepare() -> None:
    """Ask for the tile registers and let oneDNN use them, where processor and kernel have them.

    Without the permission oneDNN's first AMX instruction would end the process, so `DNNL_MAX_CPU_ISA` is set only
    with it, and only if it is not set already. Another program that this process starts inherits the variable but not
    the permission: importing mxnetseg asks again; a program that uses MXNet without it should not get the variable.
    """
    global _permitted
    if _reason_not() is not None:
        return
    if _permitted is None:
        _permitted = _request()
    if _permitted:
        os.environ.setdefault(ISA, AMX_ISA)
    elif os.environ.get(ISA) == AMX_ISA:  # inherited from a process that was permitted
        del os.environ[ISA]


def status() -> str:
    """For people: whether AMX is used, and if not, why."""
    reason = _reason_not()
    if reason is None and not _permitted:
        reason = (
            "the kernel does not permit it (Linux 5.16 or newer is needed)" if _permitted is False else "not asked for"
        )
    isa = os.environ.get(ISA)
    limit = f"oneDNN up to {isa}" if isa else "oneDNN takes what it finds, but for AMX"
    if reason is None and isa != AMX_ISA:
        reason = f"{ISA}={isa} is set"
    return f"{'used' if reason is None else f'not used: {reason}'}; {limit}"


def cpu_flags(cpuinfo: Optional[Path] = None) -> Set[str]:
    """Abilities of the processor; none where the system does not tell."""
    flags: Set[str] = set()
    try:
        for line in (cpuinfo or CPUINFO).read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "flags":
                flags.update(value.split())
    except OSError:
        pass
    return flags


def _reason_not() -> Optional[str]:
    """Why AMX is not asked for, or None."""
    if os.environ.get(SWITCH) == "0":
        return f"{SWITCH}=0"
    if os.environ.get("MXNETSEG_STARTUP") == "0":
        return "MXNETSEG_STARTUP=0"
    if not sys.platform.startswith("linux") or platform.machine() not in ("x86_64", "AMD64"):
        return "this is not Linux on x86-64"
    if "amx_bf16" not in cpu_flags():
        return "the processor has no amx_bf16"
    return None


def _request() -> bool:
    try:
        return ctypes.CDLL(None).syscall(ARCH_PRCTL, REQUEST_PERMISSION, TILE_DATA) == 0
    except (OSError, AttributeError, ValueError):
        return False
