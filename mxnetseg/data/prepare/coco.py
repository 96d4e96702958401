"""COCO's instances as Pascal VOC's classes, and both releases of COCO-Stuff."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Dict, List, Optional

import numpy as np

from ...errors import MXNetSegError
from ..masks import read_mask
from ..tables.objects import COCO_TO_VOC
from .bench import Bench, read_names

__all__ = ["decode", "fill_polygon", "prepare_stuff_10k", "prepare_stuff_164k", "prepare_voc"]

ENOUGH = 1000  # pixels of VOC's classes: images with no more are left out


def prepare_voc(bench: Bench) -> None:
    """voc_masks/ and lists of the images that hold enough of VOC's classes."""
    for split in ("train", "val"):
        annotations = bench.file(f"annotations/instances_{split}2017.json", "annotations_trainval2017.zip")
        images = bench.folder(f"{split}2017", "*.jpg", f"{split}2017.zip")
        tasks = []
        for name, height, width, shapes in _instances(annotations):
            tasks.append((f"voc_masks/{split}2017/{Path(name).stem}.png", (height, width, shapes)))
        bench.convert(_voc_mask, tasks, f"{split}: masks")
        names = sorted(Path(path).stem for path, _ in tasks if (bench.target / path).exists())
        if not names:
            raise MXNetSegError(f"{annotations}: no image has more than {ENOUGH} pixels of Pascal VOC's classes")
        bench.bring(((images / f"{n}.jpg", f"{split}2017/{n}.jpg") for n in names), f"{split}: images")
        bench.list(f"voc_{split}.txt", names)


def _instances(path: Path):
    """(file name, height, width, [(class, segmentation)]) of every image that has one of VOC's classes."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        by_image: Dict[int, List[tuple]] = defaultdict(list)
        for annotation in content["annotations"]:
            if annotation["category_id"] in COCO_TO_VOC:
                by_image[annotation["image_id"]].append(
                    (COCO_TO_VOC[annotation["category_id"]], annotation["segmentation"])
                )
        images = [(i["file_name"], i["height"], i["width"], by_image[i["id"]]) for i in content["images"]]
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise MXNetSegError(f"{path}: not COCO's annotations ({err!r}); unpack it again") from err
    return [image for image in images if image[3]]


def _voc_mask(height: int, width: int, shapes) -> Optional[np.ndarray]:
    mask = np.zeros((height, width), np.uint8)
    for index, segmentation in shapes:
        mask[(mask == 0) & decode(segmentation, height, width)] = index  # who comes first lies on top
    return mask if np.count_nonzero(mask) > ENOUGH else None


def decode(segmentation, height: int, width: int) -> np.ndarray:
    """COCO's polygons, or run lengths by columns, -> (height, width) bool."""
    if isinstance(segmentation, dict):
        counts = segmentation["counts"]
        if isinstance(counts, str):
            raise MXNetSegError("compressed run lengths are not read; COCO's own files have plain ones")
        runs = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
        return runs.reshape(width, height).T
    mask = np.zeros((height, width), bool)
    for polygon in segmentation:
        mask |= fill_polygon(polygon, height, width)
    return mask


def fill_polygon(polygon, height: int, width: int) -> np.ndarray:
    """The pixels that pycocotools gives a polygon [x0, y0, x1, y1, ...]: its outline is drawn five times finer,
    and each column toggles where the outline crosses the column's middle."""
    fine = 5
    points = (np.asarray(polygon, np.float64).reshape(-1, 2) * fine + 0.5).astype(np.int64)
    xs, ys = [], []
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0)):
        dx, dy = abs(x1 - x0), abs(y1 - y0)
        flip = (dx >= dy and x0 > x1) or (dx < dy and y0 > y1)
        if flip:
            x0, y0, x1, y1 = x1, y1, x0, y0
        steps = np.arange(max(dx, dy) + 1)
        if flip:
            steps = steps[::-1]
        if dx >= dy:
            xs.append(steps + x0)
            ys.append((y0 + (y1 - y0) / max(dx, 1) * steps + 0.5).astype(np.int64))
        else:
            ys.append(steps + y0)
            xs.append((x0 + (x1 - x0) / max(dy, 1) * steps + 0.5).astype(np.int64))
    x, y = np.concatenate(xs), np.concatenate(ys)
    crossing = np.flatnonzero(x[1:] != x[:-1]) + 1
    column = (np.minimum(x[crossing], x[crossing - 1]) + 0.5) / fine - 0.5
    row = (np.minimum(y[crossing], y[crossing - 1]) + 0.5) / fine - 0.5
    middle = (np.floor(column) == column) & (column >= 0) & (column <= width - 1)
    place = column[middle].astype(np.int64) * height + np.ceil(np.clip(row[middle], 0, height)).astype(np.int64)
    toggles = np.bincount(place, minlength=height * width + 1)[: height * width]
    return (np.cumsum(toggles) % 2 == 1).reshape(width, height).T


def prepare_stuff_10k(bench: Bench) -> None:
    """images/, masks/ (PNGs with the values of the .mat files) and imageLists/."""
    lists = bench.folder("imageLists", "train.txt", "cocostuff-10k-v1.1.zip")
    images, labels = lists.parent / "images", lists.parent / "annotations"
    for split in ("train", "test"):
        names = read_names(lists / f"{split}.txt")
        bench.bring(((images / f"{n}.jpg", f"images/{n}.jpg") for n in names), f"{split}: images")
        bench.convert(_stuff, ((f"masks/{n}.png", (labels / f"{n}.mat",)) for n in names), f"{split}: labels")
        bench.list(f"imageLists/{split}.txt", names)


def _stuff(path):
    return read_mask(path, "S")


def prepare_stuff_164k(bench: Bench) -> None:
    """<split>2017/ and stuffthingmaps/<split>2017/."""
    for split in ("train", "val"):
        images = bench.folder(f"{split}2017", "*.jpg", f"{split}2017.zip")
        masks = bench.folder(f"{split}2017", "*.png", "stuffthingmaps_trainval2017.zip", avoid="voc_masks")
        names = sorted(path.stem for path in masks.glob("*.png"))
        bench.bring(((images / f"{n}.jpg", f"{split}2017/{n}.jpg") for n in names), f"{split}: images")
        bench.bring(((masks / f"{n}.png", f"stuffthingmaps/{split}2017/{n}.png") for n in names), f"{split}: masks")
