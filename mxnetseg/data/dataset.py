"""A split of a data set on disk: images matched to masks by stem, labels checked as they are read."""

import hashlib
from collections import Counter
from pathlib import Path
from typing import Callable, Collection, Dict, Iterable, List, NamedTuple, Optional, Set, Tuple

import numpy as np

from ..commands import typed
from ..config.schema import DataConfig
from ..errors import MXNetSegError
from ..names import near
from .cache import Cache
from .catalog import get_spec
from .files import read_image, read_mask
from .spec import IMAGES, DatasetSpec

__all__ = ["IGNORE", "Dataset", "Sample", "open_dataset", "root_of"]

IGNORE = 255
Files = Dict[str, Path]  # by the name that image and mask share


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
    names : list of str
        Stems, relative to the split's folder.
    image_paths, mask_paths : list of Path
        Parallel to `names`; `mask_paths` is None for an unlabelled split.
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
        self.cache: Optional[Cache] = None  # where decoded files are kept, if anywhere
        self._to_class = np.full(65536, -1, np.int16)  # value in the file -> class, IGNORE, or -1: refused
        for value in spec.ignore:
            self._to_class[value] = IGNORE
        for value, index in spec.raw_values().items():
            self._to_class[value] = index

    def __len__(self) -> int:
        return len(self.names)

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
        image = self._kept(read_image, self.image_paths[index])
        if self.mask_paths is None:
            return Sample(image, None, self.names[index])
        label = self.label(index)
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
        return f"{self.spec.mask_key} {hashlib.sha256(self._to_class.tobytes()).hexdigest()}"

    def _label(self, path: Path) -> np.ndarray:
        values = read_mask(path, self.spec.mask_key)
        if values.min() < 0 or values.max() >= self._to_class.size:
            raise MXNetSegError(f"{path}: label values from {values.min()} to {values.max()}; {self.remedy()}")
        label: np.ndarray = self._to_class[values]
        if label.min() < 0:
            wrong, counts = np.unique(values[label < 0], return_counts=True)
            listed = ", ".join(f"{v} ({n} pixels)" for v, n in list(zip(wrong, counts))[:8])
            raise MXNetSegError(f"{path}: label values that are neither a class nor ignored: {listed}; {self.remedy()}")
        return label.astype(np.uint8)

    def remedy(self) -> str:
        """What a message about a wrong label value ends with."""
        classes = sorted(self.spec.raw_values())
        return (
            f"{self.spec.name} has the classes {_ranges(classes)} and ignores {_ranges(self.spec.ignore)}. "
            "Mend the mask, or (data.name: folder) extend data.classes, data.ignore or data.label_map"
        )


