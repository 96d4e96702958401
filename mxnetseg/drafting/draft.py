"""A look at a folder, and what it makes of it."""

from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ..config import DataConfig
from ..config.schema import MAX_PIXELS
from ..data import Dataset, open_dataset
from ..data.diagnosis import read_split
from ..data.diagnosis.tally import Tally
from ..data.forms import Form, recognise
from ..data.pixels import pixel_keys
from ..data.split import below, groups_by, list_files, split_groups, write_lists
from ..errors import MXNetSegError
from ..names import counted
from .labels import of_colours, of_values, ready_labels, slips
from .text import data_lines, new_recipe, origin_of, recipe_from

__all__ = ["Draft", "draft"]


class Draft(NamedTuple):
    """The recipe's text, what was recognised, pairs by split, class names, and what the user should know."""

    text: str
    form: Form
    splits: Dict[str, int]
    classes: Sequence[str]
    notes: List[str]


def draft(
    folder: Path,
    target: Path,
    val: float = 0.2,
    by: Optional[str] = None,
    workers: int = 0,
    progress: bool = False,
    max_pixels: int = MAX_PIXELS,
    origin: Optional[str] = None,
) -> Draft:
    """Look at a folder, and write a recipe for it; lists of its splits as well, where it has none to validate on.

    Parameters
    ----------
    folder : Path
        Images and masks in one of the forms that `data.forms` knows. All files are read.
    target : Path
        Folder for lists.
    val : float
        Share of the images for validation.
    by : str, optional
        What `data.split.groups_by` takes: images of one group are not parted.
    workers : int
        Processes.
    max_pixels : int
        Larger files are refused.
    origin : str, optional
        The checkpoint that training goes on from, as `find_checkpoint` takes it; a small network from the start when
        left out.

    Raises
    ------
    MXNetSegError
        None of the known forms; masks that are no labels; lists that are there already; a checkpoint that can't be
        trained further.
    """
    if not 0 < val < 1:
        raise MXNetSegError(f"--val {val:g}: a share of the images, above 0 and below 1")
    start = origin_of(origin) if origin else None
    form = recognise(folder, max_pixels)
    keys: Dict[str, Any] = dict(form.keys)
    some: Dict[str, Any] = {"colors": {"any": form.colours[0]}} if form.colours else {"classes": ["any"]}
    ready = ready_labels(folder)
    some.update({key: value for key, value in ready.keys.items() if key == "exif"} if ready else {})
    known = {"name": "folder", "root": str(form.root), "max_pixels": max_pixels, **some, **keys}
    look = DataConfig.model_validate(known)
    whole = not {look.train_split, look.val_split} <= set(form.splits)
    opened = [look.train_split if form.splits else "all"] if whole else [look.train_split, look.val_split]
    fed = pixel_keys([path for split in opened for path in open_dataset(look, split).image_paths], max_pixels)
    look = DataConfig.model_validate({**known, **fed})
    tallies = [read_split(open_dataset(look, split), workers, progress) for split in opened]
    values = sorted({value for tally in tallies for value in tally.values})
    labels = ready or (of_colours(folder, values) if form.colours else of_values(folder, values))
    splits = {tally.dataset.split: len(tally.dataset) for tally in tallies}
    notes = [labels.note] if labels.note else []
    problems = [problem for tally in tallies for problem in tally.problems]
    size = _size(tallies)
    if problems:
        notes.append(f"{counted(len(problems), 'problem')}, which data check lists: {problems[0]}")
    if "range" in fed:
        notes.append(
            f"data.range: {fed['range']} is a guess from the values in a few images: is it what yours can have?"
        )
    if max_pixels > MAX_PIXELS:
        fed["max_pixels"] = max_pixels
    if whole:
        keys, splits = _split(tallies[0], form, target, val, by)
        chosen = f"there were no images to validate on: {splits['val']} of {form.pairs} are, chosen by chance"
        notes.append(chosen + ("" if by else "; where images belong together (a video's), --by PATTERN keeps them so"))
    seen = data_lines(form, {**keys, **fed}, labels, size)
    notes += slips(tallies, bool(form.colours))
    text = (
        recipe_from(start, labels, seen, size)
        if start
        else new_recipe(labels, seen, size, next(iter(splits.values())), fed)
    )
    return Draft(text, form, splits, labels.classes, notes)


def _split(
    tally: Tally, form: Form, target: Path, val: float, by: Optional[str]
) -> Tuple[Dict[str, Any], Dict[str, int]]:
    """Write lists that share images out, rare labels to both; the keys that open them, and pairs by split."""
    dataset: Dataset = tally.dataset
    shown = np.zeros((len(dataset), len(tally.places)), bool)
    for column, places in enumerate(tally.places.values()):
        shown[places, column] = True
    groups = groups_by([below(path, form.root) for path in dataset.image_paths], by)
    parts = split_groups(groups, {"train": 1 - val, "val": val}, 0, shown).parts
    here = target.resolve() == form.root.resolve()
    pattern = "{split}.txt" if here else str(target.resolve() / "{split}.txt")
    write_lists(dataset, parts, list_files(pattern, form.root, list(parts)), form.root)
    return {"lists": pattern}, {part: len(numbers) for part, numbers in parts.items()}


def _size(tallies: Sequence[Tally]) -> Tuple[int, int]:
    """The size that most images have, (height, width)."""
    counts: Dict[Tuple[int, int], int] = {}
    for tally in tallies:
        for size, count in tally.sizes.items():
            counts[size] = counts.get(size, 0) + count
    if not counts:
        raise MXNetSegError(str(tallies[0].problems[0]))
    return max(counts, key=lambda size: counts[size])
