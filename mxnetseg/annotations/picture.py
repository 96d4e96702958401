"""What annotation files say, whatever their format: pictures, and what is drawn on them."""

import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

from ..config.schema import MAX_PIXELS
from ..data.spec import Colour
from ..errors import MXNetSegError
from ..names import counted
from .reading import Images
from .shapes import Shape

__all__ = ["Annotations", "Kinds", "Objects", "Picture", "Request", "Thing", "split_of"]


class Thing(NamedTuple):
    """One object: the pixels of all its shapes, without those of its holes."""

    label: str
    shapes: List[Shape]
    holes: Sequence[Shape] = ()
    layer: int = 0  # higher ones lie on top, whatever else decides
    crowd: bool = False


class Picture(NamedTuple):
    """An image and its objects, in the order of the file."""

    source: str  # the annotation file, and where in it, for messages
    image: Union[Path, bytes]  # the image's file, or what it would hold
    name: str  # path without ending that the results get
    size: Optional[Tuple[int, int]]  # height and width, if the file says so
    things: List[Thing]
    split: str = ""


class Objects:
    """Collects the shapes of one picture.

    Those of one label and group are one object, and holes are cut out of the objects of their group.
    """

    def __init__(self, picture: str, hole: Optional[str] = None):
        self._picture = picture
        self._hole = hole
        self._things: List[Thing] = []
        self._groups: Dict[Tuple[str, str], Thing] = {}
        self._holes: Dict[str, List[Shape]] = defaultdict(list)

    def add(self, label: str, group: Optional[str], shapes: List[Shape], where: str, layer: int = 0) -> None:
        """Add what was drawn as one shape; `where` is for messages."""
        if label == self._hole:
            if group is None:
                raise MXNetSegError(f"{where} is a hole, but of no group; give it the group_id of its object")
            self._holes[group] += shapes
        elif group is not None and (group, label) in self._groups:
            self._groups[group, label].shapes.extend(shapes)
        elif shapes:
            self._things.append(Thing(label, shapes, self._holes[group] if group is not None else (), layer))
            if group is not None:
                self._groups[group, label] = self._things[-1]

    def things(self) -> List[Thing]:
        """The objects in the order of their first shapes."""
        groups = {group for group, _ in self._groups}
        alone = [group for group, holes in self._holes.items() if holes and group not in groups]
        if alone:
            raise MXNetSegError(
                f"{self._picture}: holes of the groups {', '.join(alone)[:60]}, which have no other shapes"
            )
        return self._things


REMEDIES = {
    "box": "--boxes draws them as filled rectangles, which makes coarse masks; --skip box leaves them out",
    "line": "--line-width PIXELS draws them that wide; --skip line leaves them out",
}


class Kinds:
    """Which kinds of shapes are drawn, left out or refused; counts them, so that one message tells of all."""

    def __init__(self, boxes: bool = False, line_width: Optional[float] = None, skip: Sequence[str] = ()):
        self.line_width = line_width or 0.0
        self._drawn = {"area", *(["box"] if boxes else []), *(["line"] if line_width else [])}
        self._skip = set(skip)
        self.skipped: Dict[str, int] = Counter()
        self._refused: Dict[str, int] = Counter()
        self._first: Dict[str, str] = {}

    def take(self, kind: str, where: str) -> bool:
        """Whether to draw a shape of this kind, found at `where`."""
        if kind in self._skip:
            self.skipped[kind] += 1
        elif kind not in self._drawn:
            self._refused[kind] += 1
            self._first.setdefault(kind, where)
        return kind in self._drawn and kind not in self._skip

    def check(self) -> None:
        """Raise MXNetSegError if there were shapes that are drawn only if that is asked for."""
        told = [
            f"{counted(count, 'shape')} of the kind {kind!r} (the first: {self._first[kind]}); "
            + REMEDIES.get(kind, f"--skip {kind} leaves them out")
            for kind, count in self._refused.items()
        ]
        if told:
            raise MXNetSegError("\n  ".join(told))


class Request(NamedTuple):
    """Where a reader looks, and for what.

    Attributes
    ----------
    source : Path
        Folder of the annotations.
    pattern : str
        Of the annotation files below it; empty: the format's usual one.
    images : Images
    kinds : Kinds
    hole : str, optional
        Label of shapes that are cut out of the objects of their group (LabelMe, CVAT).
    colors : path, optional
        File that says which colour is which class (colour masks).
    max_pixels : int
        Larger pictures are refused.
    """

    source: Path
    pattern: str
    images: Images
    kinds: Kinds
    hole: Optional[str] = None
    colors: Optional[Path] = None
    max_pixels: int = MAX_PIXELS


class Annotations(NamedTuple):
    """All that was found in a folder.

    Attributes
    ----------
    names : list of str
        Classes, in the order that they have where nothing else is asked for.
    pictures : list of Picture
    overlap : str
        Which of two objects is seen where both are, if nothing else is asked for: last, first or small.
    colours : dict
        Label -> RGB, if the files say so.
    rest : str, optional
        See `names.Wishes`: what it is if nothing else is asked for.
    """

    names: List[str]
    pictures: List[Picture]
    overlap: str
    colours: Dict[str, Colour] = {}
    rest: Optional[str] = None


def split_of(path: Path) -> str:
    """The split that the name of a file, or of a folder that it is in, speaks of: train, val, test or ""."""
    for part in reversed(path.with_suffix("").parts):
        words = re.findall(r"[a-z]+", part.lower())
        for split, names in (("train", ("train", "training")), ("val", ("val", "valid", "validation"))):
            if any(word in names for word in words):
                return split
        if any(word in ("test", "testing") for word in words):
            return "test"
    return ""
