"""Labels of a data set, or predictions, as annotations of other tools."""

import contextlib
import os
import unicodedata
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np

from ..config.schema import MAX_PIXELS
from ..data import IGNORE, Dataset
from ..data.files import upright
from ..data.masks import read_mask
from ..data.workers import check_workers, in_order
from ..errors import MXNetSegError
from ..optional import check_installed
from ..progress import progress_bar
from ..saving import whole_folder, write_file
from .describe import FORMATS, How, Labelled, as_json, coco_file
from .reading import Images, image_header, listed, turned_size

__all__ = ["export", "labels_of", "predictions_in"]

FEW = 32  # images: fewer are not worth starting workers for
LABEL = "_label"  # what `predict` ends the names of class maps with

Labels = Tuple[Callable[[int], np.ndarray], List[Labelled]]


class _Describe:
    """Task of a worker: read a label map, and say it in a format."""

    def __init__(self, kind: str, read: Callable[[int], np.ndarray], entries: List[Labelled], how: How):
        self.kind = kind
        self.read = read
        self.entries = entries
        self.how = how

    def name(self, number: int) -> str:
        return self.entries[number].name

    def __call__(self, number: int) -> Dict[str, Any]:
        return FORMATS[self.kind][0](self.entries[number], self.read(number), self.how)


def export(
    kind: str,
    labels: Labels,
    classes: Sequence[str],
    palette: Sequence[Tuple[int, int, int]],
    out: Union[str, Path],
    *,
    name: str = "annotations",
    tolerance: float = 0.0,
    polygons: bool = False,
    workers: int = 0,
    progress: bool = True,
) -> int:
    """Write annotations to `out`, a folder that must be new or empty, and appears whole or not at all.

    What is to be ignored is in none of them, so it comes back where they are converted with the rest ignored.

    Parameters
    ----------
    kind : str
        coco: <name>.json, an object with run lengths for every class of an image. labelme, geojson: a file for every
        image, a polygon for every region. All are exact where `tolerance` is 0.
    labels : (callable, list of Labelled)
        Of `labels_of` or `predictions_in`.
    tolerance : float
        Pixels by which polygons may be off, for fewer corners.
    polygons : bool
        coco: an object with a polygon for every region instead.

    Returns
    -------
    int
        How many objects were written.

    Raises
    ------
    MXNetSegError
        Labels that can't be read, a folder that is not empty, pycocotools is needed and not installed.
    """
    check_workers(workers)
    if kind == "coco" and not polygons:
        check_installed("pycocotools", "writing COCO's run lengths")
    read, entries = labels
    out = Path(out)
    common = os.path.commonpath([entry.image.parent for entry in entries])
    how = How(list(classes), list(palette), out.resolve(), Path(common), tolerance, polygons)
    found: List[Dict[str, Any]] = []
    objects = 0
    with whole_folder(out) as folder:
        results = in_order(_Describe(kind, read, entries, how), range(len(entries)), workers if entries[FEW:] else 0)
        bar = progress_bar(total=len(entries), desc=kind, unit="img", shown=progress)
        with bar, contextlib.closing(results):
            for entry, content in zip(entries, results):
                objects += len(content[FORMATS[kind][1]])
                if kind == "coco":
                    found.append(content)
                else:
                    ending = "json" if kind == "labelme" else kind
                    write_file(folder / f"{entry.name}.{ending}", as_json(content), sync=False)
                bar.update()
        if kind == "coco":
            write_file(folder / f"{name}.json", as_json(coco_file(found, classes)))
    return objects


def labels_of(dataset: Dataset) -> Labels:
    """The labels of a split, for `export`.

    Raises
    ------
    MXNetSegError
        The split was opened without them.
    """
    dataset.masks()
    return dataset.label, [
        Labelled(name, image, dataset.reading) for name, image in zip(dataset.names, dataset.image_paths)
    ]


def predictions_in(
    folder: Union[str, Path], images: Union[str, Path], classes: Sequence[str], max_pixels: int = MAX_PIXELS
) -> Labels:
    """Class maps that were predicted, for `export`: <name>_label.png below a folder, or all its PNGs if none is so.

    Parameters
    ----------
    images : path
        The folder of the images that they were predicted for.
    max_pixels : int
        Larger ones are refused.

    Raises
    ------
    MXNetSegError
        There are none, or one whose image is not there.
    """
    folder, pool = Path(folder), Images(Path(images))
    if not folder.is_dir():
        raise MXNetSegError(f"--predictions {folder}: no such folder")
    maps = sorted(folder.rglob("*.png"))
    maps = [path for path in maps if path.stem.endswith(LABEL)] or maps
    entries, missing = [], []
    for path in maps:
        name = path.relative_to(folder).with_suffix("").as_posix()
        name = name[: -len(LABEL)] if name.endswith(LABEL) else name
        # `predict` keeps the ending where stems are the same
        image = _image(name, pool.named.get(unicodedata.normalize("NFC", Path(name).name), []), pool.folder)
        if image is None:
            missing.append(path)
        else:
            entries.append(Labelled(name, image))
    if missing or not maps:
        what = f"{len(missing)} of {len(maps)} have no image below {pool.folder}: {listed(missing, 3)}"
        raise MXNetSegError(f"--predictions {folder}: {what if maps else 'no PNGs, which class maps are, are in it'}")
    return _Predicted(maps, entries, len(classes), max_pixels), entries


class _Predicted:
    """Reads class maps; it has to pickle, for the workers."""

    def __init__(self, maps: List[Path], entries: List[Labelled], classes: int, max_pixels: int):
        self.max_pixels = max_pixels
        self.maps = maps
        self.entries = entries
        self.classes = classes

    def __call__(self, number: int) -> np.ndarray:
        path, image = self.maps[number], self.entries[number].image
        values = read_mask(path, max_pixels=self.max_pixels)
        wrong = np.unique(values[(values >= self.classes) & (values != IGNORE)])
        if len(wrong):
            raise MXNetSegError(
                f"{path}: values {listed(wrong)} are none of the {self.classes} classes; is it a class map of this "
                "data set, or a picture?"
            )
        header = image_header(image, str(image), self.max_pixels)
        size = turned_size(header)  # as `predict` sees it
        if values.shape == (header.height, header.width) != size:  # as `eval` does, with data.exif: raw
            values = upright(values, header.orientation)
        if values.shape != size:
            raise MXNetSegError(
                f"{path} is {values.shape[1]}x{values.shape[0]}, but its image {image} is {size[1]}x{size[0]} "
                "(width x height)"
            )
        return values.astype(np.uint8)


def _image(name: str, candidates: List[Path], folder: Path) -> Optional[Path]:
    """The image at the same place, or else the only one of that stem."""
    places = {path: path.relative_to(folder) for path in candidates}
    same = [path for path, place in places.items() if name in (place.as_posix(), place.with_suffix("").as_posix())]
    fitting = same or candidates
    return fitting[0] if len(fitting) == 1 else None