def open_dataset(data: DataConfig, split: str, labelled: bool = True, unpaired: Optional[List[str]] = None) -> Dataset:
    """Find the files of a split and match images to masks by stem.

    Of the layouts that the table knows, the one that is there is taken.

    Parameters
    ----------
    data : DataConfig
        `data.root`, or datasets/<name>, is the folder.
    split : str
        "train+val" is both, one after the other.
    labelled : bool
        False: masks are not looked for.
    unpaired : list, optional
        Takes what would be said about missing partners; the pairs alone are opened then.

    Raises
    ------
    MXNetSegError
        Missing folders, no images, partners missing (both names are given), an unlabelled split.
    """
    parts = split.split("+")
    if len(parts) > 1 and all(parts):
        return _joined(split, [open_dataset(data, part, labelled, unpaired) for part in parts])
    entry = get_spec(data)
    root = root_of(data, entry)
    if labelled and split in entry.unlabelled:
        raise MXNetSegError(f"{entry.name}'s split {split!r} has no public labels, so it can't be trained on or scored")
    spec, base = _layout(entry, root, split, labelled)
    image_dir = base / spec.image_folder(split)
    if spec.lists and not (base / spec.list_file(split)).is_file():
        raise MXNetSegError(
            f"data set {spec.name}: no file {base / spec.list_file(split)}, which names the images of split "
            f"{split!r}{_near_split(entry, split)}." + _expected_layout(entry)
        )
    if not image_dir.is_dir():
        raise MXNetSegError(
            f"data set {spec.name}: no folder {image_dir} for split {split!r}{_near_split(entry, split)}."
            + _expected_layout(entry)
        )
    images = _by_stem(image_dir, spec.image_suffix, IMAGES)
    if not images:
        raise MXNetSegError(f"{image_dir} holds no images ({', '.join(IMAGES)}; stems end with {spec.image_suffix!r})")
    masks: Dict[str, Path] = {}
    mask_dir = base / spec.mask_folder(split)
    if labelled:
        if not mask_dir.is_dir():
            raise MXNetSegError(
                f"data set {spec.name}: images in {image_dir}, but no folder {mask_dir} with their masks."
                + _expected_layout(entry)
            )
        masks = _by_stem(mask_dir, spec.mask_suffix, (spec.mask_ending,) if spec.mask_ending else IMAGES)
    if spec.lists:
        images, masks = _listed(base / spec.list_file(split), images, masks, spec, image_dir, mask_dir, labelled)
    names = list(images) if spec.lists else sorted(images)
    if spec.choose:
        names = spec.choose(names, split)
        if not names:
            raise MXNetSegError(
                f"data set {spec.name}: none of the {len(images)} images in {image_dir} belongs to split "
                f"{split!r}{_near_split(entry, split)}"
            )
        images = {name: images[name] for name in names}
        if spec.lists or any(name in masks for name in names):
            masks = {name: masks[name] for name in names if name in masks}
    if not labelled:
        return Dataset(spec, split, names, [images[name] for name in names], None)
    problems = _partner_problems(images, masks, image_dir, mask_dir, spec)
    if problems:
        if unpaired is None:
            raise MXNetSegError(problems[0])
        unpaired += problems
        names = [name for name in names if name in masks]
    return Dataset(spec, split, names, [images[name] for name in names], [masks[name] for name in names])


def _joined(split: str, parts: List[Dataset]) -> Dataset:
    """Several splits as one."""
    first = parts[0]
    labelled = [(part, part.mask_paths[0]) for part in parts if part.mask_paths]
    for part, mask in labelled[1:]:
        # files may lie anywhere, but one entry says how masks are read
        if _meaning(part.spec) != _meaning(first.spec):
            raise MXNetSegError(
                f"data set {first.spec.name}: the masks of {first.split!r} and {part.split!r} are of different kinds "
                f"({labelled[0][1]} and {mask}), so {split!r} can't be opened as one"
            )
    images = [path for part in parts for path in part.image_paths]
    twice = next((path for path, count in Counter(images).items() if count > 1), None)
    if twice:
        raise MXNetSegError(f"data set {first.spec.name}: {twice} is in more than one split of {split!r}; name it once")
    masks = None if first.mask_paths is None else [path for part in parts for path in part.mask_paths or ()]
    return Dataset(first.spec, split, [name for part in parts for name in part.names], images, masks)


def _meaning(spec: DatasetSpec) -> Tuple[Dict[int, int], Set[int], str]:
    return spec.raw_values(), set(spec.ignore), spec.mask_key


def root_of(data: DataConfig, spec: DatasetSpec) -> Path:
    """`data.root`, else datasets/<name>, else where the toolkit of 2022 had it."""
    usual = Path(data.root) if data.root else Path("datasets") / spec.name
    candidates = [usual] if data.root or not spec.old_root else [usual, Path("dataset") / spec.old_root]
    for root in candidates:
        if root.is_dir():
            return root
    raise MXNetSegError(
        f"data set {spec.name}: no folder {usual}; name the right one with --root DIR (data.root)."
        + _expected_layout(spec)
    )


def _layout(entry: DatasetSpec, root: Path, split: str, labelled: bool) -> Tuple[DatasetSpec, Path]:
    """The layout and the folder that fit best what is on disk; the usual one first."""
    best, most = (entry.layouts(split)[0], root), -1
    for base in (root, *(root / inside for inside in entry.inside)):
        if not base.is_dir():
            continue
        for spec in entry.layouts(split):
            parts = [(base / spec.image_folder(split)).is_dir()]
            if spec.lists:
                parts.append((base / spec.list_file(split)).is_file())
            if labelled:
                parts.append(_holds_masks(base / spec.mask_folder(split), spec))
            if all(parts):
                return spec, base
            if sum(parts) > most:
                best, most = (spec, base), sum(parts)
    return best


