"""What form a folder of images and masks has: the keys of a recipe that open it, found by looking."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Set, Tuple

import numpy as np

from ..commands import typed
from ..config.schema import MAX_PIXELS, DataConfig
from ..errors import MXNetSegError
from .colours import read_colours
from .hints import held
from .masks import read_mask
from .opening import open_dataset
from .pairing import visible
from .places import Way, ways
from .spec import MASKS, Colour

__all__ = ["Form", "recognise"]

LOOKED = 24  # masks whose values are read, spread over the splits


@dataclass(frozen=True)
class Form:
    """What was recognised.

    Parameters
    ----------
    kind : str
        "folders", "side by side" (images and masks in one folder), "lists" or "VOC-like".
    root : Path
        What `data.root` has to be.
    keys : dict
        Further keys of a recipe's `data`, besides name and classes: images, masks, image_suffix, mask_suffix, lists,
        and train_split, val_split where these are not called train and val.
    splits : dict
        Split -> pairs; empty: the folder is not split, which `data split` does.
    pairs : int
        Of all splits.
    values : tuple of int
        Label values in the masks that were read; empty where they hold colours.
    colours : tuple of (int, int, int)
        Colours in them; empty where they hold values.
    read : int
        Masks that were read for `values` and `colours`.
    """

    kind: str
    root: Path
    keys: Mapping[str, Any]
    splits: Mapping[str, int]
    pairs: int
    values: Tuple[int, ...]
    colours: Tuple[Colour, ...]
    read: int


def recognise(folder: Path, max_pixels: int = MAX_PIXELS) -> Form:
    """The form of a folder of one's own images and masks, of no more than `max_pixels` each.

    Raises
    ------
    MXNetSegError
        No folder; a form with a fault, such as an image without a mask; or none of the forms in docs/data.md: the
        message says what was looked for and what is there.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise MXNetSegError(f"no folder {folder}; name the one that holds images and masks")
    files = list(visible(folder))
    for way in ways(folder, files, max_pixels):
        try:
            return _opened(folder, way, max_pixels)
        except MXNetSegError as err:
            if way.pairs:  # it is this form, with a fault
                raise MXNetSegError(f"{folder} looks like {way.kind} ({_listed(way)}), but {err}") from err
    raise MXNetSegError(
        f"{folder} has no form that is known. Looked for: folders of images and of masks (images/train and "
        "masks/train), images and masks side by side (x.jpg with x.png or x_mask.png), lists of images and masks "
        f"(train.txt), with masks as {', '.join(MASKS)}; found: {held(folder)}.{_annotations(files)}"
    )


def _opened(folder: Path, way: Way, max_pixels: int) -> Form:
    """The form, if the toolkit opens it with these keys."""
    data = DataConfig(name="folder", root=str(folder), classes=["any"], **way.keys)
    datasets = {split: open_dataset(data, split) for split in way.splits or ["all"]}
    masks = [path for dataset in datasets.values() for path in dataset.masks()]
    chosen = masks[:: max(1, -(-len(masks) // LOOKED))]
    values, colours = _values(chosen, max_pixels)
    splits = {split: len(dataset) for split, dataset in datasets.items()} if way.splits else {}
    return Form(way.kind, folder, way.keys, splits, len(masks), values, colours, len(chosen))


def _values(masks: List[Path], max_pixels: int) -> Tuple[Tuple[int, ...], Tuple[Colour, ...]]:
    """Label values, or the colours, if masks hold these: also where palettes give one number several colours."""
    values: Dict[int, Set[int]] = defaultdict(set)
    colours: Set[int] = set()
    numbered = True
    for path in masks:
        shown, read = _read(read_colours, path, max_pixels), _read(_numbers, path, max_pixels)
        if shown is None and read is None:
            _numbers(path, max_pixels)  # says why
        if shown is not None:
            colours.update(np.unique(shown).tolist())
        numbered = numbered and read is not None
        for value in [] if read is None else np.unique(read).tolist():
            values[value].update([] if shown is None else np.unique(shown[read == value]).tolist())
    if numbered and all(len(seen) < 2 for seen in values.values()):
        return tuple(sorted(values)), ()
    return (), tuple((value >> 16, value >> 8 & 255, value & 255) for value in sorted(colours))


def _numbers(path: Path, max_pixels: int) -> np.ndarray:
    return read_mask(path, max_pixels=max_pixels)


def _read(reader: Callable[[Path, int], np.ndarray], path: Path, max_pixels: int) -> Optional[np.ndarray]:
    try:
        return reader(path, max_pixels)
    except MXNetSegError:
        return None


def _listed(way: Way) -> str:
    return ", ".join(f"{key}: {value}" for key, value in way.keys.items())


def _annotations(files: List[Path]) -> str:
    """What to do with outlines that lie there instead of masks."""
    if any(path.suffix.lower() in (".json", ".xml") for path in files):
        return typed(" Outlines in .json or .xml files become masks by `mxnetseg data convert`")
    return ""
