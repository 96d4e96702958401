"""What Prometheus is told: requests, their times, batches, what waits, memory."""

import time
from typing import Any, Awaitable, Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

__all__ = ["Metrics", "Observed"]

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """The numbers of one server."""

    def __init__(self, waiting: Callable[[], int], requests: Callable[[], int], ready: Callable[[], bool]):
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        more: Any = {"registry": self.registry}
        self.requests = Counter("mxnetseg_requests", "Requests that were answered", ["path", "status"], **more)
        what = "From a request's head to the end of its answer"
        self.seconds = Histogram("mxnetseg_request_seconds", what, ["path"], buckets=SECONDS, **more)
        what = "Pictures that went through the network together"
        self.batches = Histogram("mxnetseg_batch_size", what, buckets=(1, 2, 4, 8, 16, 32, 64), **more)
        Gauge("mxnetseg_waiting", "Pictures that wait for the network", **more).set_function(waiting)
        Gauge("mxnetseg_in_progress", "Requests for predictions in progress", **more).set_function(requests)
        Gauge("mxnetseg_ready", "1 when predictions can be had", **more).set_function(lambda: float(ready()))

    def text(self) -> bytes:
        """What Prometheus reads; its type is `media_type`."""
        text: bytes = generate_latest(self.registry)
        return text

    media_type = CONTENT_TYPE_LATEST


class Observed:
    """An ASGI app whose requests are counted, with the headers that all answers get."""

    def __init__(self, app: Any, metrics: Metrics):
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.monotonic(), 500

        async def sending(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                more = [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]
                message = {**message, "headers": [*message.get("headers", ()), *more]}
            await send(message)

        try:
            await self.app(scope, receive, sending)
        finally:
            # what clients make up is no label
            path = getattr(scope.get("route"), "path", "other")
            self.metrics.requests.labels(path, str(status)).inc()
            self.metrics.seconds.labels(path).observe(time.monotonic() - started)
