"""CVAT for images 1.1: an XML file for many images."""

import re
from pathlib import Path
from typing import List, Optional, Tuple
from xml.etree.ElementTree import Element

import numpy as np

from ..errors import MXNetSegError
from .picture import Annotations, Kinds, Objects, Picture, Request, Thing
from .reading import Attributes, each, files_like, read_xml
from .shapes import Bitmap, Polygon, Shape, box, ellipse, line

__all__ = ["read"]

KINDS = {"polygon": "area", "mask": "area", "ellipse": "area", "box": "box", "polyline": "line", "points": "point"}
OTHERS = ("cuboid", "skeleton")  # drawn in CVAT, but never here


def read(request: Request) -> Annotations:
    """All pictures of all XML files below the source; a higher z_order lies on top, then what comes later.

    Classes are in the order of the task's labels. Shapes of one label and one group_id are one object. One with the
    label `request.hole` is cut out of the objects of its group.

    Raises
    ------
    MXNetSegError
        A file that is none of CVAT's for images, images that are not there, shapes that aren't drawn.
    """
    names: List[str] = []
    missing: List[str] = []
    files = files_like(request.source, request.pattern or "**/*.xml")
    images = [image for several in each(lambda path: _images(path, names), files) for image in several]
    pictures = [one for one in each(lambda image: _picture(*image, request, missing), images) if one]
    request.images.check_found(missing)
    found_names = {thing.label for picture in pictures for thing in picture.things}
    return Annotations(names + sorted(found_names - set(names)), pictures, "last")


def _images(path: Path, names: List[str]) -> List[Tuple[Path, Element]]:
    """The images of a file, whose labels are added to `names`."""
    root = read_xml(path, "annotations", "a file of CVAT")
    version = (root.findtext("version") or "").strip()
    if version not in ("1.0", "1.1") or root.find("track") is not None:
        raise MXNetSegError(
            f"{path}: version {version[:20] or 'unknown'}"
            f"{', with tracks of a video' if root.find('track') is not None else ''}; "
            "export the task from CVAT as 'CVAT for images 1.1'"
        )
    labels = [(text.text or "").strip() for text in root.findall("meta//labels/label/name")]
    names += [label for label in dict.fromkeys(labels) if label and label not in names]
    return [(path, image) for image in root.findall("image")]


def _picture(path: Path, image: Element, request: Request, missing: List[str]) -> Optional[Picture]:
    """An image of a file; None where it is not there, which is added to `missing`."""
    facts = Attributes(dict(image.attrib), f"{path}, image {image.get('name', '')}")
    found = request.images.find(facts.text("name"), path)
    if found is None:
        missing.append(facts.text("name"))
        return None
    size = (facts.whole("height", 1, 100_000), facts.whole("width", 1, 100_000))
    things = _things(image, facts.where, size[0] * size[1], request)
    name = found.relative_to(request.images.folder).with_suffix("").as_posix()
    subset = image.get("subset", "").strip().lower()
    if not re.fullmatch(r"[\w-]*", subset):  # it becomes the name of a file
        raise MXNetSegError(f"{facts.where}: subset {subset[:40]!r}; use letters, digits, - and _ only")
    split = {"default": "", "training": "train", "validation": "val"}.get(subset, subset)
    return Picture(facts.where, found, name, size, things, split)


def _things(image: Element, where: str, most: int, request: Request) -> List[Thing]:
    objects = Objects(where, request.hole)
    for element in image:
        if element.tag not in KINDS and element.tag not in OTHERS or element.get("outside") == "1":
            continue
        facts = Attributes(dict(element.attrib), f"{where}, {element.tag} {element.get('label', '')}")
        drawn = _shapes(element.tag, facts, most, request.kinds)
        layer = int(facts.number("z_order", 0))
        objects.add(facts.text("label"), element.get("group_id") or None, drawn, facts.where, layer)
    return objects.things()


def _shapes(kind: str, facts: Attributes, most: int, kinds: Kinds) -> List[Shape]:
    if not kinds.take(KINDS.get(kind, kind), facts.where):
        return []
    if kind in ("polygon", "polyline"):
        values = facts.numbers("points", ",;")
        if len(values) % 2 or len(values) < (6 if kind == "polygon" else 4):
            raise MXNetSegError(f"{facts.where}: {len(values)} values are not the corners of a {kind}")
        points = np.array(values, np.float64).reshape(-1, 2)
        return [Polygon(points)] if kind == "polygon" else [*line(points, kinds.line_width)]
    turned = facts.number("rotation", 0)
    if kind == "box":
        left, top, right, bottom = (facts.number(name) for name in ("xtl", "ytl", "xbr", "ybr"))
        return [box(left, top, right, bottom, turned)]
    if kind == "ellipse":
        x, y, across, down = (facts.number(name) for name in ("cx", "cy", "rx", "ry"))
        return [ellipse(x, y, across, down, turned)]
    size = (facts.whole("height", 1, most), facts.whole("width", 1, most))
    runs = np.array(facts.numbers("rle", ", "))
    if size[0] * size[1] > most or runs.min() < 0 or (runs % 1).any() or runs.sum() != size[0] * size[1]:
        raise MXNetSegError(f"{facts.where}: run lengths that don't fill {size[1]}x{size[0]} pixels")
    low = -100_000
    return [Bitmap(facts.whole("top", low, -low), facts.whole("left", low, -low), size, runs.astype(np.int64))]
