"""How many channels images have."""

import contextlib
import threading
from typing import Iterator

__all__ = ["image_channels", "image_scope"]

_scope = threading.local()


@contextlib.contextmanager
def image_scope(channels: int) -> Iterator[None]:
    """Inside, networks are built for images of so many channels."""
    before = image_channels()
    _scope.channels = channels
    try:
        yield
    finally:
        _scope.channels = before


def image_channels() -> int:
    """What the first layers of a network are built for: 3 (RGB) outside of an `image_scope`."""
    return getattr(_scope, "channels", 3)
