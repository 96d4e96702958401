"""What was counted on a split, image by image: all that a report's numbers are made of; and its form on disk."""

import contextlib
import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple, TypeVar

import numpy as np

from ..commands import typed
from ..errors import MXNetSegError
from ..metrics import ConfusionMatrix, MIoUClasses, Scores
from ..saving import explained
from .components import FIELDS, SIDES

__all__ = [
    "ARRAYS",
    "BANDS",
    "FINE",
    "FORMAT",
    "NUMBERS",
    "PICTURES",
    "RELIABILITY",
    "SHARES",
    "SURE",
    "Results",
    "pack",
    "read_results",
]

FORMAT = 1
NUMBERS, ARRAYS, PICTURES = "numbers.json", "arrays.npz", "pictures.npz"
SHARES = (0.02, 0.005)  # of the diagonal, for Boundary IoU: the authors' choice for most data, and for Cityscapes
BANDS = (1, 2, 3, 5, 8, 12, 20, 32, 64)  # pixels on either side of a border
FINE, RELIABILITY = 150, 15  # bins of the confidence; as many of the fine ones make up one of the others
SURE = 0.9  # confidence from which a mistake counts as a confident one

Some = TypeVar("Some")
Pictures = Tuple[bytes, ...]  # files: image, truth, prediction, errors

SHAPES = {  # N images, C classes
    "counts": ("N", "C", 3),  # pixels: right, in the truth, predicted
    "boundary": ("N", len(SHARES), "C", 2),  # pixels: intersection and union of the boundaries, by share
    "confusion": (None, 4),  # image, truth, prediction, pixels
    "bands": (len(BANDS) + 1, "C", 3),  # as counts, by ring around the truth's borders; the last: beyond
    "components": ("C", len(SIDES) + 1, len(FIELDS)),
    "confidence": ("C", FINE, 3),  # by predicted class and confidence: pixels, right ones, sum of their confidence
    "reliability": ("N", RELIABILITY, 3),  # the same by image, of all classes
    "sureness": (
        "N",
        4,
    ),  # sum of the confidence; of wrong pixels: how many, sum of their confidence, how many are sure
}
FRACTIONS = ("components", "confidence", "reliability", "sureness")  # sums among their columns
ABOUT: Dict[str, Any] = {  # types of facts that pages are made of
    **dict.fromkeys(("checkpoint", "sha256", "dtype", "data", "split", "digest"), str),
    **dict.fromkeys(("network", "eval", "versions", "trained_with", "recipe"), dict),
    **dict.fromkeys(("parameters", "flops", "iteration", "iterations"), int),
    **dict.fromkeys(("flops_at", "contexts"), list),
    "seconds": (int, float),
}


@dataclass
class Results:
    """What was counted, and what on.

    Attributes
    ----------
    names : list of str
        Of the images.
    classes : list of str
    palette : list of (int, int, int)
        RGB, one for each class.
    about : dict
        What was scored, for readers; `data` and `digest` say on what.
    arrays : dict of arrays
        `SHAPES` says which, and what is in them.
    pictures : dict
        Number of an image -> files of its pictures: image, truth, prediction, errors. Of the worst images, or of all.
    """

    names: List[str]
    classes: List[str]
    palette: List[Tuple[int, int, int]]
    about: Dict[str, Any]
    arrays: Dict[str, np.ndarray] = field(repr=False)
    pictures: Dict[int, Pictures] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def miou_classes(self) -> MIoUClasses:
        """As the evaluation settings say."""
        return "truth" if self.about.get("eval", {}).get("miou_classes") == "truth" else "seen"

    @property
    def scores(self) -> Scores:
        """As `mxnetseg.evaluate` gives them."""
        confusion = ConfusionMatrix(len(self.classes))
        confusion.matrix = self.matrix
        return confusion.scores(self.classes, self.miou_classes)

    @property
    def matrix(self) -> np.ndarray:
        """(C, C) int64, rows truth, columns prediction."""
        classes, entries = len(self.classes), self.arrays["confusion"]
        matrix: np.ndarray = np.zeros((classes, classes), np.int64)
        np.add.at(matrix, (entries[:, 1], entries[:, 2]), entries[:, 3])
        return matrix


def pack(results: Results) -> Dict[str, List[bytes]]:
    """The files that hold arrays and pictures; what else `read_results` needs is in numbers.json."""
    pictures = {f"{n}/{i}": np.frombuffer(f, np.uint8) for n, p in results.pictures.items() for i, f in enumerate(p)}
    arrays, packed = io.BytesIO(), io.BytesIO()
    np.savez_compressed(arrays, **results.arrays)
    np.savez(packed, **pictures)
    return {ARRAYS: [arrays.getvalue()], PICTURES: [packed.getvalue()]}


