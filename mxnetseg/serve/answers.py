"""Predictions as a client wants them: bytes and their type."""

import enum
import io
import json
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional

import cv2
import numpy as np

from .. import visual
from ..annotations.outlines import Region, regions
from ..predictor import Predictor
from .refusal import Refusal
from .worker import Prediction

__all__ = ["Answer", "Encoded", "Wish", "choose", "encode", "facts_of_classes"]

PNG, JSON, NPZ = "image/png", "application/json", "application/x-npz"


class Answer(str, enum.Enum):
    """What can be had of a prediction."""

    label = "label"
    overlay = "overlay"
    polygons = "polygons"
    npz = "npz"
    certainty = "certainty"


# what Accept says -> the answer, without "?answer="
ACCEPTED = {
    PNG: Answer.label,
    "image/*": Answer.label,
    "*/*": Answer.label,
    JSON: Answer.polygons,
    "application/*": Answer.polygons,
    NPZ: Answer.npz,
    "application/octet-stream": Answer.npz,
}


class Wish(NamedTuple):
    """What a client wants, and how."""

    answer: Answer
    opacity: float = visual.OPACITY
    legend: bool = False
    tolerance: float = 0.0
    least: int = 1
    confidence: bool = False

    @property
    def confident(self) -> bool:
        """Whether the network must say how sure it is."""
        return self.answer is Answer.certainty or (self.answer is Answer.npz and self.confidence)


class Encoded(NamedTuple):
    """The body of an answer."""

    content: bytes
    media_type: str


def choose(answer: Optional[Answer], accept: Optional[str]) -> Answer:
    """The answer that a client wants: what the query says, else what Accept likes best.

    Raises
    ------
    Refusal
        406, there is nothing that it accepts.
    """
    if answer is not None:
        return answer
    liked = []
    for place, one in enumerate((accept or "*/*").split(",")[:50]):
        kind, *options = (part.strip().lower() for part in one.split(";"))
        quality = next((option[2:] for option in options if option.startswith("q=")), "1")
        try:
            liked.append((-float(quality), place, kind))
        except ValueError:
            continue
    for negative, _, kind in sorted(liked):
        if kind in ACCEPTED and negative < 0:
            return ACCEPTED[kind]
    raise Refusal(406, "not_acceptable", f"Accept: there are {PNG}, {JSON} and {NPZ}; or say ?answer=")


def encode(wish: Wish, image: np.ndarray, prediction: Prediction, predictor: Predictor, until: float) -> Encoded:
    """The answer, made until time.monotonic() is `until`.

    Raises
    ------
    Refusal
        504, that takes longer.
    """
    return _ENCODERS[wish.answer](wish, image, prediction, predictor, until)


def facts_of_classes(predictor: Predictor) -> List[Dict[str, Any]]:
    """Index, name and colour of every class."""
    colours = ("#{:02x}{:02x}{:02x}".format(*colour) for colour in predictor.palette)
    return [
        {"index": index, "name": name, "color": colour}
        for index, (name, colour) in enumerate(zip(predictor.classes, colours))
    ]


def _label(wish: Wish, image: np.ndarray, prediction: Prediction, predictor: Predictor, until: float) -> Encoded:
    return _png(prediction.class_map)


def _overlay(wish: Wish, image: np.ndarray, prediction: Prediction, predictor: Predictor, until: float) -> Encoded:
    picture = visual.overlay(predictor.picture(image), prediction.class_map, predictor.palette, wish.opacity)
    return _png(visual.with_legend(picture, predictor.classes, predictor.palette) if wish.legend else picture)


def _certainty(wish: Wish, image: np.ndarray, prediction: Prediction, predictor: Predictor, until: float) -> Encoded:
    """What the page at / reads: red is the class, green the confidence in 255ths."""
    assert prediction.confidence is not None
    sure = np.rint(prediction.confidence * 255).astype(np.uint8)
    return _png(np.dstack([prediction.class_map, sure, np.zeros_like(sure)]))


def _polygons(wish: Wish, image: np.ndarray, prediction: Prediction, predictor: Predictor, until: float) -> Encoded:
    class_map = prediction.class_map
    counts = np.bincount(class_map.ravel(), minlength=len(predictor.classes))
    classes = facts_of_classes(predictor)
    found: List[Dict[str, Any]] = []
    for one in classes:
        one["pixels"] = int(counts[one["index"]])
        if not one["pixels"]:
            continue
        for region in regions(class_map == one["index"], wish.tolerance):
            if time.monotonic() > until:
                raise Refusal(504, "too_slow", "the outlines take too long; name a tolerance and least pixels")
            if region.pixels >= wish.least:
                found.append({"class": one["index"], "pixels": region.pixels, "polygon": _rings(region)})
    height, width = class_map.shape
    content = {"width": width, "height": height, "classes": classes, "regions": found}
    return Encoded(json.dumps(content, separators=(",", ":")).encode(), JSON)


def _rings(region: Region) -> List[List[List[int]]]:
    """Rings of corners [x, y]: the outer one first, then the holes."""
    return [np.rint(ring).astype(int).tolist() for ring in (region.outer, *region.holes)]


def _npz(wish: Wish, image: np.ndarray, prediction: Prediction, predictor: Predictor, until: float) -> Encoded:
    arrays = {"class_map": prediction.class_map, "palette": predictor.palette}
    if prediction.confidence is not None:
        arrays["confidence"] = prediction.confidence.astype(np.float16)
    file = io.BytesIO()
    np.savez_compressed(file, **{**arrays, "classes": np.array(predictor.classes)})
    return Encoded(file.getvalue(), NPZ)


def _png(pixels: np.ndarray) -> Encoded:
    """(H, W) or (H, W, 3) RGB, uint8."""
    ordered: np.ndarray = pixels if pixels.ndim == 2 else np.ascontiguousarray(pixels[..., ::-1])
    return Encoded(cv2.imencode(".png", ordered)[1].tobytes(), PNG)


_ENCODERS: Dict[Answer, Callable[[Wish, np.ndarray, Prediction, Predictor, float], Encoded]] = {
    Answer.label: _label,
    Answer.overlay: _overlay,
    Answer.polygons: _polygons,
    Answer.npz: _npz,
    Answer.certainty: _certainty,
}
