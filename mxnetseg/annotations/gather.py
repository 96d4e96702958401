"""Which pictures become masks, and under which names: each once."""

import os
from pathlib import Path, PurePosixPath
from typing import Dict, List, Tuple

from ..errors import MXNetSegError
from ..names import counted
from .picture import Picture, split_of
from .reading import Images, listed

__all__ = ["named", "with_others"]


def with_others(pictures: List[Picture], pool: Images, keep: bool) -> Tuple[List[Picture], List[str]]:
    """The pictures, with those that no annotation speaks of if they are kept; and what is to be said of them."""
    spoken = {picture.image.resolve() for picture in pictures if isinstance(picture.image, Path)}
    sources = {picture.source for picture in pictures}  # of masks of colours, which are pictures too
    others = [path for path in pool.files if path.resolve() not in spoken and str(path) not in sources]
    notes = []
    if others:
        what = "kept, with nothing drawn" if keep else "left out (--keep-empty keeps them)"
        notes.append(f"{what}: {counted(len(others), 'image')} that no annotation file speaks of: {listed(others, 3)}")
    bare = [picture.source for picture in pictures if not picture.things]
    if bare:
        notes.append(f"annotated with nothing: {counted(len(bare), 'image')}: {listed(bare, 3)}")
    if keep:
        names = [path.relative_to(pool.folder).with_suffix("").as_posix() for path in others]
        pictures = pictures + [
            Picture(str(path), path, name, None, [], split_of(Path(name))) for path, name in zip(others, names)
        ]
    return pictures, notes


def named(pictures: List[Picture]) -> List[Picture]:
    """The pictures, without the folders that all their names begin with; no image twice, no name twice.

    Raises
    ------
    MXNetSegError
        Two would have one name.
    """
    parents = [str(PurePosixPath(picture.name).parent) for picture in pictures]
    common = os.path.commonpath(parents) if parents else ""
    shorter = [
        picture._replace(name=PurePosixPath(picture.name).relative_to(common or ".").as_posix()) for picture in pictures
    ]
    images: Dict[Path, Picture] = {}
    for picture in shorter:
        if isinstance(picture.image, Path) and images.setdefault(picture.image.resolve(), picture) is not picture:
            raise MXNetSegError(
                f"{images[picture.image.resolve()].source} and {picture.source} annotate one image, {picture.image}; "
                "keep one of the two, or name the files to take with --annotations PATTERN"
            )
    first: Dict[str, Picture] = {}
    for picture in shorter:
        other = first.setdefault(picture.name, picture)
        if other is not picture:
            raise MXNetSegError(
                f"{other.source} and {picture.source} would both become {picture.name}; keep one of the two, or name "
                "the files to take with --annotations PATTERN"
            )
    return shorter
