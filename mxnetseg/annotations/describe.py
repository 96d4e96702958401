"""One label map, as COCO, LabelMe or GeoJSON say it."""

import json
import os
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Sequence, Tuple

import numpy as np

from ..data.files import READING, Reading, read_header_of, upright
from .outlines import WITHIN, Region, regions

__all__ = ["FORMATS", "How", "Labelled", "as_json", "coco_file", "feature"]


class Labelled(NamedTuple):
    """An image whose labels are exported: the path without ending of what is written for it, and its file.

    `reading` says whether they are upright, or as the file is stored.
    """

    name: str
    image: Path
    reading: Reading = READING


class How(NamedTuple):
    """What is the same for all images.

    Attributes
    ----------
    classes, palette : sequence
    folder : Path
        Where the files will lie.
    images : Path
        The folder that COCO's file names start from.
    tolerance : float
        Pixels by which polygons may be off.
    least : float
        IoU that a polygon has with its region at least, whatever the tolerance.
    polygons : bool
        COCO: polygons, not run lengths.
    """

    classes: Sequence[str]
    palette: Sequence[Tuple[int, int, int]]
    folder: Path
    images: Path
    tolerance: float = 0.0
    polygons: bool = False
    least: float = 0.0


def coco(entry: Labelled, label: np.ndarray, how: How) -> Dict[str, Any]:
    """An image and its annotations, whose ids are the caller's to give; `category_id` is the class index plus 1."""
    found = list(_polygons(label, how) if how.polygons else _runs(label))
    height, width = label.shape
    file_name = entry.image.relative_to(how.images).as_posix()
    return dict(image=dict(file_name=file_name, height=height, width=width), annotations=found)


def _runs(label: np.ndarray) -> Iterator[Dict[str, Any]]:
    """One for every class that is there, exact."""
    from pycocotools import mask

    for index in _classes(label):
        packed = mask.encode(np.asfortranarray(label == index, np.uint8))
        yield dict(
            category_id=index + 1,
            segmentation=dict(size=list(label.shape), counts=packed["counts"].decode("ascii")),
            area=int(mask.area(packed)),
            bbox=[int(side) for side in mask.toBbox(packed)],
            iscrowd=0,
        )


def _polygons(label: np.ndarray, how: How) -> Iterator[Dict[str, Any]]:
    """One for every region."""
    for index, region in _regions(label, how, WITHIN):
        low, high = np.floor(region.outer.min(0)), np.ceil(region.outer.max(0))
        yield dict(
            category_id=index + 1,
            segmentation=[_numbers(region.one_ring().ravel())],
            area=region.pixels,
            bbox=_numbers(np.concatenate([low, high - low])),
            iscrowd=0,
        )


def labelme(entry: Labelled, label: np.ndarray, how: How) -> Dict[str, Any]:
    """A file beside or near the image; a polygon for every region, which runs into its holes and back."""
    if not entry.reading.upright:  # LabelMe turns what it opens
        label = upright(label, read_header_of(entry.image, entry.reading.max_pixels).orientation)
    height, width = label.shape
    target = how.folder / f"{entry.name}.json"
    shapes: List[Dict[str, Any]] = [
        dict(
            label=how.classes[index],
            points=_points(region.one_ring()),
            group_id=None,
            shape_type="polygon",
            flags={},
        )
        for index, region in _regions(label, how, WITHIN)
    ]
    return dict(
        version="5.0.1",
        flags={},
        shapes=shapes,
        imagePath=Path(os.path.relpath(entry.image.resolve(), target.parent)).as_posix(),
        imageData=None,
        imageHeight=height,
        imageWidth=width,
    )


def geojson(entry: Labelled, label: np.ndarray, how: How) -> Dict[str, Any]:
    """A polygon with holes for every region, in pixels, y down; class and colour as QuPath reads them."""
    features = [feature(region, how.classes[index], how.palette[index]) for index, region in _regions(label, how)]
    return dict(type="FeatureCollection", features=features)


def feature(region: Region, name: str, colour: Sequence[int]) -> Dict[str, Any]:
    """A region as GeoJSON says it."""
    rings = [_closed(region.outer, 1), *(_closed(hole, -1) for hole in region.holes)]
    return dict(
        type="Feature",
        geometry=dict(type="Polygon", coordinates=[_points(ring) for ring in rings]),
        properties=dict(
            objectType="annotation", classification=dict(name=name, color=[int(value) for value in colour])
        ),
    )


# how each is described, and where its objects are in that
FORMATS: Dict[str, Tuple[Callable[[Labelled, np.ndarray, How], Dict[str, Any]], str]] = {
    "coco": (coco, "annotations"),
    "labelme": (labelme, "shapes"),
    "geojson": (geojson, "features"),
}


def coco_file(found: Sequence[Dict[str, Any]], classes: Sequence[str]) -> Dict[str, Any]:
    """COCO's file of the images that `coco` has described, in which everything has its id."""
    images = [dict(id=number, **content["image"]) for number, content in enumerate(found, 1)]
    annotations = [
        dict(image_id=image["id"], **one) for image, content in zip(images, found) for one in content["annotations"]
    ]
    return dict(
        images=images,
        annotations=[dict(id=number, **annotation) for number, annotation in enumerate(annotations, 1)],
        categories=[dict(id=index, name=name) for index, name in enumerate(classes, 1)],
    )


def as_json(content: Any) -> bytes:
    """One line; names of files that are no UTF-8 stay what they are."""
    return (json.dumps(content, separators=(",", ":"), ensure_ascii=False) + "\n").encode("utf-8", "surrogateescape")


def _classes(label: np.ndarray) -> List[int]:
    return [int(index) for index in np.unique(label) if index != 255]


def _regions(label: np.ndarray, how: How, within: float = 0.0) -> Iterator[Tuple[int, Region]]:
    for index in _classes(label):
        for region in regions(label == index, how.tolerance, how.least, within):
            yield index, region


def _closed(ring: np.ndarray, sense: int) -> np.ndarray:
    """The ring with its first corner once more at the end; its area has the sign `sense`."""
    x, y = ring.T
    area = np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))
    turned = ring if area * sense > 0 else ring[::-1]
    return np.concatenate([turned, turned[:1]])


def _points(ring: np.ndarray) -> List[List[float]]:
    return [_numbers(point) for point in ring]


def _numbers(values: np.ndarray) -> List[float]:
    """Whole ones as integers: files are shorter by a third."""
    return [int(value) if value == int(value) else round(value, 3) for value in values.tolist()]
