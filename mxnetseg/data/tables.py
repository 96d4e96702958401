"""The data sets that MXNetSeg knows by name."""

import csv
from pathlib import Path

from .spec import DatasetSpec, register


def _classes(name: str) -> dict:
    """Names and colours from classes/<name>.csv, in label order."""
    with open(Path(__file__).parent / "classes" / f"{name}.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    palette = tuple(tuple(int(row[channel]) for channel in ("red", "green", "blue")) for row in rows)
    return dict(classes=tuple(row["name"] for row in rows), palette=palette)


register(
    DatasetSpec(
        name="ade20k",
        title="ADE20K (scene parsing, 2016), 150 classes",
        **_classes("ade20k"),
        images="images/{split}",
        masks="annotations/{split}",
        # 0 is unlabelled, the classes are 1 to 150
        ignore=(0,),
        label_map={index + 1: index for index in range(150)},
        splits=("train", "val"),
        folders={"train": "training", "val": "validation"},
        homepage="http://sceneparsing.csail.mit.edu",
        license="images for non-commercial research, labels BSD-3",
        layout=(
            "images/training/ADE_train_*.jpg",
            "annotations/training/ADE_train_*.png",
            "images/validation/ADE_val_*.jpg",
            "annotations/validation/ADE_val_*.png",
        ),
    )
)

register(
    DatasetSpec(
        name="camvid",
        title="CamVid, 11 classes",
        classes=(
            "sky",
            "building",
            "pole",
            "road",
            "pavement",
            "tree",
            "sign",
            "fence",
            "car",
            "pedestrian",
            "bicyclist",
        ),
        palette=(
            (128, 128, 128),
            (128, 0, 0),
            (192, 192, 128),
            (128, 64, 128),
            (60, 40, 222),
            (128, 128, 0),
            (192, 128, 128),
            (64, 64, 128),
            (64, 0, 128),
            (64, 64, 0),
            (0, 128, 192),
        ),
        images="{split}",
        masks="{split}annot",
        ignore=(11, 255),
        splits=("train", "val", "test"),
        homepage="http://mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid/",
        license="free for research",
        layout=("train/*.png|jpg", "trainannot/*.png", "val/", "valannot/", "test/", "testannot/"),
    )
)

_CITYSCAPES_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)

register(
    DatasetSpec(
        name="cityscapes",
        title="Cityscapes fine, 19 classes",
        classes=(
            "road",
            "sidewalk",
            "building",
            "wall",
            "fence",
            "pole",
            "traffic light",
            "traffic sign",
            "vegetation",
            "terrain",
            "sky",
            "person",
            "rider",
            "car",
            "truck",
            "bus",
            "train",
            "motorcycle",
            "bicycle",
        ),
        palette=(
            (128, 64, 128),
            (244, 35, 232),
            (70, 70, 70),
            (102, 102, 156),
            (190, 153, 153),
            (153, 153, 153),
            (250, 170, 30),
            (220, 220, 0),
            (107, 142, 35),
            (152, 251, 152),
            (70, 130, 180),
            (220, 20, 60),
            (255, 0, 0),
            (0, 0, 142),
            (0, 0, 70),
            (0, 60, 100),
            (0, 80, 100),
            (0, 0, 230),
            (119, 11, 32),
        ),
        images="leftImg8bit/{split}",
        masks="gtFine/{split}",
        image_suffix="_leftImg8bit",
        mask_suffix="_gtFine_labelIds",
        # the other ids of the 34 (ego vehicle, static, parking, caravan ...) are not evaluated
        ignore=tuple(i for i in range(35) if i not in _CITYSCAPES_IDS) + (255,),
        label_map={raw: index for index, raw in enumerate(_CITYSCAPES_IDS)},
        splits=("train", "val", "test"),
        unlabelled=("test",),
        homepage="https://www.cityscapes-dataset.com",
        license="registration needed, non-commercial",
        layout=(
            "leftImg8bit/train/<city>/<city>_*_leftImg8bit.png",
            "gtFine/train/<city>/<city>_*_gtFine_labelIds.png",
            "the same for val and test",
        ),
    )
)

register(
    DatasetSpec(
        name="streets",
        title="street scenes drawn by `mxnetseg data draw`",
        classes=("sky", "building", "tree", "pavement", "road", "lane mark", "car", "person", "pole", "sign"),
        palette=(
            (70, 130, 180),
            (150, 75, 60),
            (90, 140, 40),
            (244, 35, 232),
            (128, 64, 128),
            (255, 255, 255),
            (0, 0, 192),
            (220, 20, 60),
            (170, 170, 170),
            (250, 200, 30),
        ),
        images="images/{split}",
        masks="labels/{split}",
        splits=("train", "val"),
        license="drawn by this project",
        layout=("images/train/*.png", "labels/train/*.png", "images/val/*.png", "labels/val/*.png"),
    )
)
