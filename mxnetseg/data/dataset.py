"""The images of a split and their labels, checked as they are read."""

import copy
import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Callable, List, NamedTuple, Optional, Tuple

import numpy as np

from ..errors import MXNetSegError
from .cache import Cache
from .colours import read_colours
from .files import READING, Reading, read_header_of, read_image
from .hints import some
from .masks import read_mask
from .spec import DatasetSpec

__all__ = ["IGNORE", "Dataset", "Sample"]

IGNORE = 255


class Sample(NamedTuple):
    """One image, its label (H, W) uint8 (class or IGNORE) or None, and its name.

    The image is (H, W, 3) uint8 RGB, or what the data set's `reading` makes of its files.
    """

    image: np.ndarray
    label: Optional[np.ndarray]
    name: str


class Dataset:
    """The pairs of one split; light to pickle, reads files only in `load`.

    Parameters
    ----------
    spec : DatasetSpec
    split : str
    names : list of str
        Stems, relative to the split's folder.
    image_paths, mask_paths : list of Path
        Parallel to `names`; `mask_paths` is None for an unlabelled split.
    reading : Reading
        How images are read.
    """

    def __init__(
        self,
        spec: DatasetSpec,
        split: str,
        names: List[str],
        image_paths: List[Path],
        mask_paths: Optional[List[Path]],
        reading: Reading = READING,
    ):
        self.spec = spec
        self.split = split
        self.names = names
        self.image_paths = image_paths
        self.mask_paths = mask_paths
        self.reading = reading
        self.cache: Optional[Cache] = None  # where decoded files are kept, if anywhere
        # value in the file -> class, or IGNORE; others are refused
        self._known = tuple(sorted({**dict.fromkeys(spec.ignore, IGNORE), **spec.raw_values()}.items()))

    def __len__(self) -> int:
        return len(self.names)

    def share(self, number: int, count: int) -> "Dataset":
        """Every `count`-th sample, from sample `number` on."""
        if count == 1:
            return self
        part = copy.copy(self)
        part.names, part.image_paths = self.names[number::count], self.image_paths[number::count]
        part.mask_paths = self.mask_paths and self.mask_paths[number::count]
        return part

    @property
    def classes(self) -> List[str]:
        """Class names in label order."""
        return list(self.spec.classes)

    @property
    def num_classes(self) -> int:
        """How many classes there are, without what is ignored."""
        return self.spec.num_classes

    @property
    def palette(self) -> np.ndarray:
        """(num_classes, 3) uint8, RGB."""
        palette: np.ndarray = np.array(self.spec.palette, np.uint8)
        return palette

    def load(self, index: int) -> Sample:
        """Read sample `index`.

        Raises
        ------
        MXNetSegError
            Unreadable files, image and mask of different sizes, label values that are neither a
            class nor ignored; the message names the files.
        """
        image = self._kept(self.image, self.image_paths[index], self.image_facts())
        if self.mask_paths is None:
            return Sample(image, None, self.names[index])
        label = self.label(index)
        if label.shape != image.shape[:2]:
            turned = self.turned(index, label)
            raise MXNetSegError(
                f"{self.image_paths[index]} is {_size(image)}, but its mask {self.mask_paths[index]} is {_size(label)} "
                f"(width x height); they have to be of one size{f'. {turned}' if turned else ''}"
            )
        return Sample(image, label, self.names[index])

    def image(self, path: Path) -> np.ndarray:
        """Read an image as this data set reads its own. Raises as `read_image`."""
        return read_image(path, self.reading)

    def mask(self, path: Path) -> np.ndarray:
        """(H, W) label values, or colours (0xRRGGBB), as they stand in the file of a mask. Raises as `read_mask`."""
        if self.spec.colours:
            return read_colours(path, self.reading.max_pixels)
        return read_mask(path, self.spec.mask_key, self.reading.max_pixels)

    def image_facts(self) -> str:
        """What a decoded image depends on besides its file."""
        return "" if self.reading == READING else repr(self.reading)

    def label(self, index: int) -> np.ndarray:
        """Read the label of sample `index` alone, (H, W) uint8.

        Raises
        ------
        MXNetSegError
            As `load` and `masks`.
        """
        return self._kept(self._label, self.masks()[index], self._facts() if self.cache else "")

    def masks(self) -> List[Path]:
        """`mask_paths`, for callers that need some.

        Raises
        ------
        MXNetSegError
            The data set was opened without them.
        """
        if self.mask_paths is None:
            raise MXNetSegError(
                f"split {self.split!r} of data set {self.spec.name} was opened without its masks; "
                "open it with labelled=True"
            )
        return self.mask_paths

    def digest(self) -> str:
        """SHA-256 of the files' names and sizes, hexadecimal; the same wherever the files lie.

        Raises
        ------
        MXNetSegError
            A file can't be read.
        """
        digest = hashlib.sha256()
        for name, *paths in zip(self.names, self.image_paths, *([self.mask_paths] if self.mask_paths else [])):
            try:
                facts = [(path.name, path.stat().st_size) for path in paths]
            except OSError as err:
                raise MXNetSegError(f"{err.filename}: can't be read ({err.strerror or err})") from err
            digest.update(repr((name, facts)).encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def _kept(self, read: Callable[[Path], np.ndarray], path: Path, facts: str = "") -> np.ndarray:
        return self.cache.get(path, lambda: read(path), facts) if self.cache else read(path)

    def _facts(self) -> str:
        """What a label depends on besides its file."""
        known = hashlib.sha256(repr(self._known).encode()).hexdigest()
        return f"{self.spec.mask_key} {'colours ' * self.spec.colours}{known}"

    def turned(self, index: int, label: np.ndarray) -> str:
        """What is to be said where the sizes would fit if image `index` were, or were not, turned."""
        header = read_header_of(self.image_paths[index], self.reading.max_pixels)
        if header.orientation < 5 or label.shape != (header.height, header.width)[:: 1 if self.reading.upright else -1]:
            return ""
        return f"EXIF says that the image is turned: set data.exif: {'raw' if self.reading.upright else 'upright'}"

    def _label(self, path: Path) -> np.ndarray:
        values = self.mask(path)
        table = _table(self._known, self.spec.colours)
        if values.min() < 0 or values.max() >= table.size:
            raise MXNetSegError(f"{path}: label values from {values.min()} to {values.max()}; {self.remedy()}")
        label: np.ndarray = table[values]
        if label.min() < 0:
            wrong, counts = np.unique(values[label < 0], return_counts=True)
            order = np.argsort(-counts, kind="stable")
            listed = some((f"{self.spec.value_text(int(wrong[i]))} ({counts[i]} pixels)" for i in order), 8)
            raise MXNetSegError(
                f"{path}: {self.spec.value_kind}s that are neither a class nor ignored: {listed}; {self.remedy()}"
            )
        return label.astype(np.uint8)

    def remedy(self) -> str:
        """What a message about a wrong label value ends with."""
        spec = self.spec
        if spec.colours:
            return (
                f"data.colors has {spec.values_text(spec.raw_values())}. Mend the mask, or name "
                "the colour in data.colors, and in data.ignore or data.label_map what it means, if it is no class"
            )
        return (
            f"{spec.name} has the classes {spec.values_text(spec.raw_values())} and ignores "
            f"{spec.values_text(spec.ignore)}. Mend the mask, or extend data.classes, data.ignore or data.label_map"
        )


@lru_cache(maxsize=4)
def _table(known: Tuple[Tuple[int, int], ...], colours: bool) -> np.ndarray:
    """Value in a mask -> class, IGNORE, or -1: refused; every process makes its own, so that a Dataset stays light."""
    table: np.ndarray = np.full(1 << (24 if colours else 16), -1, np.int16)
    for value, index in known:
        table[value] = index
    return table


def _size(array: np.ndarray) -> str:
    return f"{array.shape[1]}x{array.shape[0]}"