def _holds_masks(folder: Path, spec: DatasetSpec) -> bool:
    ending = spec.mask_ending or "*"
    return folder.is_dir() and next(folder.rglob(f"*{_literal(spec.mask_suffix)}{ending}"), None) is not None


def _literal(text: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in text)


def _by_stem(folder: Path, suffix: str, endings: Collection[str]) -> Dict[str, Path]:
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


def _listed(
    path: Path, images: Files, masks: Files, spec: DatasetSpec, image_dir: Path, mask_dir: Path, labelled: bool
) -> Tuple[Files, Files]:
    """The images and masks that a list names, in its order, by the image's name."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as err:
        raise MXNetSegError(f"{path}: not a list that can be read ({err})") from err
    listed_images: Dict[str, Path] = {}
    listed_masks: Dict[str, Path] = {}
    no_image, no_mask = [], []
    for line in lines:
        if not line.strip():
            continue
        first, second = (line.split() + [""])[:2]
        name = _named(first, images, spec.image_suffix)
        if name is None:
            no_image.append(first)
            continue
        listed_images[name] = images[name]
        if labelled:
            mask = _named(second or first, masks, spec.mask_suffix, spec.image_suffix)
            if mask is None:
                no_mask.append(second or first)
            else:
                listed_masks[name] = masks[mask]
    for kind, missing, folder in (("image", no_image, image_dir), ("mask", no_mask, mask_dir)):
        if missing:
            raise MXNetSegError(
                f"{path} names {len(missing)} files that have no {kind} in {folder}: {_some(missing)}; "
                "is the download complete?"
            )
    if not listed_images:
        raise MXNetSegError(f"{path} names no images; the file is empty")
    return listed_images, listed_masks


def _named(entry: str, files: Dict[str, Path], *suffixes: str) -> Optional[str]:
    """The key of `files` that a list's entry means: with or without folders, suffix and ending."""
    entry = entry.replace("\\", "/").lstrip("/")
    head, dot, ending = entry.rpartition(".")
    stems = [entry] + ([head] if dot and "/" not in ending else [])
    stems += [stem[: -len(suffix)] for suffix in suffixes if suffix for stem in stems if stem.endswith(suffix)]
    for stem in stems:
        parts = stem.split("/")
        for start in range(len(parts)):
            if "/".join(parts[start:]) in files:
                return "/".join(parts[start:])
    return None


def _partner_problems(images: Files, masks: Files, image_dir: Path, mask_dir: Path, spec: DatasetSpec) -> List[str]:
    problems = []
    alone = [name for name in images if name not in masks]
    if alone:
        problems.append(
            f"{len(alone)} of {len(images)} images have no mask: {_some(images[n] for n in alone)}; expected "
            f"{mask_dir / (alone[0] + spec.mask_suffix + spec.mask_ending)}"
        )
    alone = [name for name in masks if name not in images]
    if alone:
        problems.append(
            f"{len(alone)} of {len(masks)} masks have no image: {_some(masks[n] for n in alone)}; expected "
            f"{image_dir / (alone[0] + spec.image_suffix)} with one of {', '.join(IMAGES)}"
        )
    return problems


def _expected_layout(spec: DatasetSpec) -> str:
    if spec.name == "folder":
        return ""
    from .prepare import PREPARATIONS

    text = f" Expected below it: {'; or '.join(map(', '.join, spec.describe()))}" + (
        f" ({spec.homepage})" if spec.homepage else ""
    )
    if spec.name in PREPARATIONS:
        text += typed(f". `mxnetseg data prepare {spec.name} --from DOWNLOADS --to DIR` makes it from the downloads")
    return text


def _near_split(spec: DatasetSpec, split: str) -> str:
    if split in spec.splits or not spec.splits:
        return ""
    close = near(split, spec.splits)
    if not close:
        # where only training and test images are official, the user has to say which are scored
        return f" (its splits are {', '.join(spec.splits)}; say which with data.train_split, data.val_split or --split)"
    return f" (its splits are {', '.join(spec.splits)}; did you mean {close[0]}?)"


def _ranges(values: Iterable[int]) -> str:
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


def _some(paths: Iterable[object], most: int = 3) -> str:
    texts = [str(p) for p in paths]
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" if len(texts) > most else "")
