"""Child processes that never outlive this one."""

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence

__all__ = ["python", "start", "tied"]

PR_SET_PDEATHSIG, PR_GET_PDEATHSIG = 1, 2


def python(arguments: Sequence[str], env: Mapping[str, str], **options: Any) -> "subprocess.Popen[bytes]":
    """Start this Python with `arguments`, and with this package on its path."""
    parent = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [parent, os.environ.get("PYTHONPATH")]))
    return start([sys.executable, *arguments], {**os.environ, **env, "PYTHONPATH": path}, **options)


def start(
    command: Sequence[str], env: Mapping[str, str], dies_with: int = signal.SIGKILL, deaf: bool = False, **options: Any
) -> "subprocess.Popen[bytes]":
    """Start `command`; it gets the signal `dies_with` when this process ends, however that happens.

    `deaf`: signals that ask a run to stop are not for it. To be called in the main thread: the kernel takes the end of
    the thread for that of the process.
    """
    return subprocess.Popen(list(command), env=dict(env), preexec_fn=_settle(dies_with, deaf), **options)


def tied() -> bool:
    """Whether this process was started so that it gets a signal when its parent ends."""
    signum = ctypes.c_int()
    ctypes.CDLL(None).prctl(PR_GET_PDEATHSIG, ctypes.byref(signum))
    return signum.value != 0


def _settle(dies_with: int, deaf: bool) -> Callable[[], None]:
    libc, parent = ctypes.CDLL(None), os.getpid()

    def settle() -> None:
        libc.prctl(PR_SET_PDEATHSIG, int(dies_with))
        if os.getppid() != parent:  # it ended before the kernel knew
            os._exit(1)
        if deaf:
            for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(signum, signal.SIG_IGN)

    return settle
