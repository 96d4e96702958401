"""The one thread that uses the network: requests wait for it, and those of one size go through it together.

MXNet keeps memory for every thread that ever queued something, and threads take turns anyway
(docs/architecture.md), so there is one, which lasts as long as the server.
"""

import logging
import threading
import time
from collections import deque
from concurrent.futures import Future
from typing import Callable, Deque, List, NamedTuple, Optional, Sequence

import numpy as np

from ..certainty import confidence
from ..errors import MXNetSegError
from ..predictor import Predictor

__all__ = ["Prediction", "Worker", "predict_together"]

log = logging.getLogger(__name__)


class Prediction(NamedTuple):
    """What the network says of a picture: class map (H, W) uint8, confidence (H, W) float32 where it was asked for."""

    class_map: np.ndarray
    confidence: Optional[np.ndarray]


class _Job(NamedTuple):
    image: np.ndarray
    confident: bool
    until: float  # time.monotonic() after which nobody waits any more
    future: "Future[Prediction]"

    def fits(self, other: "_Job") -> bool:
        """Whether both may go together: those with confidence don't, for the memory that takes."""
        return self is other or (self.image.shape == other.image.shape and not (self.confident or other.confident))


Predict = Callable[[Sequence[np.ndarray], bool], List[Prediction]]


class Worker:
    """A queue, and the thread that empties it.

    Parameters
    ----------
    predict : callable
        (images of one size, whether with confidence) -> their predictions.
    warm_up : callable
        Called first, in the same thread; the worker is "starting" meanwhile.
    batch, pixels : int
        Pictures that go through the network together at most, and the pixels of them.
    wait : float
        Seconds that a picture waits for others of its size, where the batch isn't full. Those that came while the
        network was busy go together in any case.
    seen : callable, optional
        Told the size of every batch.
    """

    def __init__(
        self,
        predict: Predict,
        warm_up: Callable[[], None],
        batch: int = 1,
        pixels: int = 1 << 24,
        wait: float = 0.0,
        seen: Callable[[int], None] = lambda count: None,
    ):
        self.predict, self.warm_up, self.seen = predict, warm_up, seen
        self.batch, self.pixels, self.wait = batch, pixels, wait
        self.state = "starting"  # then "ready", or "failed"
        self._jobs: Deque[_Job] = deque()
        self._change = threading.Condition()
        self._ending = False
        self._began: Optional[float] = None
        self._thread = threading.Thread(target=self._run, name="mxnetseg-serve", daemon=True)

    def start(self) -> None:
        """Begin, with the warm-up."""
        self._thread.start()

    def stop(self, seconds: Optional[float] = None) -> None:
        """Finish what waits, and end; returns when that is done, or after some seconds."""
        with self._change:
            self._ending = True
            self._change.notify_all()
        self._thread.join(seconds)

    def waiting(self) -> int:
        """How many pictures wait."""
        return len(self._jobs)

    def busy(self) -> float:
        """For how many seconds the network has been at one batch."""
        began = self._began
        return 0.0 if began is None else time.monotonic() - began

    def submit(self, image: np.ndarray, confident: bool, seconds: float) -> "Future[Prediction]":
        """Queue a picture, for at most some seconds. A future that is cancelled before its turn costs nothing more."""
        job = _Job(image, confident, time.monotonic() + seconds, Future())
        with self._change:
            self._jobs.append(job)
            self._change.notify_all()
        return job.future

    def _run(self) -> None:
        try:
            self.warm_up()
        except Exception as err:
            if isinstance(err, MXNetSegError):
                log.error("the network can't be used: %s", err)
            else:
                log.exception("the network can't be used")
            self.state = "failed"
            return
        self.state = "ready"
        while True:
            jobs = self._next()
            if jobs is None:
                return
            if not jobs:
                continue
            self.seen(len(jobs))
            self._began = time.monotonic()
            try:
                for job, prediction in zip(jobs, self.predict([job.image for job in jobs], jobs[0].confident)):
                    job.future.set_result(prediction)
            except Exception as err:
                if not isinstance(err, MXNetSegError):
                    log.exception("a prediction failed")
                for job in jobs:
                    job.future.set_exception(err)
            self._began = None
            del jobs  # the pictures of the last batch are not kept until the next one comes

    def _next(self) -> Optional[List[_Job]]:
        """The next batch, without those that nobody waits for; None at the end."""
        with self._change:
            while not self._jobs and not self._ending:
                self._change.wait()
            if not self._jobs:
                return None
            first, until = self._jobs[0], time.monotonic() + (0 if self._jobs[0].confident else self.wait)
            height, width = first.image.shape[:2]
            most = max(1, min(self.batch, self.pixels // (height * width)))
            while not self._ending and sum(map(first.fits, self._jobs)) < most:
                left = until - time.monotonic()
                if left <= 0:
                    break
                self._change.wait(left)
            together = [job for job in self._jobs if first.fits(job)][:most]
            taken = set(map(id, together))
            self._jobs = deque(job for job in self._jobs if id(job) not in taken)
        now = time.monotonic()
        return [job for job in together if now < job.until and job.future.set_running_or_notify_cancel()]


def predict_together(predictor: Predictor, images: Sequence[np.ndarray], confident: bool) -> List[Prediction]:
    """Pictures of one size, through the network at once."""
    batch = np.stack(images)
    if not confident:
        return [Prediction(class_map, None) for class_map in predictor(batch)]
    return [Prediction(class_map, confidence(one)) for class_map, one in zip(*predictor.certain(batch))]
