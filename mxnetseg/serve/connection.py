"""uvicorn's connections, with an end: those on which nothing moves are closed, and there are not too many."""

import asyncio
import http
from typing import Any, Optional, Tuple, Type

from uvicorn.protocols.http.h11_impl import H11Protocol

from .limits import Limits
from .refusal import content

__all__ = ["bounded"]


def bounded(limits: Limits) -> Type[asyncio.Protocol]:
    """A class of connections for `uvicorn.Config(http=...)`."""

    class Connection(H11Protocol):
        """One whose request's head, or whose client's reading, takes longer than `limits.seconds` is closed."""

        look: Optional[asyncio.TimerHandle] = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if len(self.connections) > limits.connections:
                transport.write(_raw(503, "too_many_connections", "as many clients are connected as there may be"))
                transport.close()
                return
            self.look = self.loop.call_later(limits.seconds, self._close_if_stuck, None)

        def connection_lost(self, exc: Optional[Exception]) -> None:
            if self.look is not None:
                self.look.cancel()
            super().connection_lost(exc)

        def _close_if_stuck(self, before: Optional[Tuple[Any, int]]) -> None:
            """Called from time to time: nothing is asked, or nobody reads, and it was so the last time."""
            unread = self.transport.get_write_buffer_size()
            idle = self.cycle is None or self.cycle.response_complete
            now = (self.cycle, unread) if idle or unread else None
            # a cycle that never comes is stuck at once: it has had its time
            if now is not None and (now == before or (self.cycle is None)):
                self.transport.abort()
                return
            self.look = self.loop.call_later(limits.seconds, self._close_if_stuck, now)

        def send_400_response(self, msg: str) -> None:
            self.transport.write(_raw(400, "bad_request", "not HTTP that can be read"))
            self.transport.close()

    return Connection


def _raw(status: int, reason: str, message: str) -> bytes:
    """A refusal outside of the application."""
    body = content(status, reason, message)
    head = f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body
