"""Read every file of a data set, and say what is wrong before a run does."""

import contextlib
import hashlib
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from tqdm import tqdm

from ..config.schema import DataConfig
from ..errors import MXNetSegError
from .catalog import get_spec
from .dataset import Dataset
from .layout import root_of
from .opening import open_dataset
from .workers import check_workers, in_order

__all__ = ["check", "splits_of"]

FEW = 32  # images: fewer are not worth starting workers for
LISTED = 3  # files that a message names


class _Look(NamedTuple):
    """What one pair turned out to be."""

    size: Optional[Tuple[int, int]]
    values: Dict[int, int]  # value in the mask -> pixels
    digest: str
    problem: str


class _Reader:
    """Task of a worker: read one pair."""

    def __init__(self, dataset: Dataset):
        self.dataset = dataset

    def name(self, index) -> str:
        return f"{self.dataset.split}/{self.dataset.names[index]}"

    def __call__(self, index: int) -> _Look:
        path = self.dataset.image_paths[index]
        size, values, digest, problems = None, {}, "", []
        try:
            image = self.dataset.image(path)
            size = image.shape[:2]
            digest = hashlib.blake2b(Path(path).read_bytes(), digest_size=16).hexdigest()
        except MXNetSegError as err:
            problems.append(str(err))
        if self.dataset.mask_paths is not None:
            mask_path = self.dataset.mask_paths[index]
            try:
                mask = self.dataset.mask(mask_path)
                values = _counts(mask)
                if size and mask.shape != size:
                    problems.append(
                        f"{path} is {_size(size)}, but its mask {mask_path} is {_size(mask.shape)} (width x height); "
                        "they have to be of one size"
                    )
            except MXNetSegError as err:
                problems.append(str(err))
        return _Look(size, values, digest, "; ".join(problems))


def splits_of(data: DataConfig) -> List[str]:
    """The splits to look at: the official ones, or those that the recipe trains and validates on."""
    return list(get_spec(data).splits) or _used(data)


def _used(data: DataConfig) -> List[str]:
    """The splits of a recipe, each once; train+val are two."""
    return list(dict.fromkeys(f"{data.train_split}+{data.val_split}".split("+")))


def check(
    data: DataConfig, splits: Optional[Sequence[str]] = None, workers: int = 0, progress: bool = True
) -> Dict[str, dict]:
    """Look through the splits of a data set.

    Parameters
    ----------
    data : DataConfig
    splits : sequence of str, optional
        The official ones when left out; all of these but train and val may be missing.
    workers : int
        Processes.
    progress : bool
        Show a progress bar.

    Returns
    -------
    dict
        `dataset`, `root`, `splits` (per split: `images`, `labelled`, `sizes`, `classes` with pixels, share and
        images, `ignored`, `unknown`, `never`), `problems` (messages) and `notes` (what is worth knowing, but no
        mistake).

    Raises
    ------
    MXNetSegError
        An unknown data set, or no folder.
    """
    check_workers(workers)
    spec = get_spec(data)
    root = root_of(data, spec)
    report = dict(dataset=spec.name, root=str(root), splits={}, problems=[], notes=[])
    seen: Dict[str, Tuple[str, Path]] = {}
    for split in splits or splits_of(data):
        labelled = split not in spec.unlabelled
        try:
            dataset = open_dataset(data, split, labelled, report["problems"])
        except MXNetSegError as err:
            optional = splits is None and split not in _used(data)
            if optional:
                report["notes"].append(f"{split} left out: {str(err).partition(' Expected below')[0]}")
            else:
                report["problems"].append(str(err))
            continue
        if len(dataset):
            report["splits"][split] = _split(dataset, report, seen, workers, progress)
    if not report["splits"] and not report["problems"]:
        report["problems"].append(f"none of the splits {', '.join(splits_of(data))} is below {root}")
    return report


def _split(dataset: Dataset, report: dict, seen, workers: int, progress: bool) -> dict:
    spec, split = dataset.spec, dataset.split
    classes, ignored = spec.raw_values(), set(spec.ignore)
    pixels, images = np.zeros(spec.num_classes, np.int64), np.zeros(spec.num_classes, np.int64)
    sizes: Dict[str, int] = {}
    unknown: Dict[int, dict] = {}
    void = 0
    twice: Dict[str, List[str]] = {}
    looks = in_order(_Reader(dataset), range(len(dataset)), workers if len(dataset) > FEW else 0)
    bar = tqdm(total=len(dataset), desc=split, unit="img", disable=not progress, leave=False)
    with bar, contextlib.closing(looks):
        for index, look in enumerate(looks):
            bar.update()
            if look.problem:
                report["problems"].append(look.problem)
            if look.size:
                sizes[_size(look.size)] = sizes.get(_size(look.size), 0) + 1
            there = set()
            for value, count in look.values.items():
                if value in classes:
                    pixels[classes[value]] += count
                    there.add(classes[value])
                elif value in ignored:
                    void += count
                else:
                    found = unknown.setdefault(value, dict(pixels=0, masks=0, files=[]))
                    found["pixels"] += count
                    found["masks"] += 1
                    if len(found["files"]) < LISTED:
                        found["files"].append(str(dataset.mask_paths[index]))
            images[list(there)] += 1
            if look.digest:
                path = dataset.image_paths[index]
                other, first = seen.setdefault(look.digest, (split, path))
                if first != path:
                    twice.setdefault(other, []).append(f"{first} and {path}")
    _tell_twice(report, split, twice)
    labelled = dataset.mask_paths is not None
    total = max(int(pixels.sum()) + void, 1)
    never = [name for name, count in zip(spec.classes, pixels) if not count] if labelled else []
    if never and len(never) < spec.num_classes:
        report["notes"].append(f"{split}: classes that never occur: {', '.join(never)}")
    elif never:
        report["problems"].append(
            f"{split}: no pixel of any class of {spec.name} in the masks (such as {dataset.mask_paths[0]}); "
            "are they another data set's, or in another format?"
        )
    for value, found in sorted(unknown.items()):
        report["problems"].append(
            f"{split}: label value {value} is neither a class nor ignored: {found['pixels']} pixels in "
            f"{found['masks']} masks, {', '.join(found['files'])}; {dataset.remedy()}"
        )
    return dict(
        images=len(dataset),
        labelled=labelled,
        sizes=dict(sorted(sizes.items(), key=lambda item: -item[1])),
        classes={
            name: dict(pixels=int(p), share=round(int(p) / total, 6), images=int(i))
            for name, p, i in zip(spec.classes, pixels, images)
        },
        ignored=dict(pixels=int(void), share=round(int(void) / total, 6)),
        unknown={str(value): found for value, found in sorted(unknown.items())},
        never=never,
    )


def _tell_twice(report: dict, split: str, twice: Dict[str, List[str]]) -> None:
    for other, pairs in twice.items():
        named = "; ".join(pairs[:LISTED])
        if other == split:
            report["notes"].append(f"{split}: {len(pairs)} images are there twice: {named}")
        else:
            report["problems"].append(
                f"{len(pairs)} images are in {other} and in {split}, so scores would be too good: {named}; "
                "remove them from one of the two"
            )


def _counts(mask: np.ndarray) -> Dict[int, int]:
    if mask.dtype == np.uint8:
        counts = np.bincount(mask.ravel(), minlength=256)
        return {int(value): int(counts[value]) for value in np.flatnonzero(counts)}
    values, counts = np.unique(mask, return_counts=True)
    return {int(value): int(count) for value, count in zip(values, counts)}


def _size(shape) -> str:
    return f"{shape[1]}x{shape[0]}"
