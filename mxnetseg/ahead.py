"""Items that a thread makes ahead of whoever takes them."""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Deque, Iterable, Iterator, TypeVar

__all__ = ["ahead"]

Item = TypeVar("Item")

_END: Any = object()


def ahead(items: Iterable[Item], most: int = 1) -> Iterator[Item]:
    """The same items in their order; while one is worked on, a thread makes up to `most` of those that follow.

    What making them raises comes where the item would have come.
    """
    source = iter(items)
    pending: Deque[Future[Item]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as pool:
        try:
            pending.append(pool.submit(next, source, _END))
            while True:
                item = pending.popleft().result()
                if item is _END:
                    return
                pending.extend(pool.submit(next, source, _END) for _ in range(most - len(pending)))
                yield item
        finally:
            for one in pending:
                one.cancel()
