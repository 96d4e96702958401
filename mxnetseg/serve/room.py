"""What a server holds at a time is counted, and bounded."""

import contextlib
import threading
from collections import Counter
from typing import Any, Awaitable, Callable, Iterator
from typing import Counter as Counts

from starlette.requests import Request

from .limits import TOGETHER, Limits
from .refusal import Refusal, gone

__all__ = ["Held", "Place", "Room", "held_by"]

AGAIN = {"Retry-After": "1"}
HELD = "mxnetseg.held"


class Room:
    """Requests that are being answered, their bytes and their pixels; for any thread."""

    def __init__(self, limits: Limits):
        self.limits = limits
        self.lock = threading.Lock()
        self.requests = self.bytes = self.pixels = 0
        self.clients: Counts[str] = Counter()

    @contextlib.contextmanager
    def enter(self, client: str) -> Iterator["Place"]:
        """A context in which one request of a client is answered.

        Raises
        ------
        Refusal
            429, it has as many requests here as one client may have; 503, there are as many as there may be.
        """
        place = Place(self)
        with self.lock:
            self._admit(client)
        try:
            yield place
        finally:
            with self.lock:
                place.left = True
                self.requests -= 1
                self.bytes -= place.bytes
                self.pixels -= place.pixels
                self.clients[client] -= 1
                if not self.clients[client]:
                    del self.clients[client]

    def _admit(self, client: str) -> None:
        limits = self.limits
        if limits.per_client is not None and self.clients[client] >= limits.per_client:
            raise Refusal(
                429, "too_many_of_client", f"{limits.per_client} requests of {client} are being answered; wait", AGAIN
            )
        if self.requests >= limits.requests:
            raise Refusal(503, "queue_full", f"{limits.requests} requests are being answered; try again", AGAIN)
        self.requests += 1
        self.clients[client] += 1


class Place:
    """What one request holds of a room; given back at the end of `Room.enter`."""

    def __init__(self, room: Room):
        self.room = room
        self.bytes = self.pixels = 0
        self.left = False

    def hold_bytes(self, count: int) -> None:
        """Raises Refusal (503) where all bodies together would be too large."""
        with self.room.lock:
            if self.room.bytes + count > TOGETHER * self.room.limits.body:
                raise Refusal(503, "no_memory", "the bodies of other requests are being read; try again", AGAIN)
            self.room.bytes += count
            self.bytes += count

    def hold_pixels(self, count: int) -> None:
        """Raises Refusal: 503 where all pictures together would be too large, 499 after the request's end."""
        with self.room.lock:
            if self.left:  # a thread comes to its picture when nobody waits for it any more
                raise gone()
            if self.room.pixels + count > TOGETHER * self.room.limits.pixels:
                raise Refusal(503, "no_memory", "large pictures of other requests are being answered; try again", AGAIN)
            self.room.pixels += count
            self.pixels += count


class Held:
    """An ASGI app whose requests give back what they hold once their answers are taken, for those take memory, too."""

    def __init__(self, app: Any):
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        async def sending(message: Any) -> None:
            if message["type"] == "http.response.body" and message.get("body") and not message.get("more_body"):
                await send({**message, "more_body": True})
                message = {"type": "http.response.body"}  # a server takes it when the client has read most of the rest
            await send(message)

        with contextlib.ExitStack() as stack:
            scope[HELD] = stack
            await self.app(scope, receive, sending)


def held_by(request: Request) -> contextlib.ExitStack:
    """The stack of contexts that end with the request."""
    stack: contextlib.ExitStack = request.scope[HELD]
    return stack
