"""Small pictures for the gallery, of the worst images: image, truth, prediction, and where it is wrong."""

import heapq
import io
from typing import Dict, List, Mapping, Sequence, Tuple

import cv2
import numpy as np
from PIL import Image

__all__ = ["ERRORS", "MOST", "Kept", "draw", "error_map"]

SIDE = 480  # pixels of the longer side, at most
QUALITY = 60
MOST = {"miou": 500, "sure": 60, "class": 8}  # images that are kept for being the worst: by this many of each ranking
IGNORED, RIGHT = 0, 1
EDGES = (0.5, 0.7, 0.9)  # of confidence, between the colours of mistakes
# of error maps: ignored, right, wrong and unsure ... wrong and sure
ERRORS = ((108, 112, 120), (36, 40, 48), (255, 224, 130), (255, 167, 60), (240, 98, 60), (222, 30, 95))


class Kept:
    """Pictures of the images that are among the worst so far by any ranking: what they take has a bound.

    Attributes
    ----------
    pictures : dict
        Number of an image -> its files.
    """

    def __init__(self) -> None:
        self.pictures: Dict[int, Tuple[bytes, ...]] = {}
        self._rankings: Dict[str, List[Tuple[float, int]]] = {}

    def wants(self, number: int, scores: Mapping[str, float]) -> bool:
        """Whether an image is among the worst by a ranking, higher is worse; those that it displaces are dropped.

        Rankings are called "miou", "sure", and "class 3" and the like.
        """
        for name, score in scores.items():
            ranking, most = self._rankings.setdefault(name, []), MOST[name.split()[0]]
            heapq.heappush(ranking, (score, -number))
            if len(ranking) > most:
                heapq.heappop(ranking)
        wanted = {-number for ranking in self._rankings.values() for _, number in ranking}
        for dropped in self.pictures.keys() - wanted:
            del self.pictures[dropped]
        return number in wanted


def error_map(truth: np.ndarray, prediction: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """(H, W) uint8, indices into `ERRORS`; confidence from 0 to 1."""
    wrong = 2 + np.searchsorted(EDGES, confidence, side="right")
    errors: np.ndarray = np.where(truth == 255, IGNORED, np.where(truth == prediction, RIGHT, wrong)).astype(np.uint8)
    return errors


def draw(
    image: np.ndarray,
    truth: np.ndarray,
    prediction: np.ndarray,
    confidence: np.ndarray,
    palette: Sequence[Sequence[int]],
) -> Tuple[bytes, ...]:
    """Files of image (WebP), truth, prediction and errors (PNG with a palette), shrunk where they are large.

    Parameters
    ----------
    image : (H, W, 3) uint8 RGB
        The maps may have another size; all get the image's.
    """
    factor = min(1.0, SIDE / max(image.shape[:2]))
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    photo = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if factor < 1 else image
    _, encoded = cv2.imencode(".webp", np.ascontiguousarray(photo[..., ::-1]), [cv2.IMWRITE_WEBP_QUALITY, QUALITY])
    errors = error_map(truth, prediction, confidence)
    colours = [*palette, *[(0, 0, 0)] * (256 - len(palette))]
    maps = [(truth, colours), (prediction, colours), (errors, ERRORS)]
    small = [(cv2.resize(m, size, interpolation=cv2.INTER_NEAREST), c) for m, c in maps]
    return (encoded.tobytes(), *(_indexed(picture, table) for picture, table in small))


def _indexed(picture: np.ndarray, palette: Sequence[Sequence[int]]) -> bytes:
    image, file = Image.fromarray(picture), io.BytesIO()
    image.putpalette([value for colour in palette for value in colour])
    image.save(file, "PNG", optimize=False)
    return file.getvalue()
