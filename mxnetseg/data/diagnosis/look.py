"""What reading one image and its mask tells; a task for data workers."""

import hashlib
import os
from pathlib import Path
from typing import Dict, NamedTuple, Optional, Tuple

import cv2
import numpy as np

from ...errors import MXNetSegError
from ...visual import rgb
from ..colours import palette_of
from ..dataset import Dataset
from ..files import read_header_of
from .finding import Finding

__all__ = ["Look", "Looker", "SIDE"]

SIDE = 16  # of a thumbnail
FLAT = 2.0  # grey levels: a picture that varies less has nothing that could be compared


class Look(NamedTuple):
    """What one pair turned out to be."""

    place: int  # in the split
    size: Optional[Tuple[int, int]]  # of the image; None if it can't be read
    values: Dict[int, int]  # value in the mask -> pixels
    digest: bytes  # of the decoded picture; empty where it is of one colour, as blank tiles are
    thumbnail: Optional[np.ndarray]  # (SIDE * SIDE,) float32 of mean 0 and length 1; None where it is flat
    bright: float  # mean of the image, 0..255
    turned: bool  # by EXIF, and the sizes don't tell whether the mask is as well
    problems: Tuple[Finding, ...]
    palette: Dict[int, int]  # value in a palette mask -> its colour; empty where colours count


class Looker:
    """Reads pairs by their index; `masks_only` leaves images out."""

    def __init__(self, dataset: Dataset, masks_only: bool = False):
        self.dataset = dataset
        self.masks_only = masks_only

    def name(self, index: int) -> str:
        return f"{self.dataset.split}/{self.dataset.names[index]}"

    def __call__(self, index: int) -> Look:
        path = self.dataset.image_paths[index]
        mask_path = self.dataset.mask_paths[index] if self.dataset.mask_paths is not None else None
        image = mask = None
        problems = []
        if not self.masks_only:
            try:
                image = self.dataset.image(path)
            except MXNetSegError as err:
                problems.append(Finding("unreadable", True, str(err), files=(str(path),)))
        if mask_path is not None and not self.masks_only and _same_file(path, mask_path):
            problems.append(_is_the_image(path, mask_path))
        elif mask_path is not None:
            try:
                mask = self.dataset.mask(mask_path)
            except MXNetSegError as err:
                problems.append(Finding("unreadable", True, str(err), files=(str(mask_path),)))
        if image is not None and mask is not None and mask_path is not None:
            if mask.shape != image.shape[:2]:
                problems.append(_sizes(path, image, mask_path, mask, self.dataset.turned(index, mask)))
            elif _equal(image, mask):
                problems.append(_is_the_image(path, mask_path))
        values = {} if mask is None else _counts(mask)
        colours = [] if mask_path is None or self.dataset.spec.colours else palette_of(mask_path)
        palette = {value: colours[value] for value in values if value < len(colours)}
        if image is None:
            return Look(index, None, values, b"", None, 0.0, False, tuple(problems), palette)
        constant = bool((image == image[0, 0]).all())
        digest = b"" if constant else _digest(image)
        small = cv2.resize(cv2.cvtColor(rgb(image), cv2.COLOR_RGB2GRAY), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        grey = small.astype(np.float32).ravel()
        bright = float(grey.mean())
        grey -= grey.mean()
        length = float(np.linalg.norm(grey))
        thumbnail = grey / length if length > FLAT * SIDE else None
        turned = mask is not None and self._turned(path, image)
        size = (image.shape[0], image.shape[1])
        return Look(index, size, values, digest, thumbnail, bright, turned, tuple(problems), palette)

    def _turned(self, path: Path, image: np.ndarray) -> bool:
        try:
            orientation = read_header_of(path, self.dataset.reading.max_pixels).orientation
        except MXNetSegError:  # an array
            return False
        return orientation in (2, 3, 4) or (orientation >= 5 and image.shape[0] == image.shape[1])


def _same_file(path: Path, other: Path) -> bool:
    try:
        return os.path.samefile(path, other)
    except OSError:
        return False


def _equal(image: np.ndarray, mask: np.ndarray) -> bool:
    """Whether the mask holds the grey levels of a picture; one of two values may be drawn like its labels."""
    grey = image[..., 0]
    return bool(np.array_equal(grey, mask) and (image == image[..., :1]).all()) and len(np.unique(grey)) > 2


def _is_the_image(path: Path, mask_path: Path) -> Finding:
    return Finding(
        "mask_is_image",
        True,
        f"{mask_path}: the mask is the image itself ({path})",
        "a mask holds the index of a class in each pixel; name the masks' folder and suffix with data.masks and "
        "data.mask_suffix",
        (str(path), str(mask_path)),
    )


def _sizes(path: Path, image: np.ndarray, mask_path: Path, mask: np.ndarray, remedy: str) -> Finding:
    what = (
        f"{path} is {_size(image)}, but its mask {mask_path} is {_size(mask)} (width x height); they have to be of one "
        "size"
    )
    files = (str(path), str(mask_path))
    if mask.shape == image.shape[1::-1]:
        otherwise = "width and height are swapped: turn one of the two by 90 degrees, or mend how it was saved"
        return Finding("sizes_swapped", True, what, remedy or otherwise, files)
    return Finding("sizes", True, what, "", files)


def _digest(image: np.ndarray) -> bytes:
    digest = hashlib.blake2b(repr(image.shape).encode(), digest_size=16)
    digest.update(image.tobytes())
    return digest.digest()


def _counts(mask: np.ndarray) -> Dict[int, int]:
    if mask.dtype == np.uint8:
        counts = np.bincount(mask.ravel(), minlength=256)
        return {int(value): int(counts[value]) for value in np.flatnonzero(counts)}
    values, counts = np.unique(mask, return_counts=True)
    return {int(value): int(count) for value, count in zip(values, counts)}


def _size(array: np.ndarray) -> str:
    return f"{array.shape[1]}x{array.shape[0]}"
