"""A split of a data set on disk: images matched to masks by stem, labels checked as they are read."""

from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

import numpy as np

from ..config.schema import DataConfig
from ..errors import MXNetSegError
from ..names import near
from .files import read_image, read_mask
from .spec import IMAGES, DatasetSpec, get_spec

__all__ = ["IGNORE", "Dataset", "Sample", "open_dataset"]

IGNORE = 255


class Sample(NamedTuple):
    """One image (H, W, 3) uint8 RGB, its label (H, W) uint8 (class or IGNORE) or None, and its name."""

    image: np.ndarray
    label: Optional[np.ndarray]
    name: str


class Dataset:
    """The pairs of one split; light to pickle, reads files only in `load`.

    Parameters
    ----------
    spec : DatasetSpec
    split : str
    names : stems, relative to the split's folder
    image_paths, mask_paths : parallel to names; mask_paths is None for an unlabelled split
    """

    def __init__(
        self,
        spec: DatasetSpec,
        split: str,
        names: List[str],
        image_paths: List[Path],
        mask_paths: Optional[List[Path]],
    ):
        self.spec = spec
        self.split = split
        self.names = names
        self.image_paths = image_paths
        self.mask_paths = mask_paths
        self._to_class = np.full(65536, -1, np.int16)  # value in the file -> class, IGNORE, or -1: refused
        for value in spec.ignore:
            self._to_class[value] = IGNORE
        for value, index in spec.raw_values().items():
            self._to_class[value] = index

    def __len__(self) -> int:
        return len(self.names)

    @property
    def classes(self) -> List[str]:
        return list(self.spec.classes)

    @property
    def num_classes(self) -> int:
        return self.spec.num_classes

    @property
    def palette(self) -> np.ndarray:
        return np.array(self.spec.palette, np.uint8)

    def load(self, index: int) -> Sample:
        """Read sample `index`.

        Raises
        ------
        MXNetSegError
            Unreadable files, image and mask of different sizes, label values that are neither a
            class nor ignored; the message names the files.
        """
        image = read_image(self.image_paths[index])
        if self.mask_paths is None:
            return Sample(image, None, self.names[index])
        label = self._label(self.mask_paths[index])
        if label.shape != image.shape[:2]:
            raise MXNetSegError(
                f"{self.image_paths[index]} is {_size(image)}, but its mask {self.mask_paths[index]} is {_size(label)} "
                "(width x height); they have to be of one size"
            )
        return Sample(image, label, self.names[index])

    def label(self, index: int) -> np.ndarray:
        """Read the label of sample `index` alone, (H, W) uint8.

        Raises
        ------
        MXNetSegError
            As `load`.
        """
        return self._label(self.mask_paths[index])

    def _label(self, path) -> np.ndarray:
        values = read_mask(path)
        if values.min() < 0 or values.max() >= self._to_class.size:
            raise MXNetSegError(f"{path}: label values from {values.min()} to {values.max()}; {self._remedy()}")
        label = self._to_class[values]
        if label.min() < 0:
            wrong, counts = np.unique(values[label < 0], return_counts=True)
            listed = ", ".join(f"{v} ({n} pixels)" for v, n in list(zip(wrong, counts))[:8])
            raise MXNetSegError(
                f"{path}: label values that are neither a class nor ignored: {listed}; {self._remedy()}"
            )
        return label.astype(np.uint8)

    def _remedy(self) -> str:
        classes = sorted(self.spec.raw_values())
        return (
            f"{self.spec.name} has the classes {_ranges(classes)} and ignores {_ranges(self.spec.ignore)}. "
            "Mend the mask, or (data.name: folder) extend data.classes, data.ignore or data.label_map"
        )


