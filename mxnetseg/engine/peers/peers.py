"""What the processes of a run tell one another."""

import atexit
import contextlib
import itertools
import os
import signal
import sys
import threading
from typing import Any, Callable, Mapping, Optional, Sequence

import mxnet as mx
import numpy as np
from mxnet import nd

from ...errors import MXNetSegError
from ..stop import Interrupted
from .alone import Alone
from .link import LARGE, SMALL, Link

__all__ = ["OtherFailed", "Peers"]

MOST = 256  # processes: so many 16-bit numbers have a sum that float32 holds
WORDS = 200  # for a message of one that failed
FAILED, RANK, STOP, LENGTH, MESSAGE, PAYLOAD = 0, 1, 2, 3, 4, 4 + WORDS
NOTHING = np.zeros(0, np.float32)
PIECE = 16 * LARGE  # bytes
PATIENCE = 15.0  # seconds that one that failed waits for the others


class OtherFailed(MXNetSegError):
    """Another process of the run failed; its message is in this one."""


class Peers:
    """The processes of a run, seen from one of them; all make the same calls in the same order.

    With every call that waits for the others goes word of who failed and who was asked to stop, so all hear of it at
    the same place. Used as a context, an error within it is told to the others before the process leaves.

    Attributes
    ----------
    rank, size : int
    leads : bool
        Whether this is rank 0, which writes files and talks.
    contexts : list of mxnet.Context
        Those of this process with which it joined.
    asked : callable
        Whether this process was asked to stop; the others hear of it.
    """

    def __init__(self, link: Optional[Link] = None, contexts: Sequence[mx.Context] = ()):
        self._link: Link = link or Alone()
        self.contexts = list(contexts)
        self.rank, self.size, self.name = self._link.rank, self._link.size, self._link.name
        if self.size > MOST:
            raise MXNetSegError(f"{self.size} processes are too many; the most are {MOST}")
        self.leads = self.rank == 0
        self.asked: Callable[[], bool] = lambda: False
        self._stop = False
        self._left = False

    def stopped(self) -> bool:
        """Whether any process was asked to stop; the same answer in all of them until the next call that waits."""
        return self._stop if self.size > 1 else self.asked()

    def sum(self, values: np.ndarray) -> np.ndarray:
        """The sum of everybody's `values`, of the same shape and type, the same to the bit in all processes; waits.

        Whole numbers are summed exactly; floating-point numbers in the order of ranks, as float64: these are to be few.
        Raises OtherFailed.
        """
        if self.size == 1:
            return values.copy()
        total: np.ndarray
        if values.dtype.kind in "iu":
            total = self._sum(values.astype(np.int64).ravel())
        else:
            total = sum(self.gather(values.ravel()))
        return total.astype(values.dtype).reshape(values.shape)

    def gather(self, values: Any) -> np.ndarray:
        """Everybody's float64 `values`, (size, ...), by rank; waits. Raises OtherFailed."""
        mine = np.asarray(values, np.float64)
        everybody = np.zeros((self.size, *mine.shape))
        everybody[self.rank] = mine
        if self.size > 1:  # bit by bit: all but one are zero
            everybody = self._sum(everybody.view(np.int64).ravel()).view(np.float64).reshape(everybody.shape)
        return everybody

    def sum_arrays(self, arrays: Mapping[str, Sequence[nd.NDArray]]) -> None:
        """Queue the sums over all processes and contexts of named arrays, in place; see `Link.add_arrays`."""
        if arrays:
            self._link.add_arrays(arrays)

    def broadcast(self, data: bytes = b"") -> bytes:
        """The bytes that rank 0 gave; what the others give is of no concern. Raises OtherFailed."""
        if self.size == 1:
            return data
        length = int(self.sum(np.array([len(data) if self.leads else 0]))[0])
        pieces = []
        for first in range(0, length, PIECE):
            piece = np.zeros(-(-min(PIECE, length - first) // 8), np.int64)
            if self.leads:
                mine = np.frombuffer(data[first : first + PIECE], np.uint8)
                piece.view(np.uint8)[: mine.size] = mine
            pieces.append(self._sum(piece).tobytes())
        return b"".join(pieces)[:length]

    def check_same(self, what: str, text: str) -> None:
        """Raise MXNetSegError, in all processes, where `text` is not everywhere what it is in rank 0."""
        wanted = self.broadcast(text.encode()).decode(errors="replace")
        if wanted != text:
            pairs = itertools.zip_longest(text.splitlines(), wanted.splitlines(), fillvalue="nothing")
            mine, theirs = next((pair for pair in pairs if pair[0] != pair[1]), (text, wanted))
            said = f"it has {mine.strip()[:99]!r} where rank 0 has {theirs.strip()[:99]!r}"
            raise MXNetSegError(f"{what} of rank {self.rank} differ from those of rank 0: {said}; all need the same")
        self.barrier()

    def barrier(self) -> None:
        """Wait for the others. Raises OtherFailed."""
        if self.size > 1:
            self._exchange()

    def fail(self, message: str) -> None:
        """Tell the others that this process can't go on, and wait until they leave, too; for 15 s at most."""
        if self.size == 1 or self._left:
            return
        self._left = True
        header = np.zeros(SMALL, np.float32)
        text = message.encode(errors="backslashreplace")[: 2 * WORDS]  # a file's name need not be UTF-8
        header[FAILED], header[RANK], header[LENGTH] = 1, self.rank, len(text)
        header[MESSAGE:PAYLOAD] = np.frombuffer(text.ljust(2 * WORDS, b"\0"), "<u2")
        self._leave(header)

    def close(self) -> None:
        """Take leave, once everybody does."""
        if not self._left:
            self._left = True
            self._link.close()

    def __enter__(self) -> "Peers":
        return self

    def __exit__(self, kind: object, error: Optional[BaseException], trace: object) -> None:
        if error is None or isinstance(error, Interrupted):  # all stop at the same place
            self.close()
        elif isinstance(error, KeyboardInterrupt):  # the others hear of it by their watch
            if self.size > 1:
                atexit.register(self._exit, 128 + signal.SIGINT)
        elif isinstance(error, OtherFailed):
            self._leave()
        else:
            self.fail(str(error) or type(error).__name__)

    def _leave(self, *word: np.ndarray) -> None:
        """Meet the others for the last time: one may still be saving. Afterwards nothing is waited for."""
        atexit.register(self._exit)
        messages = [*word, np.zeros(SMALL, np.float32)]
        meeting = threading.Thread(target=lambda: [self._link.add(one) for one in messages], daemon=True)
        meeting.start()
        meeting.join(PATIENCE)

    def _exit(self, status: int = 2) -> None:
        """End at once: MXNet would wait for sums to which somebody does not come any more.

        Registered as a method, it keeps the link until then: the destructor of MXNet's store waits for others, too.
        """
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(status)

    def _sum(self, whole: np.ndarray) -> np.ndarray:
        """Of int64 arrays (n,), in 16-bit parts: the store of MXNet adds in float32, whatever it is given."""
        parts = whole.view("<u2").astype(np.float32)
        if parts.size <= SMALL - PAYLOAD:
            summed = self._exchange(parts)[: parts.size]
        else:
            self._exchange()
            pieces = [parts[first : first + LARGE] for first in range(0, parts.size, LARGE)]
            summed = np.concatenate([self._link.add(_padded(piece, LARGE))[: piece.size] for piece in pieces])
        total: np.ndarray = summed.astype(np.int64).reshape(-1, 4) @ (1 << np.arange(0, 64, 16))
        return total

    def _exchange(self, payload: np.ndarray = NOTHING) -> np.ndarray:
        mine = np.zeros(SMALL, np.float32)
        mine[STOP] = self.asked()
        mine[PAYLOAD : PAYLOAD + len(payload)] = payload
        total = self._link.add(mine)
        if total[FAILED]:
            self._left = True
            raise OtherFailed(_failure(total))
        self._stop = bool(total[STOP])
        return total[PAYLOAD:]


def _failure(total: np.ndarray) -> str:
    if total[FAILED] > 1:
        return f"{int(total[FAILED])} processes failed; see what they say"
    text = total[MESSAGE:PAYLOAD].astype("<u2").tobytes()[: int(total[LENGTH])].decode(errors="replace")
    return f"rank {int(total[RANK])} failed: {text}"


def _padded(values: np.ndarray, size: int) -> np.ndarray:
    whole = np.zeros(size, np.float32)
    whole[: values.size] = values
    return whole
