"""What there is instead of what was looked for, for messages."""

from bisect import bisect_left
from collections import Counter
from pathlib import Path
from typing import Collection, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

from ..names import near
from .pairing import LOSSY, Files, mask_rule, visible
from .spec import IMAGES, MASKS, DatasetSpec

__all__ = ["Suffixes", "guess_suffixes", "files_there", "folders_there", "held", "no_jpeg", "partner_problems", "some"]

SAMPLE = 50  # names that suffixes are guessed from
CANDIDATES = 20  # suffixes that are tried on all names
SEPARATORS = "_-. "


class Suffixes(NamedTuple):
    """What stems of images and of masks end with besides what they share, and how many pairs that makes."""

    image: str
    mask: str
    pairs: int


def guess_suffixes(images: Collection[str], masks: Collection[str]) -> Optional[Suffixes]:
    """The suffixes that make most pairs of these stems; None where no pair begins alike."""
    ordered = sorted(masks)
    votes: Dict[Tuple[str, str], int] = Counter()
    for image in _spread(sorted(images)):
        for end in range(len(image), 0, -1):
            first = bisect_left(ordered, image[:end])
            alike = [mask for mask in ordered[first : first + SAMPLE] if mask.startswith(image[:end])]
            if alike:
                while 0 < end < len(image) and image[end - 1] in SEPARATORS:
                    end -= 1  # _image and _mask, not image and mask
                for mask in alike:
                    votes[image[end:], mask[end:]] += 1
                break
    likely = sorted(votes, key=lambda pair: (-votes[pair], len(pair[0] + pair[1]), pair))[:CANDIDATES]
    known = set(masks)
    counts = {pair: _matching(images, known, *pair) for pair in likely}
    best = max(likely, key=lambda pair: (counts[pair], -len(pair[0] + pair[1])), default=None)
    return None if best is None else Suffixes(*best, counts[best])


def _matching(images: Collection[str], masks: Collection[str], image_suffix: str, mask_suffix: str) -> int:
    """How many pairs two suffixes make."""
    return sum(
        name.endswith(image_suffix) and name[: len(name) - len(image_suffix)] + mask_suffix in masks for name in images
    )


def partner_problems(images: Files, masks: Files, image_dir: Path, mask_dir: Path, spec: DatasetSpec) -> List[str]:
    """What is to be said of images without masks, and of masks without images."""
    problems = []
    alone = [name for name in images if name not in masks]
    if alone:
        suffix, (ending, *others) = mask_rule(spec)
        or_others = f" (or {', '.join(others)})" if others else ""
        problems.append(
            f"{len(alone)} of {len(images)} images have no mask: {some(images[n] for n in alone)}; expected "
            f"{mask_dir / (alone[0] + suffix + ending)}{or_others}"
            f"{_there(alone[0], images, image_dir, mask_dir, spec)}"
        )
    alone = [name for name in masks if name not in images]
    if alone:
        problems.append(
            f"{len(alone)} of {len(masks)} masks have no image: {some(masks[n] for n in alone)}; expected "
            f"{image_dir / (alone[0] + spec.image_suffix)} with one of {', '.join(IMAGES)}"
        )
    return problems


def folders_there(path: Path) -> str:
    """What a folder that is missing is missed in: the nearest one that is there, and the folders in it."""
    parent = next((folder for folder in path.parents if folder.is_dir()), None)
    if parent is None:
        return ""
    missing = path.relative_to(parent).parts[0]
    names = sorted(child.name for child in parent.iterdir() if child.is_dir() and not child.name.startswith("."))
    close = near(missing, names)
    listed = f"; {parent} holds the folders {some(names, 8)}" if names else f"; {parent} holds no folder"
    return listed + (f"; did you mean {close[0]}?" if close else "")


def files_there(path: Path) -> str:
    """The files of a missing one's kind that its folder holds."""
    if not path.parent.is_dir():
        return folders_there(path)
    names = [child.name for child in sorted(path.parent.iterdir()) if child.suffix == path.suffix]
    return f"; {path.parent} holds {some(names, 8)}" if names else f"; {path.parent} holds no {path.suffix or 'file'}"


def held(folder: Path) -> str:
    """The files of a folder by their endings: "12 .png, 3 .txt"."""
    endings = Counter(path.suffix.lower() or path.name for path in visible(folder))
    return some((f"{count} {ending}" for ending, count in endings.most_common()), 6) or "no file"


def no_jpeg(path: object) -> str:
    """Why a JPEG is no mask."""
    return (
        f"{path}: a mask can't be a JPEG, whose compression changes label values wherever two of them meet; make PNGs "
        "from what the masks were made of"
    )


def some(things: Iterable[object], most: int = 3) -> str:
    """The first ones, and how many more there are."""
    texts = [str(thing) for thing in things]
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" if len(texts) > most else "")


def _there(name: str, images: Files, image_dir: Path, mask_dir: Path, spec: DatasetSpec) -> str:
    """What of a missing mask is there: another suffix, ending, folder or case."""
    if not mask_dir.is_dir():
        return ""
    lies = [path for path in visible(mask_dir) if mask_dir != image_dir or path not in images.values()]
    masks = _stems(lies, mask_dir, MASKS)
    found = guess_suffixes(_stems(images.values(), image_dir, IMAGES), masks)
    if found and found.pairs > len(images) // 2 and found[:2] != (spec.image_suffix, spec.mask_suffix):
        keys = [
            f"data.{key}_suffix: {text or repr('')}"
            for key, text, given in (
                ("image", found.image, spec.image_suffix),
                ("mask", found.mask, spec.mask_suffix),
            )
            if text != given
        ]
        return f". {found.pairs} masks end otherwise: did you mean {' and '.join(keys)}?"
    backwards = [
        [Path(stem).name[::-1] for stem in stems] for stems in (_stems(images.values(), image_dir, IMAGES), masks)
    ]
    begins = guess_suffixes(*backwards)
    if begins and begins.pairs > len(images) // 2 and begins[:2] != ("", ""):
        return (
            f". {begins.pairs} stems differ at their beginning ({begins.image[::-1]!r}, {begins.mask[::-1]!r}): rename "
            "them, or name the pairs in a list (data.lists)"
        )
    wanted = Path(name + spec.mask_suffix).name
    for path in lies:
        if path.stem.lower() == wanted.lower():
            if path.suffix.lower() in LOSSY[:2]:
                return f". {no_jpeg(path)}"
            return f"; {path} found"
    return ""


def _stems(paths: Iterable[Path], folder: Path, endings: Sequence[str]) -> List[str]:
    return [
        path.relative_to(folder).with_suffix("").as_posix()
        for path in paths
        if path.suffix.lower() in endings and folder in path.parents
    ]


def _spread(names: Sequence[str]) -> Sequence[str]:
    return names[:: max(1, len(names) // SAMPLE)]
