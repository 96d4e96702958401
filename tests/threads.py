"""Several threads that begin at once."""

import sys
import threading
from concurrent.futures import Future
from typing import Any, Callable, List, Sequence

__all__ = ["together"]


def together(calls: Sequence[Callable[[], Any]], seconds: float = 120) -> List[Any]:
    """Make each call in a new thread, all at once; their results, or the first error."""
    begin = threading.Barrier(len(calls))
    results: List[Future] = [Future() for _ in calls]

    def work(call, result):
        begin.wait()
        try:
            result.set_result(call())
        except BaseException as err:
            result.set_exception(err)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # whoever can be interrupted is
    try:
        for call, result in zip(calls, results):
            threading.Thread(target=work, args=(call, result), daemon=True).start()
        return [result.result(seconds) for result in results]
    finally:
        sys.setswitchinterval(interval)
