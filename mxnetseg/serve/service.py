"""The way of a request from bytes to an answer."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, Optional

import numpy as np
from starlette.requests import Request

from ..errors import MXNetSegError
from ..predictor import Predictor
from . import bodies
from .answers import Encoded, Wish, encode
from .limits import TOGETHER, Limits
from .metrics import Metrics
from .pictures import decode, pixels_of
from .refusal import Refusal, gone
from .room import AGAIN, Place, Room, held_by
from .worker import Worker, predict_together

__all__ = ["Service"]

HELPERS = 2  # threads that decode and encode: more would take processors from the network


class Service:
    """A predictor, the thread that uses it, and those that decode and encode for it; `answer` is for an event loop."""

    def __init__(
        self,
        predictor: Predictor,
        limits: Limits,
        batch: int,
        together: int,
        wait: float,
        warm_up: Callable[[], None],
    ):
        self.predictor = predictor
        self.limits = limits
        self.room = Room(limits)
        self.worker = Worker(lambda *args: predict_together(predictor, *args), warm_up, batch, together, wait)
        self.metrics = Metrics(self.worker.waiting, lambda: self.room.requests, lambda: self.worker.state == "ready")
        self.worker.seen = self.metrics.batches.observe
        self._pool = ThreadPoolExecutor(HELPERS, thread_name_prefix="mxnetseg-pictures")

    def start(self) -> None:
        """Begin, with the warm-up."""
        self.worker.start()

    async def stop(self) -> None:
        """Finish what waits, and end the threads; a prediction that is stuck is left alone."""
        await asyncio.get_running_loop().run_in_executor(None, self.worker.stop, self.limits.seconds)
        self._pool.shutdown()

    def check_ready(self) -> None:
        """Raise Refusal (503) while no predictions can be had."""
        if self.worker.state == "failed":
            raise Refusal(503, "failed", "the network can't be used; the server's log says why")
        if self.worker.busy() > 2 * self.limits.seconds:
            raise Refusal(503, "stuck", "the network does not come to the end of a prediction; try again", AGAIN)
        if self.worker.state != "ready":
            raise Refusal(503, "starting", "the network is being warmed up; try again", AGAIN)

    async def answer(self, request: Request, wish: Wish) -> Encoded:
        """The answer to a request whose body is a picture, or a form with one.

        Raises
        ------
        Refusal
            As `docs/serve.md` lists them. A client that goes ends the work on its request, wherever it is.
        """
        until = time.monotonic() + self.limits.seconds
        bodies.check_head(request)
        self.check_ready()
        place = held_by(request).enter_context(self.room.enter(request.client.host if request.client else ""))
        body = await bodies.read_body(request, self.limits, place)
        work = asyncio.ensure_future(self._predicted(body, request, wish, place, until))
        left = asyncio.ensure_future(_gone(request))
        waits = {work, left}
        try:
            await asyncio.wait(waits, timeout=until - time.monotonic(), return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            if left.done():
                raise gone()
            raise Refusal(
                504, "too_slow", f"no answer within {self.limits.seconds:g} s; try again, or a smaller picture"
            )
        finally:
            for one in waits:
                one.cancel()
            await asyncio.wait(waits)

    async def _predicted(self, body: bytes, request: Request, wish: Wish, place: Place, until: float) -> Encoded:
        run = asyncio.get_running_loop().run_in_executor
        form = None
        if bodies.content_type(request) == "multipart/form-data":
            form = request.headers["content-type"]
        # in one go: every change of threads takes time from the network
        image = await run(self._pool, self._picture, body, form, wish, place)
        future = self.worker.submit(image, wish.confident, until - time.monotonic())
        try:
            prediction = await asyncio.wrap_future(future)
        except MXNetSegError as err:
            raise Refusal(422, "not_predictable", str(err)) from err
        return await run(self._pool, encode, wish, image, prediction, self.predictor, until)

    def _picture(self, body: bytes, form: Optional[str], wish: Wish, place: Place) -> np.ndarray:
        """The picture of a body, which is a form where its Content-Type is given."""
        data = body if form is None else bodies.picture_of_form(body, form)
        place.hold_pixels(pixels_of(data, self.limits.pixels))
        image = decode(data, self.predictor)
        self._check_values(image.shape[0] * image.shape[1], wish)
        return image

    def _check_values(self, pixels: int, wish: Wish) -> None:
        """Raise Refusal (413) where the probabilities of all classes would take too much memory."""
        classes = len(self.predictor.classes)
        most = TOGETHER * self.limits.pixels // classes
        if wish.confident and pixels > most:
            raise Refusal(
                413,
                "too_many_values",
                f"the picture has {pixels} pixels; with confidence it may have {most}, because of {classes} classes",
            )


async def _gone(request: Request) -> None:
    """Returns when the client has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
