"""Pascal VOC's detection XML: a file for every image, with boxes, or with polygons as some tools add them."""

import re
from pathlib import Path
from typing import Dict, List, Optional
from xml.etree.ElementTree import Element

import numpy as np

from ..errors import MXNetSegError
from .picture import Annotations, Kinds, Picture, Request, Thing, split_of
from .reading import Attributes, Images, each, files_like, read_xml
from .shapes import Polygon, Shape, box

__all__ = ["read"]


def read(request: Request) -> Annotations:
    """All pictures of the XML files below the source; smaller objects lie on top.

    An object's polygon is <polygon> with <x1>, <y1>, <x2>, ... or with <pt><x>, <y></pt>; without one it is a box,
    whose corners are pixels that belong to it, counted from 1. Splits are those of ImageSets/*/{train,val,test}.txt.

    Raises
    ------
    MXNetSegError
        A file that is none of VOC's, whose image is not there, objects that aren't drawn.
    """
    images, splits = request.images, _splits(request.source)
    missing: List[str] = []
    files = files_like(request.source, request.pattern or "**/*.xml")
    found = each(lambda path: _picture(path, images, request.kinds, splits, missing), files)
    pictures = [picture for picture in found if picture]
    images.check_found(missing)
    names = sorted({thing.label for picture in pictures for thing in picture.things})
    return Annotations(names, pictures, "small")


def _picture(path: Path, images: Images, kinds: Kinds, splits: Dict[str, str], missing: List[str]) -> Optional[Picture]:
    """The picture of a file; None where its image is not there, which is added to `missing`."""
    root = read_xml(path, "annotation", "VOC's detection XML")
    named = (root.findtext("filename") or "").strip() or path.stem
    image = images.find(named, path) or _same_stem(images, path)
    if image is None:
        missing.append(f"{named} ({path})")
        return None
    size = root.find("size")
    facts = _texts(size, f"{path}, size") if size is not None else None
    sides = (facts.whole("height", 0, 100_000), facts.whole("width", 0, 100_000)) if facts else (0, 0)
    things = []
    for number, element in enumerate(root.findall("object")):
        about = _texts(element, f"{path}, object {number}")
        shapes = _shapes(element, about, kinds)
        things += [Thing(about.text("name"), shapes)] if shapes else []
    name = image.relative_to(images.folder).with_suffix("").as_posix()
    split = splits.get(path.stem) or split_of(Path(name))
    return Picture(str(path), image, name, sides if all(sides) else None, things, split)


def _same_stem(images: Images, path: Path) -> Optional[Path]:
    """The image whose stem is the XML file's: <filename> is often that of another machine."""
    found = images.named.get(path.stem, [])
    return found[0] if len(found) == 1 else None


def _splits(source: Path) -> Dict[str, str]:
    splits: Dict[str, str] = {}
    for name in ("train", "val", "test"):
        for path in sorted(source.glob(f"**/ImageSets/*/{name}.txt")):
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                if line.strip():
                    splits.setdefault(line.split()[0], name)
    return splits


def _texts(element: Element, where: str) -> Attributes:
    return Attributes({child.tag: child.text for child in element}, where)


def _shapes(element: Element, about: Attributes, kinds: Kinds) -> List[Shape]:
    drawn = [ring for ring in element.findall("polygon") if len(ring)]
    if drawn:
        return [Polygon(_ring(ring, about.where)) for ring in drawn] if kinds.take("area", about.where) else []
    bounds = element.find("bndbox")
    if bounds is None:
        raise MXNetSegError(f"{about.where}: neither a polygon nor a box (<bndbox>)")
    if not kinds.take("box", about.where):
        return []
    sides = _texts(bounds, about.where)
    left, top, right, bottom = (sides.number(name) for name in ("xmin", "ymin", "xmax", "ymax"))
    if left > right or top > bottom:
        raise MXNetSegError(f"{about.where}: a box from {left:g}, {top:g} to {right:g}, {bottom:g}")
    return [box(left - 1, top - 1, right, bottom)]


def _ring(ring: Element, where: str) -> np.ndarray:
    points = ring.findall("pt")
    if points:
        corners = [(_texts(p, where).number("x"), _texts(p, where).number("y")) for p in points]
    else:
        facts = _texts(ring, where)
        numbers = sorted(int(child.tag[1:]) for child in ring if re.fullmatch(r"x\d{1,6}", child.tag))
        corners = [(facts.number(f"x{number}"), facts.number(f"y{number}")) for number in numbers]
    if len(corners) < 3:
        raise MXNetSegError(f"{where}: a polygon of {len(corners)} corners")
    return np.array(corners, np.float64)
