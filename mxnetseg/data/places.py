"""Where in a folder images, masks and lists may lie: guesses, most likely first, that `forms` tries."""

import re
from collections import defaultdict
from functools import lru_cache
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Optional, Tuple

import numpy as np

from ..errors import MXNetSegError
from .colours import read_colours
from .files import read_mask
from .hints import Suffixes, guess_suffixes
from .pairing import LOSSY
from .spec import IMAGES, MASKS, SPLIT

__all__ = ["Way", "ways"]

LISTS = (".txt", ".lst", ".csv")
TRAINING, VALIDATION, TEST = ("train", "training"), ("val", "valid", "validation"), ("test", "testing")
_WORD = "|".join(sorted((*TRAINING, *VALIDATION, *TEST), key=len, reverse=True))
# train, images_train, train-images, trainannot; not the end of "terrain" or the start of "valley"
PATTERN = re.compile(rf"(?<![a-z])({_WORD})(?![a-z])|^({_WORD})(?=annot|label|mask|image)", re.I)
OTHER_MASKS = re.compile("object|instance|colou?r|overlay|vis|edge|panoptic", re.I)  # that lie beside those meant
SIDES = 16  # places that are tried as one of the two
LEVELS = 64  # colours of a picture that may be a mask
SHOWN = 3  # masks that are looked at

Place = Dict[str, List[Path]]  # split, or "" -> files


class Way(NamedTuple):
    """Keys of a recipe's `data` that might open the folder, the splits, and the pairs that they should make."""

    kind: str
    keys: Dict[str, Any]
    splits: List[str]
    pairs: int


def ways(folder: Path, files: List[Path]) -> List[Way]:
    """What to try, most likely first."""
    pictures = [path for path in files if path.suffix.lower() in (*IMAGES, *MASKS)]
    texts = [path for path in files if path.suffix.lower() in LISTS]
    lists = {pattern: _ordered(place) for pattern, place in _places(folder, texts, names=True).items()}
    found = list(_pairs(folder, pictures))
    split = [way for way in found if way.splits]
    whole = [way for way in found if not way.splits]
    alone = [Way("lists", {"lists": pattern, **_split_keys(names)}, names, 0) for pattern, names in lists.items()]
    both = [
        Way(
            "VOC-like" if "ImageSets" in pattern else "lists",
            {**way.keys, "lists": pattern, **_split_keys(names)},
            names,
            0,
        )
        for way in sorted(whole, key=_rank)[:3]
        for pattern, names in sorted(lists.items(), key=lambda item: ("Segmentation" not in item[0], item[0]))
    ]
    return [*sorted(split, key=_rank), *alone, *both, *sorted(whole, key=_rank)]


def _rank(way: Way) -> Tuple[int, bool, int]:
    keys = way.keys
    return -way.pairs, bool(OTHER_MASKS.search(keys["masks"] + keys.get("mask_suffix", ""))), len(str(keys))


def _places(folder: Path, files: List[Path], names: bool = False) -> Dict[str, Place]:
    """Folders (or, for lists, files), with {split} for the split in them, those of several splits as one."""
    places: Dict[str, Place] = defaultdict(lambda: defaultdict(list))
    for path in files:
        parts = path.relative_to(folder).parts
        pattern: List[str] = []
        split = ""
        for part in parts if names else parts[:-1]:
            match = None if split else PATTERN.search(part)
            if match:
                split = match.group()
                part = part[: match.start()] + SPLIT + part[match.end() :]
            pattern.append(part)
            if not names:
                places["/".join(pattern)][split].append(path)
        if names and split:
            places["/".join(pattern)][split].append(path)
        if not names:
            places["."][""].append(path)
    return {
        pattern: dict(place)
        for pattern, place in places.items()
        if SPLIT not in pattern or any(split.lower() in TRAINING for split in place)
    }


