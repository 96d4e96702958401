"""Cameras and streams: frames as they come, those dropped that nobody was ready for."""

import re
import threading
import time
from collections import deque
from typing import Callable, Deque, Iterator, Optional, Tuple

import cv2
import numpy as np

from .errors import MXNetSegError

__all__ = ["LiveReader", "is_live", "shown_source"]

USUAL_RATE = 25.0
WAITING = 3  # frames that are kept for whoever is busy
POLL = 0.1  # seconds
LATER = 0.25  # seconds that OpenCV gives up after us, who have the better message


def is_live(source: str) -> bool:
    """Whether it is a camera's number or a stream's address, and not a file."""
    return bool(re.match(r"\d+$|[a-z][a-z0-9+.-]*://", source, re.IGNORECASE))


def shown_source(source: str) -> str:
    """An address without the user's name and password."""
    return re.sub(r"(?<=://)[^/@]*@", "", source)


class LiveReader:
    """The frames of a camera (its number) or a stream (rtsp://, http://, ...), as RGB arrays (H, W, 3) uint8.

    A thread takes them as they come. A stream that has an end, a file on a web server, waits for whoever is slow; of
    others frames are dropped then, the oldest first.

    Parameters
    ----------
    timeout : float
        Seconds without a frame after which the source counts as dead.

    Attributes
    ----------
    rate : float
        Frames per second, as the source says.
    expected : int or None
        Frames that it says it has; None for one that has no end.
    read, dropped : int
        Frames that came so far, and how many of them were dropped.

    Raises
    ------
    MXNetSegError
        It can't be opened, or gives no frame in time.
    """

    def __init__(self, source: str, timeout: float = 10.0):
        self.source, self.timeout = source, timeout
        self.title = f"camera {source}" if source.isdigit() else shown_source(source)
        self.rate = USUAL_RATE
        self.expected: Optional[int] = None
        self.read = self.dropped = 0
        self._every = 1
        self._frames: Deque[Tuple[int, np.ndarray]] = deque()
        self._change = threading.Condition()
        self._ended = self._stalled = self._closed = False
        self._thread = threading.Thread(target=self._run, name="live", daemon=True)  # it may hang in a driver
        self._thread.start()
        with self._change:
            came, ended = self._wait(lambda: False), self._ended
        if not came:
            self.close()
            what = "can't be opened" if ended else f"gives no frame in {timeout:g} s"
            raise MXNetSegError(f"{self.title}: {what}; is it on, is its address right, is nobody else using it?")

    def frames(self, every: int = 1, stop: Callable[[], bool] = lambda: False) -> Iterator[Tuple[np.ndarray, int]]:
        """Every `every`-th frame, and for how many of these it stands: itself and those dropped before it.

        It ends with the source, or soon after `stop` says yes.

        Raises
        ------
        MXNetSegError
            No frame has come for `timeout` seconds.
        """
        following = 0
        with self._change:
            self._every = every
            self._frames = deque(one for one in self._frames if one[0] % every == 0)
        while True:
            with self._change:
                if not self._wait(stop):
                    if stop() or (self._ended and not self._stalled):
                        return
                    raise MXNetSegError(f"{self.title}: no frame for {self.timeout:g} s, after {self.read}; it stalls")
                index, frame = self._frames.popleft()
                self._change.notify_all()
            yield frame, 1 + (index - following) // every
            following = index + every

    def close(self) -> None:
        """End the reading thread: if it came back from OpenCV while Python ends, C++ would abort the process."""
        with self._change:
            self._closed = True
            self._change.notify_all()
        self._thread.join(self.timeout + 4 * LATER)

    def _wait(self, stop: Callable[[], bool]) -> bool:
        """Wait for a frame; False where none will come."""
        last = time.monotonic()
        while not self._frames:
            if self._ended or stop() or time.monotonic() - last >= self.timeout:
                return False
            self._change.wait(POLL)
        return not stop()

    def _run(self) -> None:
        capture = _opened(self.source, self.timeout)
        try:
            while capture.isOpened() and not self._closed:
                asked = time.monotonic()
                if not capture.grab():
                    # while nobody waited for a frame, OpenCV gave up first
                    self._stalled = time.monotonic() - asked >= self.timeout
                    break
                if not self.read:
                    self._facts(capture)
                if self.read % self._every == 0:
                    done, frame = capture.retrieve()
                    if not done or frame is None or not frame.size:
                        break
                    self._put(np.ascontiguousarray(frame[:, :, ::-1]))
                self.read += 1
        finally:
            with self._change:
                self._ended = True
                self._change.notify_all()
            capture.release()

    def _facts(self, capture: "cv2.VideoCapture") -> None:
        rate, count = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.rate = rate if 0.1 <= rate <= 240 else USUAL_RATE  # NaN fails both, and so does RTP's clock of 90000
        self.expected = int(count) if 0 < count < 1e9 else None

    def _put(self, frame: np.ndarray) -> None:
        with self._change:
            if self.read % self._every:  # `frames` has said so since this one was asked for
                return
            while self.expected and len(self._frames) >= WAITING and not self._closed:
                self._change.wait(POLL)
            self._frames.append((self.read, frame))
            if len(self._frames) > WAITING and not self.expected:
                self._frames.popleft()
                self.dropped += 1
            self._change.notify_all()


def _opened(source: str, timeout: float) -> "cv2.VideoCapture":
    if source.isdigit():
        return cv2.VideoCapture(int(source))
    limit = int(1000 * (timeout + LATER))
    return cv2.VideoCapture(
        source, cv2.CAP_FFMPEG, [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, limit, cv2.CAP_PROP_READ_TIMEOUT_MSEC, limit]
    )
