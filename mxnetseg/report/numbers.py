"""All numbers of a report, as JSON holds them: scores from 0 to 1, None where there is nothing to divide by."""

from typing import Any, Callable, Dict, List, Optional

import numpy as np

from ..metrics import MIoUClasses
from .bootstrap import RESAMPLES, interval, resampled
from .components import size_names
from .rates import (
    RATES,
    by_class,
    calibration_error,
    mean,
    mean_iou,
    mean_ratio,
    pixel_accuracy,
    ratio,
    reliability,
)
from .results import BANDS, FINE, FORMAT, RELIABILITY, SHARES, Results

__all__ = ["bounded", "image_scores", "numbers_of"]

PAIRS = 50  # of classes that are taken for each other, listed


def numbers_of(results: Results) -> Dict[str, Any]:
    """What numbers.json holds.

    Keys: `format`, `about`, `classes`, `palette`; `scores`, with bounds of the middle 95 % of bootstrap samples over
    images; `per_class`, the same by class; `confusion` and `confused` (pairs, worst first); `boundary`, `bands`,
    `components`, `calibration`, `coverage`; `images`.
    """
    arrays = results.arrays
    miou_classes = results.miou_classes
    return {
        "format": FORMAT,
        "about": results.about,
        "resamples": RESAMPLES if len(results) > 1 else 0,
        "classes": results.classes,
        "palette": [list(colour) for colour in results.palette],
        "scores": _scores(arrays, miou_classes),
        "per_class": _per_class(results),
        "confusion": results.matrix.tolist(),
        "confused": _confused(results),
        "boundary": {"shares": list(SHARES)},
        "bands": _bands(arrays["bands"], miou_classes),
        "components": _components(arrays["components"]),
        "calibration": _calibration(arrays["confidence"]),
        "coverage": _coverage(arrays["confidence"].sum(0)),
        "images": image_scores(results),
    }


def image_scores(results: Results) -> List[Dict[str, Any]]:
    """Scores of each image, in order."""
    arrays = results.arrays
    counts, sureness = arrays["counts"], arrays["sureness"]
    pixels, iou = counts[..., 1].sum(-1), by_class(counts)["iou"]
    lost = counts[..., 1] + counts[..., 2] - 2 * counts[..., 0]  # pixels, missed and false ones
    columns = {
        "miou": mean_iou(counts, results.miou_classes),
        "pa": pixel_accuracy(counts),
        "boundary_iou": mean_ratio(arrays["boundary"][:, 0]),
        "confidence": ratio(sureness[:, 0], pixels),
        "ece": calibration_error(arrays["reliability"]),
        "sure_and_wrong": ratio(sureness[:, 3], pixels),
    }
    rows = []
    for number, name in enumerate(results.names):
        seen = np.flatnonzero(counts[number, :, 1:].any(-1))
        worst = int(seen[lost[number, seen].argmax()]) if lost[number].any() else None
        row: Dict[str, Any] = {"name": name, **{key: _number(values[number]) for key, values in columns.items()}}
        row.update(pixels=int(pixels[number]), worst_class=worst)
        row["classes"] = {int(c): [_number(iou[number, c]), int(lost[number, c])] for c in seen}
        rows.append(row)
    return rows


def _scores(arrays: Dict[str, np.ndarray], miou_classes: MIoUClasses) -> Dict[str, Any]:
    wanted: List[Any] = [
        ("miou", "counts", lambda counts: mean_iou(counts, miou_classes)),
        ("pa", "counts", pixel_accuracy),
        ("macc", "counts", lambda counts: mean(by_class(counts)["accuracy"])),
        ("mdice", "counts", lambda counts: mean(by_class(counts)["dice"])),
        ("boundary_iou", "boundary", lambda counts: mean_ratio(counts[..., 0, :, :])),
        ("boundary_iou_fine", "boundary", lambda counts: mean_ratio(counts[..., 1, :, :])),
        ("ece", "reliability", calibration_error),
    ]
    return {name: bounded(arrays[array], score)[0] for name, array, score in wanted}


def bounded(counts: np.ndarray, score: Callable[[np.ndarray], np.ndarray]) -> List[Dict[str, Optional[float]]]:
    """A score of all images, or a row of them, with the bounds of its bootstrap samples; none of a single image."""
    values = np.atleast_1d(score(counts.sum(0)))
    if len(counts) > 1:
        low, high = (np.atleast_1d(bound) for bound in interval(score(resampled(counts))))
    else:
        low = high = np.full(values.shape, np.nan)
    return [dict(value=_number(v), low=_number(a), high=_number(b)) for v, a, b in zip(values, low, high)]


