"""Predictions as a client wants them: bytes and their type."""

import enum
import io
import re
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from .. import results, visual
from ..annotations.describe import as_json, feature
from ..annotations.outlines import regions
from ..errors import MXNetSegError
from ..names import lookup_all
from ..predictor import Predictor
from .refusal import Refusal
from .worker import Prediction

__all__ = ["Answer", "Encoded", "Wish", "choose", "chosen_classes", "encode", "facts_of_classes"]


class Answer(str, enum.Enum):
    """What can be had of a prediction. Those that `mxnetseg.results` has, too, are what it makes of them."""

    label = "label"
    color = "color"
    overlay = "overlay"
    panel = "panel"
    cutout = "cutout"
    polygons = "polygons"
    npz = "npz"
    certainty = "certainty"


PNG, JSON, GEOJSON, NPZ = "image/png", "application/json", "application/geo+json", "application/x-npz"
MEDIA = {Answer.polygons: JSON, Answer.npz: NPZ}  # the others are PNG

# what Accept says -> the answer, without "?answer=", and its type
ACCEPTED: Dict[str, Tuple[Answer, str]] = {
    PNG: (Answer.label, PNG),
    "image/*": (Answer.label, PNG),
    "*/*": (Answer.label, PNG),
    JSON: (Answer.polygons, JSON),
    GEOJSON: (Answer.polygons, GEOJSON),
    "application/*": (Answer.polygons, JSON),
    NPZ: (Answer.npz, NPZ),
    "application/octet-stream": (Answer.npz, NPZ),
}


class Wish(NamedTuple):
    """What a client wants, and how."""

    answer: Answer
    media_type: str = PNG
    classes: Optional[Sequence[int]] = None
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


def choose(answer: Optional[Answer], accept: Optional[str]) -> Tuple[Answer, str]:
    """The answer that a client wants, and its media type: what the query says, else what Accept likes best.

    Raises
    ------
    Refusal
        406, there is nothing that it accepts.
    """
    if answer is not None:
        return answer, MEDIA.get(answer, PNG)
    liked = []
    for place, one in enumerate((accept or "*/*").split(",")[:50]):
        kind, *options = (part.strip().lower() for part in one.split(";"))
        quality = next((option[2:] for option in options if option.startswith("q=")), "1")
        if re.fullmatch(r"[01](\.\d*)?", quality):
            liked.append((-float(quality), place, kind))
    refused = {kind for negative, _, kind in liked if not negative}
    for negative, _, kind in sorted(liked):
        if kind in ACCEPTED and negative and ACCEPTED[kind][1] not in refused:
            return ACCEPTED[kind]
    raise Refusal(406, "not_acceptable", f"Accept: there are {PNG}, {JSON} and {NPZ}; or say ?answer=")


def chosen_classes(names: Sequence[str], answer: Answer, predictor: Predictor) -> Optional[List[int]]:
    """The indices of the classes that are to be shown; None: all.

    Raises
    ------
    Refusal
        422, there is no such class; a cutout of all.
    """
    if not names:
        if answer is Answer.cutout:
            raise Refusal(422, "invalid_option", "a cutout shows some classes; name them: &classes=road&classes=car")
        return None
    known = {name: index for index, name in enumerate(predictor.classes)}
    try:
        return lookup_all("class", names, known)
    except MXNetSegError as err:
        raise Refusal(422, "invalid_option", f"classes: {err}") from err


def encode(wish: Wish, image: np.ndarray, prediction: Prediction, predictor: Predictor, until: float) -> Encoded:
    """The answer, made until time.monotonic() is `until`; that matters for those that don't take the same time always.

    Raises
    ------
    Refusal
        504, that takes longer.
    """
    special = _SPECIAL.get(wish.answer)
    if special is not None:
        return Encoded(special(wish, prediction, predictor, until), wish.media_type)
    look = results.Look(predictor.classes, predictor.palette, wish.classes, wish.opacity, wish.legend)
    result = results.Result(predictor.picture(image), prediction.class_map)
    return Encoded(results.encode(wish.answer.value, result, look), wish.media_type)


def facts_of_classes(predictor: Predictor) -> List[Dict[str, Any]]:
    """Index, name and colour of every class."""
    colours = ("#{:02x}{:02x}{:02x}".format(*colour) for colour in predictor.palette)
    return [
        {"index": index, "name": name, "color": colour}
        for index, (name, colour) in enumerate(zip(predictor.classes, colours))
    ]


def _certainty(wish: Wish, prediction: Prediction, predictor: Predictor, until: float) -> bytes:
    """What the page at / reads: red is the class, green the confidence in 255ths."""
    assert prediction.confidence is not None
    sure = np.rint(prediction.confidence * 255).astype(np.uint8)
    return visual.png(np.dstack([prediction.class_map, sure, np.zeros_like(sure)]))


def _polygons(wish: Wish, prediction: Prediction, predictor: Predictor, until: float) -> bytes:
    """GeoJSON, with the sizes of picture and classes. Maps of noise have millions of regions: hence `until`."""
    class_map = prediction.class_map
    counts = np.bincount(class_map.ravel(), minlength=len(predictor.classes))
    classes = facts_of_classes(predictor)
    features: List[Dict[str, Any]] = []
    for one in classes:
        one["pixels"] = int(counts[one["index"]])
        if not one["pixels"] or (wish.classes is not None and one["index"] not in wish.classes):
            continue
        for region in regions(class_map == one["index"], wish.tolerance, results.LEAST_IOU):
            if time.monotonic() > until:
                raise Refusal(504, "too_slow", "the outlines take too long; name classes, or send a smaller picture")
            if region.pixels >= wish.least:
                features.append(feature(region, one["name"], predictor.palette[one["index"]]))
    height, width = class_map.shape
    return as_json(
        {"type": "FeatureCollection", "width": width, "height": height, "classes": classes, "features": features}
    )


def _npz(wish: Wish, prediction: Prediction, predictor: Predictor, until: float) -> bytes:
    arrays = {"class_map": prediction.class_map, "palette": predictor.palette}
    if prediction.confidence is not None:
        arrays["confidence"] = prediction.confidence.astype(np.float16)
    file = io.BytesIO()
    np.savez_compressed(file, **{**arrays, "classes": np.array(predictor.classes)})
    return file.getvalue()


_SPECIAL: Dict[Answer, Callable[[Wish, Prediction, Predictor, float], bytes]] = {
    Answer.polygons: _polygons,
    Answer.npz: _npz,
    Answer.certainty: _certainty,
}