def open_dataset(data: DataConfig, split: str, labelled: bool = True) -> Dataset:
    """Find the files of a split and match images to masks by stem.

    Parameters
    ----------
    data : DataConfig
        `data.root`, or datasets/<name>, is the folder.
    split : str
    labelled : bool
        False: masks are not looked for.

    Raises
    ------
    MXNetSegError
        Missing folders, no images, partners missing (both names are given), an unlabelled split.
    """
    spec = get_spec(data)
    root = Path(data.root) if data.root else Path("datasets") / spec.name
    if not root.is_dir():
        raise MXNetSegError(
            f"data set {spec.name}: no folder {root}; name the right one with --root DIR (data.root)."
            + _expected_layout(spec)
        )
    image_dir = root / spec.image_folder(split)
    if not image_dir.is_dir():
        raise MXNetSegError(
            f"data set {spec.name}: no folder {image_dir} for split {split!r}{_near_split(spec, split)}."
            + _expected_layout(spec)
        )
    images = _by_stem(image_dir, spec.image_suffix, IMAGES)
    if not images:
        raise MXNetSegError(f"{image_dir} holds no images ({', '.join(IMAGES)}; stems end with {spec.image_suffix!r})")
    names = sorted(images)
    paths = [images[name] for name in names]
    if not labelled:
        return Dataset(spec, split, names, paths, None)
    if split in spec.unlabelled:
        raise MXNetSegError(f"{spec.name}'s split {split!r} has no public labels, so it can't be trained on or scored")
    mask_dir = root / spec.mask_folder(split)
    if not mask_dir.is_dir():
        raise MXNetSegError(f"data set {spec.name}: images in {image_dir}, but no folder {mask_dir} with their masks")
    endings = (spec.mask_ending,) if spec.mask_ending else IMAGES
    masks = _by_stem(mask_dir, spec.mask_suffix, endings)
    _check_partners(images, masks, image_dir, mask_dir, spec)
    return Dataset(spec, split, names, paths, [masks[name] for name in names])


def _by_stem(folder: Path, suffix: str, endings) -> Dict[str, Path]:
    """Relative stem without `suffix` -> file."""
    found: Dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in endings or path.name.startswith(".") or not path.stem.endswith(suffix):
            continue
        stem = path.stem[: len(path.stem) - len(suffix)]
        name = (path.parent.relative_to(folder) / stem).as_posix()
        if name in found:
            raise MXNetSegError(f"{found[name]} and {path} have the same stem; keep one of the two")
        found[name] = path
    return found


def _check_partners(images, masks, image_dir, mask_dir, spec) -> None:
    alone = [name for name in images if name not in masks]
    if alone:
        raise MXNetSegError(
            f"{len(alone)} of {len(images)} images have no mask: {_some(images[n] for n in alone)}; expected "
            f"{mask_dir / (alone[0] + spec.mask_suffix + spec.mask_ending)}"
        )
    alone = [name for name in masks if name not in images]
    if alone:
        raise MXNetSegError(
            f"{len(alone)} of {len(masks)} masks have no image: {_some(masks[n] for n in alone)}; expected "
            f"{image_dir / (alone[0] + spec.image_suffix)} with one of {', '.join(IMAGES)}"
        )


def _expected_layout(spec: DatasetSpec) -> str:
    if not spec.layout:
        return ""
    return f" Expected below it: {'; '.join(spec.layout)}" + (f" ({spec.homepage})" if spec.homepage else "")


def _near_split(spec: DatasetSpec, split: str) -> str:
    if split in spec.splits or not spec.splits:
        return ""
    close = near(split, spec.splits) or spec.splits
    return f" (its splits are {', '.join(spec.splits)}; did you mean {close[0]}?)"


def _ranges(values) -> str:
    """1, 2, 3, 7 -> "1-3, 7"."""
    parts: List[List[int]] = []
    for value in sorted(values):
        if parts and value == parts[-1][1] + 1:
            parts[-1][1] = value
        else:
            parts.append([value, value])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in parts) or "nothing"


def _size(array: np.ndarray) -> str:
    return f"{array.shape[1]}x{array.shape[0]}"


def _some(paths, most: int = 3) -> str:
    paths = [str(p) for p in paths]
    return ", ".join(paths[:most]) + (f" and {len(paths) - most} more" if len(paths) > most else "")
