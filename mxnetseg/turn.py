"""One thread at a time traces networks and queues their work; MXNet's own threads do it.

Filling MXNet's queue is nothing for several threads at once. A block has one naming scope for all of them, so what two
trace at once comes out broken. Two operators that write two of the same arrays, as a norm does with its running mean
and variance, wait for each other for ever where either of them is first in line for one array. And every thread that
has ever queued something keeps 5 MB (random states) after its end, so threads that come and go would add up.
"""

import functools
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, TypeVar, cast

from mxnet import autograd
from mxnet.ndarray import NDArray

__all__ = ["in_turn"]

Function = TypeVar("Function", bound=Callable[..., Any])

_lock = threading.Lock()
_this = threading.local()
_lasting = ThreadPoolExecutor(1, thread_name_prefix="mxnetseg-queue")


def in_turn(function: Function) -> Function:
    """For a function that traces or queues: one thread at a time calls it, and never while another such function runs.

    Where it infers, from arrays and not in the main thread, the call itself is made by a thread that lasts. Recording
    and training stay where they are, as does everything with Symbols: what MXNet keeps per thread belongs to them.
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if getattr(_this, "turn", False):
            return function(*args, **kwargs)
        if _infers(*args, *kwargs.values()) and threading.current_thread() is not threading.main_thread():
            return _lasting.submit(_run, function, args, kwargs).result()
        return _run(function, args, kwargs)

    return cast(Function, call)


def _infers(*inputs: Any) -> bool:
    return any(isinstance(one, NDArray) for one in inputs) and not (autograd.is_recording() or autograd.is_training())


def _run(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    with _lock:
        _this.turn = True
        try:
            return function(*args, **kwargs)
        finally:
            _this.turn = False
