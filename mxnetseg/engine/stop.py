"""Signals that ask a run to stop."""

import contextlib
import os
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any, Dict, List, Optional

__all__ = ["Interrupted", "StopSignal"]


class Interrupted(Exception):
    """The run in `run_dir` was told to stop, has saved, and can go on."""

    def __init__(self, signum: int, run_dir: Path, message: str):
        super().__init__(message)
        self.signum = signum
        self.run_dir = run_dir


class StopSignal:
    """A context that notes SIGTERM, SIGHUP (a closed terminal) and SIGINT (Ctrl-C) instead of ending the process.

    It is true, and returns True when called, once a signal has come or a callback has asked to stop. A SIGINT after the
    first signal raises KeyboardInterrupt. A SIGTERM does not: schedulers send two. Python gives signals to the main
    thread only, so in any other thread none are noted. `step` is what is finished before it stops, for the message.
    """

    def __init__(self, step: str = "iteration") -> None:
        self._step = step
        self.signum: Optional[int] = None
        self.reason: Optional[str] = None  # a callback's
        self._before: Dict[int, Any] = {}
        self._terminals: List[int] = []

    def __bool__(self) -> bool:
        return self.signum is not None or self.reason is not None

    def ask(self, reason: str) -> None:
        """Ask the run to stop, as a signal would; `reason` goes into its result."""
        self.reason = reason

    __call__ = __bool__

    def __enter__(self) -> "StopSignal":
        if threading.current_thread() is threading.main_thread():
            self._terminals = [fd for fd in (1, 2) if os.isatty(fd)]
            for signum in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                if signal.getsignal(signum) is not signal.SIG_IGN:  # as nohup leaves SIGHUP
                    self._before[signum] = signal.signal(signum, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)  # None: it was not set from Python

    def _note(self, signum: int, frame: Optional[FrameType]) -> None:
        if signum == signal.SIGHUP:
            self._leave_terminal()
        if self.signum is None:
            self.signum = signum
            # not by the log: it may be in the middle of a line
            with contextlib.suppress(OSError):
                told = f"\nstopping after this {self._step}; Ctrl-C once more stops at once, without saving\n"
                os.write(2, told.encode())
        elif signum == signal.SIGINT:
            raise KeyboardInterrupt

    def _leave_terminal(self) -> None:
        """Send further output nowhere: writing to a terminal that is closed would fail."""
        null = os.open(os.devnull, os.O_WRONLY)
        for fd in self._terminals:
            os.dup2(null, fd)
        os.close(null)
