"""Where in a folder images, masks and lists may lie: guesses, most likely first, that `forms` tries."""

import os
import re
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional, Set, Tuple

import numpy as np

from ..config.schema import MAX_PIXELS
from ..errors import MXNetSegError
from .colours import read_colours
from .files import read_header_of
from .hints import SEPARATORS, Suffixes, guess_suffixes
from .masks import read_mask
from .pairing import LOSSY
from .spec import IMAGES, MASKS, SPLIT

__all__ = ["Way", "masks_beside", "ways"]

LISTS = (".txt", ".lst", ".csv")
TRAINING, VALIDATION, TEST = ("train", "training"), ("val", "valid", "validation"), ("test", "testing")
_WORD = "|".join(sorted((*TRAINING, *VALIDATION, *TEST), key=len, reverse=True))
# train, images_train, train-images, trainannot; not the end of "terrain" or the start of "valley"
PATTERN = re.compile(rf"(?<![a-z])({_WORD})(?![a-z])|^({_WORD})(?=annot|label|mask|image)", re.I)
OTHER_MASKS = re.compile("object|instance|colou?r|overlay|vis|edge|panoptic", re.I)  # that lie beside those meant
SIDES = 16  # places that are tried as one of the two
LEVELS = 64  # colours of a picture that may be a mask
SHOWN = 3  # masks that are looked at
HUGE = 10**12  # pixels: no limit, where the header alone is read

Place = Dict[str, List[Path]]  # split, or "" -> files


class Way(NamedTuple):
    """Keys of a recipe's `data` that might open the folder, the splits, and the pairs that they should make."""

    kind: str
    keys: Dict[str, Any]
    splits: List[str]
    pairs: int


def ways(folder: Path, files: List[Path], max_pixels: int = MAX_PIXELS) -> List[Way]:
    """What to try, most likely first; pictures of more than `max_pixels` may be masks, too, and reading them tells."""
    pictures = [path for path in files if path.suffix.lower() in (*IMAGES, *MASKS)]
    texts = [path for path in files if path.suffix.lower() in LISTS]
    lists = {pattern: _ordered(place) for pattern, place in _places(folder, texts, names=True).items()}
    found = list(_pairs(folder, pictures, partial(_few_levels, max_pixels=max_pixels)))
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


def _rank(way: Way) -> Tuple[int, bool, bool, int]:
    keys = way.keys
    other = OTHER_MASKS.search(keys["masks"] + keys.get("mask_suffix", ""))
    return -way.pairs, bool(other), keys["images"] == ".", len(str(keys))


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


def _pairs(folder: Path, pictures: List[Path], may_be_mask: Callable[[Path], Optional[bool]]) -> Iterator[Way]:
    places = _places(folder, pictures)
    largest = sorted(places, key=lambda pattern: (-sum(map(len, places[pattern].values())), pattern.count("/")))[:SIDES]
    sides = {pattern: _Side.of(folder, pattern, places[pattern]) for pattern in largest}
    for images, masks in ((i, m) for i in largest for m in largest):
        splits = [split for split in _ordered(places[images]) if split in places[masks]]
        if (SPLIT in images) != (SPLIT in masks) or sides[images].split != sides[masks].split:
            continue
        for suffixes in _suffixes(sides[images], sides[masks], may_be_mask):
            keys = {"image_suffix": suffixes.image, "mask_suffix": suffixes.mask}
            named = splits if SPLIT in images else []
            keys = {"images": images, "masks": masks, **{k: text for k, text in keys.items() if text}}
            share = sum(len(places[images][split]) for split in splits) / len(places[images][splits[0]])
            kind = "side by side" if images == masks else "folders"
            yield Way(kind, {**keys, **_split_keys(named)}, named, round(suffixes.pairs * share))


class _Side(NamedTuple):
    """A place, and what of its first split might be images or masks: stem -> file."""

    folder: Path
    split: str
    images: Dict[str, Path]
    masks: Dict[str, Path]

    @classmethod
    def of(cls, root: Path, pattern: str, place: Place) -> "_Side":
        split = _ordered(place)[0]
        folder = root / pattern.replace(SPLIT, split)
        ordered = sorted(place[split], key=lambda path: path.suffix.lower() in LOSSY)  # of x.png and x.jpg, the image
        stems = [(path.relative_to(folder).with_suffix("").as_posix(), path) for path in ordered]
        return cls(folder, split, *({s: p for s, p in stems if p.suffix.lower() in e} for e in (IMAGES, MASKS)))


