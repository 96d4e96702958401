"""CamVid in the forms that people have: each maker fills `root` from the original folder, and says how it is opened.

A maker gets the original folder and a new one, and returns the keys of a recipe's `data`, besides name and root. A
test trains on each (`test_camvid.py`); another form is another entry of MAKERS.
"""

from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Tuple

import numpy as np
from PIL import Image

from mxnetseg.annotations.convert import convert
from mxnetseg.annotations.export import export, labels_of
from mxnetseg.annotations.names import Wishes
from mxnetseg.config import DataConfig
from mxnetseg.data import get_spec, open_dataset
from mxnetseg.data.masks import read_mask, write_mask

CAMVID = Path(__file__).resolve().parents[4] / "shared" / "data" / "camvid"
SPLITS = ("train", "val")
SPEC = get_spec(DataConfig(name="camvid"))
CLASSES = list(SPEC.classes)
VOID = (0, 0, 0)
ORIGINAL = dict(images="{split}", masks="{split}annot", classes=CLASSES, ignore=[11, 255])


def files(original: Path) -> Iterator[Tuple[str, Path, Path]]:
    """Split, image, mask; in the order of their names."""
    for split in SPLITS:
        for image in sorted((original / split).iterdir()):
            yield split, image, original / f"{split}annot" / f"{image.stem}.png"


def link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(source)


def in_colours(original: Path, root: Path) -> Dict[str, Any]:
    """The labels in the publisher's way, a colour per class."""
    table = np.zeros((256, 3), np.uint8)
    table[: len(CLASSES)] = SPEC.palette
    for split, image, mask in files(original):
        link(image, root / "images" / split / image.name)
        coloured = root / "labels" / split / f"{mask.stem}_L.png"
        coloured.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(table[read_mask(mask)]).save(coloured)
    colors = {**{name: list(colour) for name, colour in zip(CLASSES, SPEC.palette)}, "void": list(VOID)}
    return dict(images="images/{split}", masks="labels/{split}", mask_suffix="_L", colors=colors, ignore=["void"])


def by_lists(original: Path, root: Path) -> Dict[str, Any]:
    """SegNet's lists: two paths a line."""
    lines: Dict[str, str] = dict.fromkeys(SPLITS, "")
    for split, image, mask in files(original):
        link(image, root / "all images" / image.name)
        link(mask, root / "all labels" / mask.name)
        lines[split] += f"all images/{image.name} all labels/{mask.name}\r\n"
    for split, text in lines.items():
        (root / f"{split}.txt").write_text(text, encoding="utf-8", newline="")
    return dict(lists="{split}.txt", classes=CLASSES, ignore=[11, 255])


def as_voc(original: Path, root: Path) -> Dict[str, Any]:
    lines: Dict[str, str] = dict.fromkeys(SPLITS, "")
    for split, image, mask in files(original):
        link(image, root / "JPEGImages" / image.name)
        target = root / "SegmentationClass" / mask.name
        target.parent.mkdir(parents=True, exist_ok=True)
        write_mask(target, read_mask(mask), SPEC.palette)
        lines[split] += f"{image.stem}\n"
    lists = root / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    for split, text in lines.items():
        (lists / f"{split}.txt").write_text(text, encoding="utf-8")
    names = dict(images="JPEGImages", masks="SegmentationClass", lists="ImageSets/Segmentation/{split}.txt")
    return dict(names, classes=CLASSES, ignore=[11, 255])


def by_coco(original: Path, root: Path) -> Dict[str, Any]:
    """Run lengths in COCO's JSON, and masks that `data convert` makes of them."""
    for split in SPLITS:
        dataset = open_dataset(DataConfig(name="folder", root=str(original), **ORIGINAL), split)
        found = root / "json" / split
        found.parent.mkdir(parents=True, exist_ok=True)
        export("coco", labels_of(dataset), CLASSES, SPEC.palette, found, progress=False)
        wishes = Wishes(classes=tuple(CLASSES), rest="ignore")
        convert("coco", found, root / split, images=original / split, wishes=wishes, progress=False)
    return dict(images="{split}/images", masks="{split}/masks", classes=CLASSES, ignore=[255])


MAKERS: Dict[str, Callable[[Path, Path], Dict[str, Any]]] = {
    "colours": in_colours,
    "lists": by_lists,
    "voc": as_voc,
}
ANNOTATED = {"coco": by_coco}  # which become masks first