def _per_class(results: Results) -> List[Dict[str, Any]]:
    arrays = results.arrays
    total = arrays["counts"].sum(0)

    def rate(name: str) -> Callable[[np.ndarray], np.ndarray]:
        return lambda counts: by_class(counts)[name]

    columns = {name: bounded(arrays["counts"], rate(name)) for name in RATES}
    for place, name in enumerate(("boundary_iou", "boundary_iou_fine")):
        columns[name] = bounded(arrays["boundary"][:, place], lambda counts: ratio(counts[..., 0], counts[..., 1]))
    errors = calibration_error(reliability(arrays["confidence"]))
    confidence = ratio(arrays["confidence"][..., 2].sum(1), arrays["confidence"][..., 0].sum(1))
    return [
        {
            "name": name,
            "pixels": int(total[index, 1]),
            "predicted": int(total[index, 2]),
            "images": int((arrays["counts"][:, index, 1] > 0).sum()),
            **{key: column[index] for key, column in columns.items()},
            "ece": _number(errors[index]),
            "confidence": _number(confidence[index]),
        }
        for index, name in enumerate(results.classes)
    ]


def _confused(results: Results) -> List[Dict[str, Any]]:
    """Pairs of classes, those that cost most pixels first."""
    matrix = results.matrix
    wrong = np.where(np.eye(len(matrix), dtype=bool), 0, matrix)
    order = np.argsort(-wrong, axis=None, kind="stable")[:PAIRS]
    pairs = [divmod(int(place), len(matrix)) for place in order]
    return [
        dict(truth=t, prediction=p, pixels=int(wrong[t, p]), share=_number(ratio(wrong[t, p], matrix[t].sum())))
        for t, p in pairs
        if wrong[t, p]
    ]


def _bands(rings: np.ndarray, miou_classes: MIoUClasses) -> Dict[str, Any]:
    """Pixels up to so many from the truth's borders, and last all of them."""
    counts = rings.cumsum(0)
    shares = ratio(counts[..., 1].sum(-1), counts[-1, :, 1].sum())
    return {
        "widths": [*BANDS, None],
        "miou": _list(mean_iou(counts, miou_classes)),
        "pa": _list(pixel_accuracy(counts)),
        "pixels": _list(shares),
        "iou": [_list(column) for column in by_class(counts)["iou"].T],
    }


def _components(sums: np.ndarray) -> Dict[str, Any]:
    def table(part: np.ndarray) -> Dict[str, Any]:
        return {
            "components": [int(n) for n in part[:, 0]],
            "siou": _list(ratio(part[:, 1], part[:, 0])),
            "found": _list(ratio(part[:, 2], part[:, 0])),
            "false": [int(n) for n in part[:, 3]],
        }

    return {"sides": size_names(), **table(sums.sum(0)), "per_class": [table(part) for part in sums]}


def _calibration(fine: np.ndarray) -> Dict[str, Any]:
    def table(bins: np.ndarray) -> Dict[str, Any]:
        pixels, right, confidence = bins.T
        return {
            "pixels": [int(n) for n in pixels],
            "accuracy": _list(ratio(right, pixels)),
            "confidence": _list(ratio(confidence, pixels)),
            "ece": _number(calibration_error(bins)),
        }

    bins = reliability(fine)
    edges = [place / RELIABILITY for place in range(RELIABILITY + 1)]
    return {"edges": edges, **table(bins.sum(0)), "per_class": [table(each) for each in bins]}


def _coverage(fine: np.ndarray) -> Dict[str, Any]:
    """By threshold: the share of pixels whose confidence is as high or higher, and their accuracy."""
    above = fine[::-1].cumsum(0)[::-1]
    return {
        "confidence": [place / FINE for place in range(FINE)],
        "pixels": _list(ratio(above[:, 0], above[0, 0])),
        "accuracy": _list(ratio(above[:, 1], above[:, 0])),
    }


def _number(value: Any) -> Optional[float]:
    return None if np.isnan(value) else float(value)


def _list(values: np.ndarray) -> List[Optional[float]]:
    return [_number(value) for value in values]