def read_results(folder: Path) -> Results:
    """What `eval --report` saved in a folder.

    Raises
    ------
    MXNetSegError
        There is none, or its files are damaged or of a newer version.
    """
    path = folder / NUMBERS
    if not path.is_file():
        how = typed("make one by `mxnetseg eval --report`")
        raise MXNetSegError(f"{folder} holds no report: {path} is not there; {how}")
    with _undamaged(path):
        numbers = json.loads(path.read_bytes())
        if _part(numbers, "format", int) > FORMAT:
            raise MXNetSegError(f"{path} is of a newer version (format {numbers['format']}); update mxnetseg")
        palette = _part(numbers, "palette", lambda colours: [(int(r), int(g), int(b)) for r, g, b in colours])
        names = _part(numbers, "images", lambda rows: [str(each["name"]) for each in rows])
        classes = _part(numbers, "classes", lambda names: [str(each) for each in names])
        about = _part(numbers, "about", lambda facts: dict(facts.items()))
        _check_about(about)
    with _undamaged(folder / ARRAYS), np.load(folder / ARRAYS, allow_pickle=False) as file:
        results = Results(names, classes, palette, about, {name: file[name] for name in SHAPES})
        _check(results)
    with _undamaged(folder / PICTURES), np.load(folder / PICTURES, allow_pickle=False) as file:
        files = {key: file[key].tobytes() for key in file.files}
        for key in files:
            if key.endswith("/0"):
                results.pictures[int(key[:-2])] = tuple(files[f"{key[:-2]}/{i}"] for i in range(4))
        if any(not 0 <= number < len(results) for number in results.pictures):
            raise ValueError("pictures of images that there aren't")
    return results


@contextlib.contextmanager
def _undamaged(path: Path) -> Iterator[None]:
    """A context in which whatever goes wrong is told with the file's name: damage leads to anything."""
    try:
        with explained(path, "read"):
            yield
    except MXNetSegError:
        raise
    except Exception as err:
        how = typed("make the report again by `mxnetseg eval --report`")
        raise MXNetSegError(f"{path} is damaged ({type(err).__name__}: {str(err)[:200]}); {how}") from err


def _part(numbers: Any, key: str, convert: Callable[[Any], Some]) -> Some:
    value = numbers[key]
    try:
        return convert(value)
    except Exception as err:
        raise ValueError(f"{key} is {str(value)[:80]}") from err


def _check_about(about: Dict[str, Any]) -> None:
    """Raise ValueError for a fact that is not of its type; those that are not known here are left alone."""
    for key, kind in ABOUT.items():
        value = about.get(key)
        if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
            raise ValueError(f"about.{key} is {str(value)[:80]!r}")
        if isinstance(value, (int, float)) and not 0 <= value < 1e18:
            raise ValueError(f"about.{key} is {value}")
    for key in ("contexts", "flops_at"):
        if not all(isinstance(each, (str, int)) for each in about.get(key) or ()):
            raise ValueError(f"about.{key} is {str(about[key])[:80]}")
    created = (about.get("versions") or {}).get("created", "")
    if not isinstance(created, str):
        raise ValueError(f"about.versions.created is {str(created)[:80]}")


def _check(results: Results) -> None:
    """Raise ValueError where arrays don't fit each other."""
    sizes = {"N": len(results.names), "C": len(results.classes)}
    if len(results.palette) != sizes["C"]:
        raise ValueError(f"{len(results.palette)} colours for {sizes['C']} classes")
    if any(not 0 <= value < 256 for colour in results.palette for value in colour):
        raise ValueError("palette holds what is no colour")
    for name, wanted in SHAPES.items():
        shape, array = tuple(sizes.get(str(side), side) for side in wanted), results.arrays[name]
        if array.ndim != len(shape) or any(b not in (None, a) for a, b in zip(array.shape, shape)):
            raise ValueError(f"{name} has shape {array.shape}")
        if array.dtype.kind not in ("uif" if name in FRACTIONS else "ui"):
            raise ValueError(f"{name} holds {array.dtype}")
        if not np.isfinite(array).all() or array.min(initial=0) < 0:
            raise ValueError(f"{name} holds what is no count")
    entries = results.arrays["confusion"]
    if (entries[:, :3] >= [max(sizes["N"], 1), sizes["C"], sizes["C"]]).any():
        raise ValueError("confusion names what there isn't")
