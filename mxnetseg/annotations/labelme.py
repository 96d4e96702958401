"""LabelMe: a JSON file beside every image."""

import base64
import contextlib
from pathlib import Path
from typing import List, Optional, Tuple, Union

import numpy as np

from ..data.spec import IMAGES
from ..errors import MXNetSegError
from .picture import Annotations, Kinds, Objects, Picture, Request, Thing, split_of
from .reading import Content, Coordinate, Side, each, files_like, read_json
from .shapes import Polygon, Shape, box, ellipse, line, pixels

__all__ = ["read"]

KINDS = {"rectangle": "box", "line": "line", "linestrip": "line", "point": "point", "points": "point"}
CORNERS = {"polygon": 3, "rectangle": 2, "circle": 2, "line": 2, "linestrip": 2, "mask": 2}


class _Shape(Content):
    label: str
    points: List[Tuple[Coordinate, Coordinate]]
    shape_type: Optional[str] = "polygon"
    group_id: Optional[Union[int, str]] = None
    mask: Optional[str] = None


class _File(Content):
    shapes: List[_Shape]
    imagePath: str
    imageData: Optional[str] = None
    imageHeight: Optional[Side] = None
    imageWidth: Optional[Side] = None


def read(request: Request) -> Annotations:
    """All pictures below the source; later shapes lie on top.

    Shapes of one label and one `group_id` are one object. One with the label `request.hole` is cut out of the objects
    of its group.

    Raises
    ------
    MXNetSegError
        A file that is none of LabelMe's, whose image is not there, or with shapes that aren't drawn.
    """
    files = files_like(request.source, request.pattern or "**/*.json")
    pictures = each(lambda path: _picture(path, request), files)
    names = sorted({thing.label for picture in pictures for thing in picture.things})
    return Annotations(names, pictures, "last")


def _picture(path: Path, request: Request) -> Picture:
    content = read_json(path, _File, "a file of LabelMe")
    size = (content.imageHeight, content.imageWidth) if content.imageHeight and content.imageWidth else None
    image: Union[Path, bytes, None] = _beside(path, content.imagePath) or request.images.find(content.imagePath, path)
    if image is None and content.imageData:
        try:
            image = base64.b64decode(content.imageData, validate=True)
        except ValueError as err:
            raise MXNetSegError(f"{path}: imageData is not in base64 ({err})") from err
    if image is None:
        raise MXNetSegError(
            f"{path}: no image {content.imagePath[:200]} below {request.images.folder}; name its folder with --images"
        )
    name = path.relative_to(request.source).with_suffix("").as_posix()
    things = _things(content, str(path), request)
    return Picture(str(path), image, name, size, things, split_of(Path(name)))


def _beside(path: Path, image: str) -> Optional[Path]:
    """The image where its file says that it is, from its own place on."""
    found = path.parent / image
    with contextlib.suppress(OSError, ValueError):  # a name that no file can have
        return found if found.suffix.lower() in IMAGES and found.is_file() else None
    return None


def _things(content: _File, source: str, request: Request) -> List[Thing]:
    objects = Objects(source, request.hole)
    for number, shape in enumerate(content.shapes):
        label = shape.label.strip()
        where = f"{source}, shape {number} ({label})"
        if not label:
            raise MXNetSegError(f"{where} has no label")
        group = None if shape.group_id is None else str(shape.group_id)
        objects.add(label, group, _shapes(shape, where, request.kinds, request.max_pixels), where)
    return objects.things()


def _shapes(shape: _Shape, where: str, kinds: Kinds, max_pixels: int) -> List[Shape]:
    kind = shape.shape_type or "polygon"
    if not kinds.take(KINDS.get(kind, "area" if kind in CORNERS else kind), where):
        return []
    points = np.array(shape.points, np.float64).reshape(-1, 2)
    needed = CORNERS[kind]
    if len(points) < needed:
        raise MXNetSegError(f"{where}: a {kind} of {len(points)} points; it needs {needed}")
    if kind == "polygon":
        return [Polygon(points)]
    if kind == "circle":
        radius = float(np.hypot(*(points[1] - points[0])))
        return [ellipse(points[0, 0], points[0, 1], radius, radius)]
    (left, top), (right, bottom) = np.sort(points[:2], axis=0)
    if kind == "rectangle":
        return [box(left, top, right, bottom)]
    if kind == "mask":
        width, height = int(right) - int(left) + 1, int(bottom) - int(top) + 1
        try:
            return [pixels(shape.mask or "", int(top), int(left), width * height, max_pixels)]
        except MXNetSegError as err:
            raise MXNetSegError(f"{where}: {err}") from err
    return [*line(points, kinds.line_width)]
