"""Two or three networks on the same images: differences by score, class and image, and whether they may be chance."""

from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence, Tuple

import numpy as np

from ..errors import MXNetSegError
from .bootstrap import RESAMPLES, adjusted, interval, paired_p, resampled
from .numbers import image_scores
from .rates import by_class, calibration_error, mean, mean_iou, mean_ratio, pixel_accuracy
from .results import Results

__all__ = ["LETTERS", "check_comparable", "comparison"]

LETTERS = "ABC"
SAME = ("data", "split", "digest")  # of `about`
Score = Callable[[np.ndarray], np.ndarray]


def check_comparable(reports: Sequence[Tuple[Path, Results]]) -> None:
    """Raise MXNetSegError unless all reports are of the same images and classes."""
    first, one = reports[0]
    for folder, other in reports[1:]:
        if one.classes != other.classes:
            differing = [pair for pair in zip(one.classes, other.classes) if pair[0] != pair[1]]
            what = f"{differing[0][0]!r} and {differing[0][1]!r}" if differing else "more in one of them"
            counts = f"{len(one.classes)} and {len(other.classes)}"
            raise MXNetSegError(
                f"{first} and {folder} can't be compared: they have other classes ({counts}: {what}); score both "
                "networks on one data set"
            )
        for key in SAME:
            if one.about.get(key) != other.about.get(key):
                word = "the files of their data" if key == "digest" else f"their {key}"
                raise MXNetSegError(
                    f"{first} and {folder} can't be compared: they differ in {word} ({one.about.get(key)} and "
                    f"{other.about.get(key)}); score both networks on the same images"
                )
        if one.names != other.names:
            raise MXNetSegError(
                f"{first} and {folder} can't be compared: {len(one)} and {len(other)} images, in another order or by "
                "other names; score both networks on the same images"
            )
        if (one.arrays["counts"][..., 1] != other.arrays["counts"][..., 1]).any():
            raise MXNetSegError(
                f"{first} and {folder} can't be compared: the labels of their images differ; make both reports anew"
            )


def comparison(reports: Sequence[Tuple[Path, Results]]) -> Dict[str, Any]:
    """What compare.json holds: the first report against each of the others, a difference above 0 is for the better.

    Keys: `networks`; `differs`, what of their facts and recipes; `scores` and `per_class`: `values`, and for each of
    the others in `differences` the difference, with the middle 95 % of its bootstrap samples and `p` of a paired
    permutation test over images (of classes by Holm's method); `images`; `by_image`: mean difference of the
    images' mIoU, its `p`, and how many got better, worse or stayed.
    """
    folders, results = zip(*reports)
    one: Results = results[0]
    how = one.miou_classes
    wanted: List[Tuple[str, str, Score]] = [
        ("mIoU", "counts", lambda counts: mean_iou(counts, how)),
        ("Pixels right", "counts", pixel_accuracy),
        ("Mean accuracy", "counts", lambda counts: mean(by_class(counts)["accuracy"])),
        ("Mean Dice", "counts", lambda counts: mean(by_class(counts)["dice"])),
        ("Boundary IoU", "boundary", lambda counts: mean_ratio(counts[..., 0, :, :])),
        ("1 - ECE", "reliability", lambda bins: 1 - calibration_error(bins)),
    ]
    scores = [{"name": name, **_compared(results, array, score)} for name, array, score in wanted]
    by_iou = _compared(results, "counts", lambda counts: by_class(counts)["iou"], several=True)
    rows = [image_scores(each) for each in results]
    return {
        "networks": [
            {"letter": letter, "folder": str(folder), **_facts(each)}
            for letter, folder, each in zip(LETTERS, folders, results)
        ],
        "resamples": RESAMPLES,
        "classes": one.classes,
        "palette": [list(colour) for colour in one.palette],
        "differs": _differs(results),
        "scores": scores,
        "per_class": [
            {
                "name": name,
                "values": [values[index] for values in by_iou["values"]],
                "differences": [column[index] for column in by_iou["differences"]],
            }
            for index, name in enumerate(one.classes)
        ],
        "by_image": [_by_image(rows[0], other) for other in rows[1:]],
        "images": [
            {
                "name": each[0]["name"],
                "miou": [row["miou"] for row in each],
                "differences": [_minus(row["miou"], each[0]["miou"]) for row in each[1:]],
                "classes": sorted({index for row in each for index in row["classes"]}),
            }
            for each in zip(*rows)
        ],
    }


def _compared(results: Sequence[Results], array: str, score: Score, several: bool = False) -> Dict[str, Any]:
    """Values and differences of a score, or of `several` at once, whose p-values are then adjusted."""
    counts = [each.arrays[array] for each in results]
    values = [np.atleast_1d(score(each.sum(0))) for each in counts]
    first = score(resampled(counts[0]))
    differences = []
    for each, value in zip(counts[1:], values[1:]):
        low, high = (np.atleast_1d(bound) for bound in interval(score(resampled(each)) - first))
        p = np.atleast_1d(paired_p(counts[0], each, score))
        columns = zip(value - values[0], low, high, adjusted(p))
        found = [dict(zip(("value", "low", "high", "p"), map(_number, column))) for column in columns]
        differences.append(found if several else found[0])
    numbers = [[_number(v) for v in value] for value in values]
    return {"values": numbers if several else [value[0] for value in numbers], "differences": differences}


def _by_image(one: List[Dict[str, Any]], other: List[Dict[str, Any]]) -> Dict[str, Any]:
    pairs = [(a["miou"], b["miou"]) for a, b in zip(one, other) if a["miou"] is not None and b["miou"] is not None]
    if not pairs:
        return {"value": None, "p": None, "better": 0, "worse": 0, "same": 0}
    before, after = (np.array(column)[:, None] for column in zip(*pairs))
    change = (after - before).ravel()
    p = paired_p(before, after, lambda sums: sums[..., 0] / len(pairs))
    better, worse = int((change > 0).sum()), int((change < 0).sum())
    return {
        "value": float(change.mean()),
        "p": float(p),
        "better": better,
        "worse": worse,
        "same": len(pairs) - better - worse,
    }


def _facts(results: Results) -> Dict[str, Any]:
    keys = ("checkpoint", "sha256", "network", "dtype", "parameters", "flops", "flops_at", "eval", "seconds")
    return {key: results.about.get(key) for key in keys}


def _differs(results: Sequence[Results]) -> List[Dict[str, Any]]:
    """Facts that are not the same in all: of network, evaluation and recipe, by their dotted names."""
    kept = ("checkpoint", "dtype", "parameters", "flops", "iteration", "network", "eval", "recipe")
    flat = [_flat({key: each.about.get(key) for key in kept}) for each in results]
    names = list(dict.fromkeys(name for facts in flat for name in facts))
    rows = [{"name": name, "values": [facts.get(name) for facts in flat]} for name in names]
    return [row for row in rows if any(value != row["values"][0] for value in row["values"])]


def _flat(facts: Any, name: str = "") -> Dict[str, str]:
    if not isinstance(facts, dict):
        return {name: "" if facts is None else str(facts)}
    found: Dict[str, str] = {}
    for key, value in facts.items():
        found.update(_flat(value, f"{name}.{key}" if name else str(key)))
    return found


def _minus(one: Any, other: Any) -> Any:
    return None if one is None or other is None else one - other


def _number(value: Any) -> Any:
    return None if np.isnan(value) else float(value)