def _pairs(folder: Path, pictures: List[Path]) -> Iterator[Way]:
    places = _places(folder, pictures)
    if all(len(path.relative_to(folder).parts) > 1 for path in pictures):
        places.pop(".", None)
    largest = sorted(places, key=lambda pattern: (-sum(map(len, places[pattern].values())), pattern.count("/")))[:SIDES]
    for images, masks in ((i, m) for i in largest for m in largest):
        if (SPLIT in images) != (SPLIT in masks):
            continue  # split by one of them alone: `lists` says it as well
        splits = _ordered(places[images])
        if not set(splits) <= set(places[masks]):
            splits = [split for split in splits if split in places[masks]]
        if not splits:
            continue
        for keys, count in _suffixes(folder, images, masks, places, splits):
            named = splits if SPLIT in images else []
            kind = "side by side" if images == masks else "folders"
            yield Way(kind, {"images": images, "masks": masks, **keys, **_split_keys(named)}, named, count)


def _suffixes(
    folder: Path, images: str, masks: str, places: Dict[str, Place], splits: List[str]
) -> Iterator[Tuple[Dict[str, str], int]]:
    """Suffix keys that make pairs, and how many pairs."""
    first = splits[0]
    here, there = folder / images.replace(SPLIT, first), folder / masks.replace(SPLIT, first)
    apart = images != masks
    pictures = [p for p in places[images][first] if not (apart and here in there.parents and there in p.parents)]
    labels = [p for p in places[masks][first] if not (apart and there in here.parents and here in p.parents)]
    if apart:
        tries = [(_stems(pictures, here, IMAGES), _stems(labels, there, MASKS))]
    else:
        tries = [(_stems(pictures, here, LOSSY), _stems(labels, there, MASKS))]
    found = [guess_suffixes(list(i), list(m)) for i, m in tries if i and m]
    if not apart:
        found.append(_within(_stems(pictures, here, IMAGES), _stems(labels, there, MASKS)))
    for suffixes in found:
        if suffixes is None or not suffixes.pairs:
            continue
        stems = _stems(labels, there, MASKS)
        taken = [path for stem, path in sorted(stems.items()) if stem.endswith(suffixes.mask)]
        if any(not _few_levels(path) for path in taken[:: max(1, len(taken) // SHOWN)][:SHOWN]):
            continue
        keys = {"image_suffix": suffixes.image, "mask_suffix": suffixes.mask}
        share = sum(len(places[images][split]) for split in splits) / len(places[images][first])
        yield {key: text for key, text in keys.items() if text}, round(suffixes.pairs * share)


def _within(images: Dict[str, Path], masks: Dict[str, Path]) -> Optional[Suffixes]:
    """x.png and x_mask.png in one folder."""
    counts: Dict[str, int] = defaultdict(int)
    names = sorted({*images, *masks})
    for index, name in enumerate(names):
        for other in names[index + 1 : index + 9]:
            rest = other[len(name) :]
            if other.startswith(name) and rest and not rest[0].isalnum() and name in images and other in masks:
                counts[rest] += 1
    if not counts:
        return None
    best = max(counts, key=lambda rest: (counts[rest], rest))
    return Suffixes("", best, counts[best])


def _stems(paths: List[Path], folder: Path, endings: Tuple[str, ...]) -> Dict[str, Path]:
    return {
        path.relative_to(folder).with_suffix("").as_posix(): path
        for path in paths
        if path.suffix.lower() in endings and folder in path.parents
    }


@lru_cache(maxsize=256)
def _few_levels(path: Path) -> bool:
    """Whether a picture may be a mask, and no photograph."""
    try:
        return len(np.unique(read_mask(path))) <= 2 * LEVELS
    except MXNetSegError:
        pass
    try:
        return len(np.unique(read_colours(path))) <= LEVELS
    except MXNetSegError:
        return False


def _ordered(splits: Iterable[str]) -> List[str]:
    """Training first, then validation, then the others."""
    words = (*TRAINING, *VALIDATION, *TEST)
    return sorted(splits, key=lambda s: (words.index(s.lower()) if s.lower() in words else 99, s))


def _split_keys(splits: List[str]) -> Dict[str, str]:
    """data.train_split and val_split, where they are not called train and val."""
    keys = {}
    for key, usual, words in (("train_split", "train", TRAINING), ("val_split", "val", (*VALIDATION, *TEST))):
        name = next((split for split in splits if split.lower() in words), usual)
        if name != usual:
            keys[key] = name
    return keys
