"""Small annotation files as their tools write them."""

import base64
import io
import json
from pathlib import Path
from typing import Any, Dict, List, Sequence

import numpy as np
from PIL import Image

SIZE = (20, 30)


def picture(path: Path, size=SIZE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), 90, np.uint8)).save(path)
    return path


def square(left: float, top: float, right: float, bottom: float) -> List[List[float]]:
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def png(values: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(values.astype(np.uint8)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def shape(label: str, points: Sequence[Sequence[float]], kind: str = "polygon", **more: Any) -> Dict[str, Any]:
    return dict(label=label, points=points, shape_type=kind, **dict(dict(group_id=None, flags={}), **more))


def labelme(path: Path, shapes: Sequence[Dict[str, Any]], **more: Any) -> None:
    """A file and its image beside it."""
    if "imagePath" not in more:
        picture(path.with_suffix(".jpg"))
    facts = dict(version="5.4.1", imagePath=f"{path.stem}.jpg", imageData=None, imageHeight=20, imageWidth=30)
    path.write_text(json.dumps({**facts, "flags": {}, "shapes": shapes, **more}))


def coco(path: Path, annotations: Sequence[Dict[str, Any]], names=("cat", "dog"), images=("a.jpg",)) -> None:
    """A file; category ids are 7, 8, ..., image ids 70, 71, ..."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for image in images:
        picture(path.parent / image)
    content = dict(
        images=[dict(id=70 + n, file_name=name, height=SIZE[0], width=SIZE[1]) for n, name in enumerate(images)],
        annotations=[dict(dict(id=n, image_id=70, iscrowd=0), **one) for n, one in enumerate(annotations)],
        categories=[dict(id=7 + n, name=name) for n, name in enumerate(names)],
    )
    path.write_text(json.dumps(content))


def flat(points: Sequence[Sequence[float]]) -> List[float]:
    return [value for point in points for value in point]


def cvat(path: Path, shapes: str, labels=("road", "car"), version: str = "1.1", image: str = 'name="a.jpg"') -> None:
    picture(path.parent / "a.jpg")
    names = "".join(f"<label><name>{label}</name><attributes/></label>" for label in labels)
    path.write_text(
        f"<?xml version='1.0' encoding='utf-8'?><annotations><version>{version}</version><meta><task><labels>{names}"
        f'</labels></task></meta><image id="0" {image} width="30" height="20">{shapes}</image></annotations>'
    )


def voc(path: Path, objects: str, filename: str = "a.jpg", size=(20, 30)) -> None:
    picture(path.parent / "a.jpg")
    path.write_text(
        f"<annotation><folder>x</folder><filename>{filename}</filename><size><width>{size[1]}</width><height>{size[0]}"
        f"</height><depth>3</depth></size><segmented>0</segmented>{objects}</annotation>"
    )


def thing(name: str, left: int, top: int, right: int, bottom: int, more: str = "") -> str:
    return (
        f"<object><name>{name}</name><bndbox><xmin>{left}</xmin><ymin>{top}</ymin><xmax>{right}</xmax>"
        f"<ymax>{bottom}</ymax></bndbox>{more}</object>"
    )
