"""Results as TIFF files: tiles, compressed, with colours and the picture's georeference."""

import inspect
import json
import warnings
from pathlib import Path
from typing import Any, Callable, Dict, Iterator

import numpy as np

from ..predictor import Predictor
from ..saving import explained
from .georeference import taken_over
from .picture import HugePicture
from .store import Store
from .windows import CELL, Cell

__all__ = ["KINDS", "Overlay", "write_result"]

Overlay = Callable[[np.ndarray, np.ndarray], np.ndarray]  # RGB picture, class map -> picture

KINDS = ("label", "overlay", "confidence")
CLASSIC = 1 << 31  # bytes; larger results are BigTIFF files whatever they compress to


def write_result(
    kind: str, path: Path, store: Store, picture: HugePicture, predictor: Predictor, overlay: Overlay
) -> None:
    """Write one of `KINDS`, once all cells are in `store`.

    label: class indices with a colour map, 255 where the picture holds nothing; the names are in the description.
    confidence: the greatest probability, uint16, 65535 for 1. overlay: RGB, what the function `overlay` makes of the
    picture and its class map.

    Raises
    ------
    MXNetSegError
        The picture can't be read (any more).
    SaveError
        The disk is full, say.
    """
    import tifffile

    def draw(cell: Cell) -> np.ndarray:
        if kind == "label":
            return cell.label
        if kind == "confidence":
            assert cell.confidence is not None  # they were asked for
            return cell.confidence
        top, left = (index * CELL for index in cell.place)
        return overlay(predictor.picture(picture.read(top, left, *cell.label.shape)), cell.label)

    nodata = {"label": "255", "confidence": "0", "overlay": None}[kind]
    looks: Dict[str, Any] = {"photometric": "minisblack"}
    if kind == "label":
        colours = np.zeros((256, 3), np.uint16)
        colours[: len(predictor.palette)] = predictor.palette
        looks = {"photometric": "palette", "colormap": (colours * 257).T}
    elif kind == "overlay":
        looks = {"photometric": "rgb"}
    shape = (picture.height, picture.width) + ((3,) if kind == "overlay" else ())
    if "maxworkers" in inspect.signature(tifffile.TiffWriter.write).parameters:
        looks["maxworkers"] = 1  # several would have 256 MB of tiles wait for them
    tags = taken_over(picture.values, picture.order, nodata)
    with explained(path), warnings.catch_warnings(), tifffile.TiffWriter(path, bigtiff=True) as file:
        warnings.simplefilter("ignore")
        file.write(
            _tiles(store, picture, draw),
            shape=shape,
            dtype=np.uint16 if kind == "confidence" else np.uint8,
            tile=(CELL, CELL),
            compression="zlib",
            description=json.dumps({"classes": predictor.classes}) if kind == "label" else None,
            software="mxnetseg",
            metadata=None,
            extratags=tags,
            **looks,
        )


def _tiles(store: Store, picture: HugePicture, draw: Callable[[Cell], np.ndarray]) -> Iterator[np.ndarray]:
    for row in range(-(-picture.height // CELL)):
        for column in range(-(-picture.width // CELL)):
            drawn = draw(store.cell((row, column)))
            grow = [(0, CELL - side) for side in drawn.shape[:2]]
            yield np.pad(drawn, [*grow, (0, 0)][: drawn.ndim])
