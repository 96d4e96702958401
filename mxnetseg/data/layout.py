"""Where a data set lies on disk, and what is said of where it should."""

from pathlib import Path
from typing import Tuple

from ..commands import typed
from ..config.schema import DataConfig
from ..errors import MXNetSegError
from ..names import near
from .spec import DatasetSpec

__all__ = ["expected_layout", "find_layout", "near_split", "root_of"]


def root_of(data: DataConfig, spec: DatasetSpec) -> Path:
    """`data.root`, else datasets/<name>, else where the toolkit of 2022 had it."""
    usual = Path(data.root) if data.root else Path("datasets") / spec.name
    candidates = [usual] if data.root or not spec.old_root else [usual, Path("dataset") / spec.old_root]
    for root in candidates:
        if root.is_dir():
            return root
    raise MXNetSegError(
        f"data set {spec.name}: no folder {usual}; name the right one with --root DIR (data.root)."
        + expected_layout(spec)
    )


def find_layout(entry: DatasetSpec, root: Path, split: str, labelled: bool) -> Tuple[DatasetSpec, Path]:
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


def expected_layout(spec: DatasetSpec) -> str:
    """The end of a message about something that is missing: what is expected where, and what makes it."""
    if spec.name == "folder":
        return ""
    from .prepare import PREPARATIONS

    text = f" Expected below it: {'; or '.join(map(', '.join, spec.describe()))}" + (
        f" ({spec.homepage})" if spec.homepage else ""
    )
    if spec.name in PREPARATIONS:
        text += typed(f". `mxnetseg data prepare {spec.name} --from DOWNLOADS --to DIR` makes it from the downloads")
    return text


def near_split(spec: DatasetSpec, split: str) -> str:
    """The splits that there are, in parentheses, where `split` is none of them."""
    if split in spec.splits or not spec.splits:
        return ""
    close = near(split, spec.splits)
    if not close:
        # where only training and test images are official, the user has to say which are scored
        return f" (its splits are {', '.join(spec.splits)}; say which with data.train_split, data.val_split or --split)"
    return f" (its splits are {', '.join(spec.splits)}; did you mean {close[0]}?)"
