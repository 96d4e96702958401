"""Which images train, and which validate: deterministic, groups together, rare classes in every part."""

import hashlib
import os
import re
from pathlib import Path
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence

import numpy as np

from ..errors import MXNetSegError
from ..names import counted
from ..saving import check_free, write_files
from .dataset import Dataset

__all__ = ["Split", "below", "groups_by", "list_files", "split_groups", "write_lists"]


class Split(NamedTuple):
    """What each part gets.

    Attributes
    ----------
    parts : dict
        Name of a part -> numbers of the images, in their order.
    missing : dict
        Name of a part -> classes that none of its images shows.
    """

    parts: Dict[str, List[int]]
    missing: Dict[str, List[int]]


def groups_by(paths: Sequence[str], pattern: Optional[str]) -> List[str]:
    """The group of every path: what the regular expression's first (...) finds in it, or all that it finds.

    Without a pattern every path is a group of its own.

    Raises
    ------
    MXNetSegError
        A wrong expression, or paths in which it finds nothing.
    """
    if pattern is None:
        return list(paths)
    try:
        expression = re.compile(pattern)
    except re.error as err:
        raise MXNetSegError(f"--by {pattern}: not a regular expression ({err})") from err
    found = [expression.search(path) for path in paths]
    without = [path for path, match in zip(paths, found) if match is None]
    if without:
        raise MXNetSegError(
            f"--by {pattern}: finds nothing in {len(without)} of {len(paths)} names, such as {without[0]}; it has to "
            "find every image's group, for example --by '([^/]+)_[0-9]+' for seq01_0001.jpg"
        )
    return [(match.group(1) if expression.groups else match.group()) or "" for match in found if match]


def split_groups(
    groups: Sequence[str], shares: Mapping[str, float], seed: int = 0, shown: Optional[np.ndarray] = None
) -> Split:
    """Share images out, the images of a group to one part.

    The same names, shares and seed give the same parts on every machine; the order of the images does not matter.

    Parameters
    ----------
    groups : sequence of str
        The group of every image.
    shares : mapping
        Name of a part -> its share of the images, about; they add up to 1, the first part takes what the others don't.
    shown : (images, classes) bool array, optional
        Which classes an image shows. Then every class is shared out like that, the rarest first (Sechidis et al., On
        the Stratification of Multi-Label Data, 2011), and is in every part if enough groups show it.

    Raises
    ------
    MXNetSegError
        Fewer groups than parts, or a part that gets nothing.
    """
    names = sorted(set(groups), key=lambda name: hashlib.sha256(f"{seed} {name}".encode("utf-8", "replace")).digest())
    members: Dict[str, List[int]] = {name: [] for name in names}
    for number, name in enumerate(groups):
        members[name].append(number)
    if len(names) < len(shares):
        raise MXNetSegError(
            f"{counted(len(names), 'group')} can't be shared out to {', '.join(shares)}; every part needs one"
        )
    sizes = np.array([len(members[name]) for name in names])
    images = np.zeros((len(names), 0), np.int64)  # of every group and class, those that show it
    if shown is not None:
        images = np.array([shown[members[name]].sum(0) for name in names])
    place = _share_out(sizes, images, np.array(list(shares.values())))
    parts = {
        part: sorted(number for index in np.flatnonzero(place == position) for number in members[names[index]])
        for position, part in enumerate(shares)
    }
    empty = [part for part, numbers in parts.items() if not numbers]
    if empty:
        raise MXNetSegError(f"{empty[0]} would get none of the {len(groups)} images; give it a larger share")
    missing = {
        part: [int(c) for c in np.flatnonzero(images.any(0) & ~images[place == position].any(0))]
        for position, part in enumerate(shares)
    }
    return Split(parts, missing)


def _share_out(sizes: np.ndarray, images: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """The part of every group."""
    place = np.full(len(sizes), -1)
    need = sizes.sum() * shares  # images that each part lacks still
    lacking = images.sum(0)[None] * shares[:, None]  # the same by class
    for _ in range(images.shape[1]):
        left = (images[place < 0] > 0).sum(0)
        if not left.any():
            break
        rarest = int(np.argmin(np.where(left > 0, left, len(sizes) + 1)))
        for group in np.flatnonzero((place < 0) & (images[:, rarest] > 0)):
            has = np.array([(images[place == part, rarest] > 0).any() for part in range(len(shares))])
            # a part without the class first, then the one that lacks most of it, then most images
            place[group] = max(
                range(len(shares)), key=lambda part: (not has[part], lacking[part, rarest], need[part], -part)
            )
            need[place[group]] -= sizes[group]
            lacking[place[group]] -= images[group]
    rest = np.flatnonzero(place < 0)
    for group in rest[np.argsort(-sizes[rest], kind="stable")]:  # large ones while there is room
        place[group] = int(np.argmax(need))
        need[place[group]] -= sizes[group]
    _mend(place, sizes, images, len(shares))
    return place


def _mend(place: np.ndarray, sizes: np.ndarray, images: np.ndarray, parts: int) -> None:
    """Move groups to parts that lack a class, where the part that they come from loses none."""
    for part in range(parts):
        for rare in np.flatnonzero(images.any(0) & ~images[place == part].any(0)):
            for group in sorted(np.flatnonzero(images[:, rare] > 0), key=lambda group: (sizes[group], group)):
                others = (place == place[group]) & (np.arange(len(place)) != group)
                if images[others].any(0)[images[group] > 0].all():
                    place[group] = part
                    break


def list_files(pattern: str, root: Path, parts: Sequence[str]) -> Dict[str, Path]:
    """The list of every part, `pattern` below `root` with the part's name for {split}.

    Raises
    ------
    MXNetSegError
        One is there already, or can't be written; the pattern has other braces, which recipes can't have.
    """
    if re.search("[{}]", pattern.replace("{split}", "")):
        raise MXNetSegError(f"{pattern}: a name with braces besides {{split}} can't be that of lists; choose another")
    files = {part: root / pattern.replace("{split}", part) for part in parts}
    check_free(
        files.values(),
        remedy="move it away, or name others (data split --lists); what was scored by it can't be compared afterwards",
    )
    return files


def write_lists(dataset: Dataset, parts: Mapping[str, Sequence[int]], files: Mapping[str, Path], root: Path) -> None:
    """Write an image and its mask a line, as paths below `root` with a tab between them; all lists or none.

    Raises
    ------
    MXNetSegError
        A name with a tab or a line break in it, or a list that can't be written.
    """
    masks = dataset.masks()
    contents: Dict[Path, List[bytes]] = {}
    for part, numbers in parts.items():
        lines = [f"{below(dataset.image_paths[n], root)}\t{below(masks[n], root)}\n" for n in numbers]
        contents[files[part]] = ["".join(lines).encode("utf-8", "surrogateescape")]
    write_files(contents)


def below(path: Path, root: Path) -> str:
    """The path from `root`, as a list has it."""
    text = Path(os.path.relpath(path, root)).as_posix()
    if re.search(r"[\t\r\n]", text):
        raise MXNetSegError(f"{str(path)!r}: a list can't hold a name with a tab or a line break; rename it")
    # what begins otherwise could be taken for a comment, or for quoted
    return f"./{text}" if text[0] in "#\"'" or text[0].isspace() else text
