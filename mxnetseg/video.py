"""Videos, frame by frame: read with OpenCV, written whole or not at all."""

import os
from pathlib import Path
from typing import Iterator, Optional, Tuple

import cv2
import numpy as np

from .errors import MXNetSegError
from .saving import explained, partial_of, remove_dead_partials

__all__ = ["VideoReader", "VideoWriter", "pan", "scaled_size"]

USUAL_RATE = 25.0  # for files that don't tell theirs


class VideoReader:
    """The frames of a file, as RGB arrays (H, W, 3) uint8.

    Attributes
    ----------
    rate : float
        Frames per second.
    expected : int or None
        Frames that the file says it has.
    read : int
        Frames read so far, those skipped included.

    Raises
    ------
    MXNetSegError
        The file is missing, empty, or holds no frame that OpenCV can decode.
    """

    def __init__(self, path):
        self.path = Path(path)
        if not self.path.is_file():
            raise MXNetSegError(f"video {path}: no such file")
        if not self.path.stat().st_size:
            raise MXNetSegError(f"video {path}: the file is empty; get it again")
        self._capture = cv2.VideoCapture(str(path))
        self.read = 0
        # a file may open and yet hold no frame
        self._first = self._next()
        if self._first is None:
            self._capture.release()
            raise MXNetSegError(
                f"video {path}: no frame of it can be read (damaged, no video, or of a kind OpenCV does not know); "
                "get it again, or convert it: ffmpeg -i IN -pix_fmt yuv420p OUT.mp4"
            )
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if 0.1 <= rate <= 1000 else USUAL_RATE  # NaN fails both
        count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.expected: Optional[int] = count if count > 0 else None

    def frames(self, stride: int = 1) -> Iterator[np.ndarray]:
        """Every `stride`-th frame, beginning with the first. The file is read once only."""
        frame, self._first = self._first, None
        try:
            while frame is not None:
                yield frame
                for _ in range(stride - 1):
                    if not self._capture.grab():  # decoded no further: it is not looked at
                        return
                    self.read += 1
                frame = self._next()
        finally:
            self._capture.release()

    def _next(self) -> Optional[np.ndarray]:
        done, frame = self._capture.read()
        if not done or frame is None or not frame.size:
            return None
        self.read += 1
        return np.ascontiguousarray(frame[:, :, ::-1])


class VideoWriter:
    """Write RGB frames of one size to an MP4 file, which appears when the `with` block ends without an error."""

    def __init__(self, path, rate: float):
        self.path = Path(path)
        self.rate = rate
        self._partial = partial_of(self.path, ".mp4")
        self._writer = None
        self._size: Optional[Tuple[int, int]] = None

    def __enter__(self) -> "VideoWriter":
        with explained(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            remove_dead_partials(self.path)
        return self

    def write(self, frame: np.ndarray) -> None:
        """Add a frame, (H, W, 3) uint8 RGB; all must have the size of the first.

        Raises
        ------
        MXNetSegError
            The file can't be written.
        ValueError
            The frame has another size.
        """
        size = (frame.shape[1], frame.shape[0])
        if self._writer is None:
            self._size = size
            self._writer = cv2.VideoWriter(str(self._partial), cv2.VideoWriter_fourcc(*"mp4v"), self.rate, size)
            if not self._writer.isOpened():
                raise MXNetSegError(
                    f"{self.path}: OpenCV can't write {size[0]}x{size[1]} pixels there; name another place or size"
                )
        if size != self._size:  # OpenCV would drop it without a word
            raise ValueError(f"{self.path}: a frame of {size} among frames of {self._size}")
        self._writer.write(np.ascontiguousarray(frame[:, :, ::-1]))

    def __exit__(self, kind, *_) -> None:
        if self._writer is not None:
            self._writer.release()
        if kind is None and self._writer is not None:
            if not self._partial.is_file() or not self._partial.stat().st_size:
                raise MXNetSegError(f"{self.path}: nothing was written; is the disk full?")
            with explained(self.path):
                os.replace(self._partial, self.path)
        elif self._partial.exists():
            self._partial.unlink()


def pan(image: np.ndarray, frames: int, share: float = 0.9) -> Iterator[np.ndarray]:
    """A camera that swings over an image from left to right and back: `frames` cuts, `share` of its sides each."""
    height, width = (int(side * share) // 2 * 2 for side in image.shape[:2])
    for index in range(frames):
        swing = (1 - np.cos(2 * np.pi * index / frames)) / 2
        left = round(swing * (image.shape[1] - width))
        top = round((0.5 + 0.5 * np.sin(4 * np.pi * index / frames)) * (image.shape[0] - height))
        yield image[top : top + height, left : left + width]


def scaled_size(size: Tuple[int, int], height: Optional[int], width: Optional[int]) -> Tuple[int, int]:
    """(height, width) to give a picture of `size`: what is asked for, the other side in proportion, both even."""
    if height is None and width is None:
        return size
    height = height or size[0] * width / size[1]
    width = width or size[1] * height / size[0]
    return tuple(max(2, round(side / 2) * 2) for side in (height, width))
