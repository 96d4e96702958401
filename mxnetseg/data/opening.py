"""A split by its name: the folders that are there, the files in them, matched."""

from collections import Counter
from typing import Dict, List, Optional, Set, Tuple

from ..config.schema import DataConfig
from ..errors import MXNetSegError
from .catalog import FOLDER, entry_of
from .dataset import Dataset
from .files import Reading
from .hints import files_there, folders_there, held, partner_problems
from .layout import expected_layout, find_layout, near_split, root_of
from .listing import listed
from .pairing import Files, image_rule, pairs_below
from .relabel import relabelled
from .spec import SPLIT, DatasetSpec

__all__ = ["open_dataset"]


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
    entry = entry_of(data)
    root = root_of(data, entry)
    reading = Reading.of(data, upright=entry.name == FOLDER)
    if labelled and split in entry.unlabelled:
        raise MXNetSegError(f"{entry.name}'s split {split!r} has no public labels, so it can't be trained on or scored")
    spec, base = find_layout(entry, root, split, labelled)
    spec = relabelled(spec, data)
    image_dir, mask_dir = base / spec.image_folder(split), base / spec.mask_folder(split)
    if spec.lists and not (base / spec.list_file(split)).is_file():
        there = near_split(entry, split) or files_there(base / spec.list_file(split))
        raise MXNetSegError(
            f"data set {spec.name}: no file {base / spec.list_file(split)}, which names the images of split "
            f"{split!r}{there}." + expected_layout(entry)
        )
    if not image_dir.is_dir():
        raise MXNetSegError(
            f"data set {spec.name}: no folder {image_dir} for split {split!r}"
            f"{near_split(entry, split) or folders_there(image_dir)}." + expected_layout(entry)
        )
    if labelled and not mask_dir.is_dir():
        raise MXNetSegError(
            f"data set {spec.name}: images in {image_dir}, but no folder {mask_dir} with their masks"
            f"{folders_there(mask_dir)}." + expected_layout(entry)
        )
    images, masks = pairs_below(image_dir, mask_dir, spec, labelled)
    if not images and (spec.images or not spec.lists):
        suffix, endings = image_rule(spec)
        one_folder = "; images and masks lie in one folder: say what is a mask with data.mask_suffix (_mask, or .png)"
        raise MXNetSegError(
            f"{image_dir} holds no images ({', '.join(endings)}{f'; stems end with {suffix!r}' * bool(suffix)}), but "
            f"{held(image_dir)}" + one_folder * (image_dir == mask_dir)
        )
    if spec.lists:
        images, masks = listed(base / spec.list_file(split), images, masks, spec, base, split, labelled)
    else:
        images, masks = _of_split(images, masks, spec)
    names = list(images) if spec.lists else sorted(images)
    if spec.choose:
        names = spec.choose(names, split)
        if not names:
            raise MXNetSegError(
                f"data set {spec.name}: none of the {len(images)} images in {image_dir} belongs to split "
                f"{split!r}{near_split(entry, split)}"
            )
        images = {name: images[name] for name in names}
        if spec.lists or any(name in masks for name in names):
            masks = {name: masks[name] for name in names if name in masks}
    if not labelled:
        return Dataset(spec, split, names, [images[name] for name in names], None, reading)
    problems = partner_problems(images, masks, image_dir, mask_dir, spec)
    if problems:
        if unpaired is None:
            raise MXNetSegError(problems[0])
        unpaired += problems
        names = [name for name in names if name in masks]
    return Dataset(spec, split, names, [images[name] for name in names], [masks[name] for name in names], reading)


def _of_split(images: Files, masks: Files, spec: DatasetSpec) -> Tuple[Files, Files]:
    """Where the images, or the masks, of all splits lie in one folder, those that have a partner in the split's."""
    if spec.choose or not masks or (SPLIT in spec.images) == (SPLIT in spec.masks):
        return images, masks
    if SPLIT in spec.masks:
        return {name: path for name, path in images.items() if name in masks}, masks
    return images, {name: path for name, path in masks.items() if name in images}


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
    return Dataset(first.spec, split, [name for part in parts for name in part.names], images, masks, first.reading)


def _meaning(spec: DatasetSpec) -> Tuple[Dict[int, int], Set[int], str]:
    return spec.raw_values(), set(spec.ignore), spec.mask_key
