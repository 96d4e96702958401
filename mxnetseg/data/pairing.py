"""Which file is whose: images and masks by the stem that they share, or by a list."""

from pathlib import Path
from typing import Collection, Dict, Iterable, List, Optional, Tuple

from ..errors import MXNetSegError
from .spec import IMAGES, DatasetSpec

__all__ = ["Files", "by_stem", "listed", "partner_problems"]

Files = Dict[str, Path]  # by the name that image and mask share


def by_stem(folder: Path, suffix: str, endings: Collection[str]) -> Files:
    """Relative stem without `suffix` -> file."""
    found: Files = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in endings or path.name.startswith(".") or not path.stem.endswith(suffix):
            continue
        stem = path.stem[: len(path.stem) - len(suffix)]
        name = (path.parent.relative_to(folder) / stem).as_posix()
        if name in found:
            raise MXNetSegError(f"{found[name]} and {path} have the same stem; keep one of the two")
        found[name] = path
    return found


def listed(
    path: Path, images: Files, masks: Files, spec: DatasetSpec, image_dir: Path, mask_dir: Path, labelled: bool
) -> Tuple[Files, Files]:
    """The images and masks that a list names, in its order, by the image's name."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as err:
        raise MXNetSegError(f"{path}: not a list that can be read ({err})") from err
    listed_images: Files = {}
    listed_masks: Files = {}
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


def _named(entry: str, files: Files, *suffixes: str) -> Optional[str]:
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


def partner_problems(images: Files, masks: Files, image_dir: Path, mask_dir: Path, spec: DatasetSpec) -> List[str]:
    """What is to be said of images without masks, and of masks without images."""
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


def _some(paths: Iterable[object], most: int = 3) -> str:
    texts = [str(p) for p in paths]
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" if len(texts) > most else "")
