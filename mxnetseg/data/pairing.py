"""Which file is whose: images and masks by the stem that they share."""

import unicodedata
from pathlib import Path
from typing import Callable, Collection, Dict, Iterator, Tuple

from ..errors import MXNetSegError
from .spec import IMAGES, MASKS, DatasetSpec

__all__ = ["LOSSY", "Files", "by_stem", "image_rule", "mask_rule", "pairs_below", "visible"]

Files = Dict[str, Path]  # by the name that image and mask share
Rule = Tuple[str, Tuple[str, ...]]  # what a stem ends with; file endings
LOSSY = (".jpg", ".jpeg", ".jpe", ".jp2", ".j2k", ".webp")  # beside a mask of the same stem such a file is the image


def visible(folder: Path) -> Iterator[Path]:
    """The files below a folder in order, without those that systems and editors leave there (.ipynb_checkpoints)."""
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if not any(part.startswith(".") or part == "__MACOSX" for part in parts) and path.is_file():
            yield path


def by_stem(
    folder: Path, suffix: str, endings: Collection[str], but: Callable[[Path], bool] = lambda path: False
) -> Files:
    """Relative stem without `suffix` -> file; without those that `but` holds for.

    Stems are in Unicode's composed form: macOS takes letters and their accents apart in some names and not in others.

    Raises
    ------
    MXNetSegError
        Two files of one stem.
    """
    found: Files = {}
    for path in visible(folder):
        if not _takes((suffix, tuple(endings)), path) or but(path):
            continue
        stem = path.stem[: len(path.stem) - len(suffix)]
        name = unicodedata.normalize("NFC", (path.parent.relative_to(folder) / stem).as_posix())
        if name in found:
            raise MXNetSegError(
                f"{found[name]} and {path} have the same stem; keep one of the two, or (data.name: folder) say the "
                f"ending in data.image_suffix or data.mask_suffix, such as {path.suffix}"
            )
        found[name] = path
    return found


def pairs_below(image_dir: Path, mask_dir: Path, spec: DatasetSpec, labelled: bool = True) -> Tuple[Files, Files]:
    """Images and masks; where they lie in one folder, or one in the other's, no file is both.

    None where the data set has no folder for them; no masks where they are not `labelled`.
    """
    images, masks = image_rule(spec), mask_rule(spec)
    if spec.images and spec.masks and image_dir == mask_dir:
        images, masks = _told_apart(images, masks)
        longer, shorter = (images, masks) if len(images[0]) > len(masks[0]) else (masks, images)

        def other(path: Path) -> bool:
            return longer[0] != shorter[0] and _takes(longer, path)

        found = {rule: by_stem(image_dir, *rule, *([other] if rule is shorter else [])) for rule in (images, masks)}
        return found[images], found[masks] if labelled else {}
    in_images, in_masks = image_dir in mask_dir.parents, mask_dir in image_dir.parents
    found_images = by_stem(image_dir, *images, lambda p: in_images and mask_dir in p.parents) if spec.images else {}
    if not (labelled and spec.masks):
        return found_images, {}
    return found_images, by_stem(mask_dir, *masks, lambda p: in_masks and image_dir in p.parents)


def image_rule(spec: DatasetSpec) -> Rule:
    """What the stem of an image ends with besides what it shares with its mask, and its possible endings."""
    return _rule(spec.image_suffix, IMAGES)


def mask_rule(spec: DatasetSpec) -> Rule:
    """The same of a mask."""
    return _rule(spec.mask_suffix, (spec.mask_ending,) if spec.mask_ending else MASKS)


def _rule(suffix: str, endings: Tuple[str, ...]) -> Rule:
    """ "_gt.png" says the ending as well."""
    ending = next((e for e in (*IMAGES, *MASKS, ".mat", ".txt") if suffix.lower().endswith(e)), "")
    return (suffix[: -len(ending)], (ending,)) if ending else (suffix, endings)


def _told_apart(images: Rule, masks: Rule) -> Tuple[Rule, Rule]:
    """x.jpg and x.png: where stems can't tell images from masks, endings do."""
    common = set(images[1]) & set(masks[1])
    if images[0] != masks[0] or not common:
        return images, masks
    if len(images[1]) == 1:
        return images, (masks[0], tuple(e for e in masks[1] if e not in common))
    if len(masks[1]) == 1:
        return (images[0], tuple(e for e in images[1] if e not in common)), masks
    return (images[0], LOSSY), masks


def _takes(rule: Rule, path: Path) -> bool:
    return path.suffix.lower() in rule[1] and path.stem.endswith(rule[0])
