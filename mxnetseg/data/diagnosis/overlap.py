"""The same file, or the same picture, in two splits."""

import hashlib
import os
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Callable, Dict, Hashable, Iterator, List, Sequence, Tuple

import numpy as np

from ...errors import MXNetSegError
from ...names import counted
from ..dataset import Dataset
from ..hints import some
from .finding import Finding
from .look import SIDE
from .tally import Tally

__all__ = ["alike_findings", "file_findings", "picture_findings", "twice_findings"]

FEW = 0.01  # share of a split that may be in another one by accident, as in some published sets
ALIKE = 0.9995  # correlation of thumbnails: copies, even at half the size and in JPEG's quality 30, have 0.9999
BLOCK = 1 << 14  # bytes

Pairs = List[Tuple[Path, Path]]


def file_findings(datasets: Sequence[Dataset], others: Sequence[Dataset] = ()) -> Iterator[Finding]:
    """Files of one split that are in another, found by where they lie, or by size and content; few are read."""
    facts = [(dataset, _facts(dataset)) for dataset in (*others, *datasets)]
    for (first, one), (second, two) in combinations(facts, 2):
        if second in others:
            continue
        there = {file: path for file, (path, _) in one.items()}
        same = [(there[file], path) for file, (path, _) in two.items() if file in there]
        alike = _same_content(
            *([pair for file, pair in part.items() if file not in other] for part, other in ((one, two), (two, one)))
        )
        same += sorted(pair for pair in alike if not _blank(first, pair[0]))
        yield from _told(first, second, same, min(len(first), len(second)))


def picture_findings(tallies: Sequence[Tally]) -> Iterator[Finding]:
    """Pictures that decode to the same pixels, among those that were looked at."""
    for first, second in combinations(tallies, 2):
        one, two = first.dataset.image_paths, second.dataset.image_paths
        pairs = [
            (one[first.digests[key][0]], two[i])
            for key in second.digests
            if key in first.digests
            for i in second.digests[key]
        ]
        yield from _told(first.dataset, second.dataset, pairs, min(first.looked, second.looked))


def twice_findings(tallies: Sequence[Tally]) -> Iterator[Finding]:
    """Pictures that a split holds twice, and masks that it gives to several."""
    for tally in tallies:
        twice = [indices for indices in tally.digests.values() if len(indices) > 1]
        if twice:
            paths = tally.dataset.image_paths
            named = [" and ".join(str(paths[i]) for i in indices[:2]) for indices in twice]
            yield Finding(
                "twice", False, f"{tally.dataset.split}: {counted(len(twice), 'image')} there twice: {some(named)}"
            )
        masks = Counter(tally.dataset.mask_paths or ())
        shared = [f"{path} ({count} images)" for path, count in masks.items() if count > 1]
        if shared:
            what = f"{tally.dataset.split}: {counted(len(shared), 'mask')} that several images share: {some(shared)}"
            yield Finding("shared_mask", False, what, "right for a camera that stands still; else mend the list")


def alike_findings(tallies: Sequence[Tally]) -> Iterator[Finding]:
    """Pictures that are not the same, but look it: copies of other sizes, qualities or mirrored, a still camera's."""
    for first, second in combinations(tallies, 2):
        pairs = _alike(first, second)
        if pairs:
            share = len(pairs) / max(min(first.looked, second.looked), 1)
            names = [f"{a} and {b}" for a, b in pairs]
            yield Finding(
                "alike",
                False,
                f"{len(pairs)} images of {second.dataset.split} look just like one of {first.dataset.split}: "
                + some(names),
                "copies, or frames of one video? Scores would be too good; `mxnetseg data split --by PATTERN` keeps "
                "groups together",
                tuple(str(path) for pair in pairs for path in pair),
                share=share,
            )


def _told(first: Dataset, second: Dataset, pairs: Pairs, images: int) -> Iterator[Finding]:
    if pairs:
        share = len(pairs) / max(images, 1)
        yield Finding(
            "two_splits",
            share > FEW,
            f"{counted(len(pairs), 'image')} in both {first.split} and {second.split}, so scores would be too good: "
            + some([str(a) if a == b else f"{a} and {b}" for a, b in pairs]),
            "remove them from one of the two",
            tuple(str(path) for pair in pairs for path in pair),
            share=share,
        )


def _facts(dataset: Dataset) -> Dict[Hashable, Tuple[Path, int]]:
    """What tells a file from others, whatever its name -> its path and size in bytes."""
    found: Dict[Hashable, Tuple[Path, int]] = {}
    for path in dataset.image_paths:
        try:
            stat = os.stat(path)
        except OSError:
            continue  # reading it tells
        found[(stat.st_dev, stat.st_ino) if stat.st_ino else str(path)] = path, stat.st_size
    return found


def _same_content(one: Sequence[Tuple[Path, int]], two: Sequence[Tuple[Path, int]]) -> Pairs:
    """Files of one size are compared by their ends, and those that have these in common as a whole."""
    pairs: Pairs = []
    sizes = {size for _, size in one} & {size for _, size in two}
    ours = _by(_ends, [path for path, size in one if size in sizes])
    theirs = _by(_ends, [path for path, size in two if size in sizes])
    for key in ours.keys() & theirs.keys():
        wholes = _by(_whole, ours[key])
        for path in theirs[key]:
            other = wholes.get(_whole(path))
            if other:
                pairs.append((other[0], path))
    return pairs


def _by(digest: Callable[[Path], bytes], paths: Sequence[Path]) -> Dict[bytes, List[Path]]:
    found: Dict[bytes, List[Path]] = {}
    for path in paths:
        found.setdefault(digest(path), []).append(path)
    return found


def _ends(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            start = file.read(BLOCK)
            file.seek(max(size - BLOCK, 0))
            return hashlib.blake2b(b"%d" % size + start + file.read(BLOCK), digest_size=16).digest()
    except OSError:
        return str(path).encode("utf-8", "surrogateescape")  # like no other; reading it tells


def _whole(path: Path) -> bytes:
    try:
        return hashlib.blake2b(path.read_bytes(), digest_size=16).digest()
    except OSError:
        return str(path).encode("utf-8", "surrogateescape")


def _blank(dataset: Dataset, path: Path) -> bool:
    """Whether a picture is of one colour, as many tiles of large ones are."""
    try:
        image = dataset.image(path)
    except MXNetSegError:
        return False
    return bool((image == image[0, 0]).all())


def _alike(first: Tally, second: Tally) -> Pairs:
    if not (first.thumbnails and second.thumbnails):
        return []
    ours = np.stack([thumbnail for _, thumbnail in first.thumbnails])
    digests = [{i: key for key, indices in tally.digests.items() for i in indices} for tally in (first, second)]
    pairs: Pairs = []
    for index, thumbnail in second.thumbnails:
        mirrored = thumbnail.reshape(SIDE, SIDE)[:, ::-1].ravel()
        likeness = np.maximum(ours @ thumbnail, ours @ mirrored)
        best = int(likeness.argmax())
        other = first.thumbnails[best][0]
        if likeness[best] >= ALIKE and digests[0].get(other) != digests[1].get(index):
            pairs.append((first.dataset.image_paths[other], second.dataset.image_paths[index]))
    return pairs