def _suffixes(images: _Side, masks: _Side, may_be_mask: Callable[[Path], Optional[bool]]) -> Iterator[Suffixes]:
    """Suffixes that make pairs of masks that look like masks."""
    pictures, labels = images.images, masks.masks
    if images == masks:
        found = _side_by_side(pictures, labels)
    else:
        if images.folder in masks.folder.parents:
            pictures = {stem: path for stem, path in pictures.items() if masks.folder not in path.parents}
        if masks.folder in images.folder.parents:
            labels = {stem: path for stem, path in labels.items() if images.folder not in path.parents}
        found = [guess_suffixes(pictures, labels)] if any(map(may_be_mask, _some_of(list(labels.values())))) else []
    for suffixes in found:
        if suffixes is not None and suffixes.pairs:
            chosen = [path for stem, path in sorted(labels.items()) if stem.endswith(suffixes.mask)]
            looks = list(map(may_be_mask, _some_of(chosen)))
            if any(looks) and False not in looks:
                yield suffixes


def _side_by_side(images: Dict[str, Path], masks: Dict[str, Path], least: int = 2) -> List[Optional[Suffixes]]:
    lossy = [stem for stem, path in images.items() if path.suffix.lower() in LOSSY]
    return [guess_suffixes(lossy, masks), *_within(images, masks, least)]


def masks_beside(folder: Path, pictures: List[Path], max_pixels: int = MAX_PIXELS) -> Set[Path]:
    """Which of a folder's pictures are masks of others among them: x.png of x.jpg, x_mask.png of x.png.

    A mask is told by its name, and by holding few values where its image does not.
    """
    side = _Side.of(folder, ".", {"": pictures})
    found: Set[Path] = set()
    for suffixes in _side_by_side(side.images, side.masks, least=1):
        if suffixes is None or (suffixes.mask and not (suffixes.mask[0] in SEPARATORS and suffixes.mask[1:].isalpha())):
            continue  # frame_1.png and frame_2.png
        pairs = {
            stem: path
            for stem, path in side.masks.items()
            if stem.endswith(suffixes.mask) and side.images.get(_stem(stem, suffixes), path) != path
        }
        images = [side.images[_stem(stem, suffixes)] for stem in pairs]
        few = partial(_few_levels, max_pixels=max_pixels)
        if pairs and all(map(few, _some_of(list(pairs.values())))) and not any(map(few, _some_of(images))):
            found.update(pairs.values())
    return found


def _stem(mask: str, suffixes: Suffixes) -> str:
    """Of the image of the mask with that stem."""
    return mask[: len(mask) - len(suffixes.mask)] + suffixes.image


def _some_of(paths: List[Path]) -> List[Path]:
    return paths[:: max(1, len(paths) // SHOWN)][:SHOWN]


def _within(images: Dict[str, Path], masks: Dict[str, Path], least: int = 2) -> List[Suffixes]:
    """x.png and x_mask.png, x_img.png and x_mask.png, x/image.png and x/mask.png below one folder."""
    counts: Dict[Tuple[str, str], int] = defaultdict(int)
    names = sorted({*images, *masks})
    for index, name in enumerate(names):
        for other in names[index + 1 : index + 9]:
            begin = len(os.path.commonprefix([name, other]))
            while begin and begin < len(name) and other[begin - 1] in SEPARATORS:
                begin -= 1
            for image, mask in ((name, other), (other, name)):
                if begin and image in images and mask in masks:
                    counts[image[begin:], mask[begin:]] += 1
    likely = sorted(counts, key=lambda pair: (-counts[pair], len(pair[0] + pair[1]), pair))[:4]
    return [Suffixes(*pair, counts[pair]) for pair in likely if counts[pair] >= least]


def _few_levels(path: Path, max_pixels: int) -> Optional[bool]:
    """Whether a picture may be a mask, and no photograph; None for a damaged one: whoever reads it tells why."""
    try:
        return len(np.unique(read_mask(path, max_pixels=max_pixels))) <= 2 * LEVELS
    except MXNetSegError:
        pass
    try:
        return len(np.unique(read_colours(path, max_pixels))) <= LEVELS
    except MXNetSegError:
        pass
    try:
        header = read_header_of(path, HUGE)
    except MXNetSegError:
        return None
    if header.lossy:
        return False
    return True if header.width * header.height > max_pixels else None


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
