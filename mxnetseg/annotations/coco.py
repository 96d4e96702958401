"""COCO: one JSON file for many images."""

from collections import defaultdict
from pathlib import Path
from typing import Dict, List, Optional, Tuple, Union

import numpy as np

from ..errors import MXNetSegError
from .picture import Annotations, Kinds, Picture, Request, Thing, split_of
from .reading import Content, Coordinate, Images, Side, each, files_like, listed, read_json
from .shapes import Columns, Polygon, Shape, box

__all__ = ["read"]

Id = Union[int, str]


class _Image(Content):
    id: Id
    file_name: str
    height: Side
    width: Side


class _Category(Content):
    id: Id
    name: str


class _Runs(Content):
    size: Tuple[Side, Side]
    counts: Union[str, List[int]]


class _Annotation(Content):
    image_id: Id
    category_id: Id
    segmentation: Union[_Runs, List[List[Coordinate]], None] = None
    bbox: Optional[List[Coordinate]] = None
    iscrowd: int = 0


class _File(Content):
    images: List[_Image]
    annotations: List[_Annotation]
    categories: List[_Category]


def read(request: Request) -> Annotations:
    """All pictures of all JSON files below the source; smaller objects lie on top.

    Classes are in the order of the files' categories. The polygons of an object are taken together; one that runs into
    a hole and back leaves it out.

    Raises
    ------
    MXNetSegError
        A file that is none of COCO's, images that are not there, ids that stand for nothing, objects without an area.
    """
    names: List[str] = []

    def pictures(path: Path) -> List[Picture]:
        content = read_json(path, _File, "a file of COCO's annotations (images, annotations, categories)")
        labels = _labels(content, path)
        names.extend(name for name in labels.values() if name not in names)
        return _pictures(content, path, labels, request.images, request.kinds)

    found = each(pictures, files_like(request.source, request.pattern or "**/*.json"))
    return Annotations(names, [picture for several in found for picture in several], "small")


def _labels(content: _File, path: Path) -> Dict[Id, str]:
    labels: Dict[Id, str] = {}
    for category in content.categories:
        if category.id in labels or not category.name.strip():
            raise MXNetSegError(f"{path}: category {category.id!r} is there twice, or has no name")
        labels[category.id] = category.name.strip()
    return labels


def _pictures(content: _File, path: Path, labels: Dict[Id, str], images: Images, kinds: Kinds) -> List[Picture]:
    by_image: Dict[Id, List[_Annotation]] = defaultdict(list)
    for annotation in content.annotations:
        by_image[annotation.image_id].append(annotation)
    known = {image.id for image in content.images}
    if len(known) < len(content.images):
        raise MXNetSegError(f"{path}: images share an id; every image needs one of its own")
    strange = [f"image_id {id!r}" for id in by_image if id not in known]
    strange += sorted({f"category_id {a.category_id!r}" for a in content.annotations if a.category_id not in labels})
    if strange:
        raise MXNetSegError(f"{path}: annotations name what is not in the file: {listed(strange)}")
    missing: List[str] = []

    def picture(image: _Image) -> Optional[Picture]:
        found = images.find(image.file_name, path)
        if found is None:
            missing.append(f"{image.file_name} ({path})")
            return None
        where = f"{path}, image {image.file_name}"
        things = [_thing(annotation, labels, where, kinds) for annotation in by_image[image.id]]
        name = found.relative_to(images.folder).with_suffix("").as_posix()
        drawn = [thing for thing in things if thing.shapes]
        return Picture(where, found, name, (image.height, image.width), drawn, split_of(_within(path, images)))

    pictures = [one for one in each(picture, content.images) if one]
    images.check_found(missing)
    return pictures


def _within(path: Path, images: Images) -> Path:
    """The path without what lies above both: folders there say nothing about splits."""
    try:
        return path.relative_to(images.folder)
    except ValueError:
        return Path(path.parent.name, path.name)


def _thing(annotation: _Annotation, labels: Dict[Id, str], where: str, kinds: Kinds) -> Thing:
    label = labels[annotation.category_id]
    return Thing(label, _shapes(annotation, f"{where} ({label})", kinds), crowd=annotation.iscrowd != 0)


def _shapes(annotation: _Annotation, where: str, kinds: Kinds) -> List[Shape]:
    drawn = annotation.segmentation
    if isinstance(drawn, _Runs):
        return [Columns(drawn.size, drawn.counts)] if kinds.take("area", where) else []
    if not drawn:
        if not kinds.take("box", where):
            return []
        if annotation.bbox is None or len(annotation.bbox) != 4 or min(annotation.bbox[2:]) < 0:
            raise MXNetSegError(f"{where}: an object with neither a segmentation nor a box (x, y, width, height)")
        x, y, width, height = annotation.bbox
        return [box(x, y, x + width, y + height)]
    if any(len(ring) < 6 or len(ring) % 2 for ring in drawn):
        raise MXNetSegError(f"{where}: a polygon has x and y of three corners or more, so an even number of values")
    return [Polygon(np.array(ring, np.float64).reshape(-1, 2)) for ring in drawn]
