"""What several tables share: class lists from CSV files, Pascal VOC's colours, splits by rule."""

import csv
from pathlib import Path
from typing import Dict, List, Sequence

from ..spec import default_palette

__all__ = ["VOC_CLASSES", "VOC_PALETTE", "every_fifth", "from_csv", "one_up", "rows"]

VOC_CLASSES = (
    "background",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "dining table",
    "dog",
    "horse",
    "motorbike",
    "person",
    "potted plant",
    "sheep",
    "sofa",
    "train",
    "tv monitor",
)
VOC_PALETTE = ((0, 0, 0), *default_palette(20))


def rows(name: str) -> List[Dict[str, str]]:
    """Of classes/<name>.csv."""
    with open(Path(__file__).parents[1] / "classes" / f"{name}.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def from_csv(name: str) -> dict:
    """Names and colours from classes/<name>.csv, in label order; Pascal VOC's colours where it has none."""
    table = rows(name)
    if "red" in table[0]:
        palette = tuple(tuple(int(row[channel]) for channel in ("red", "green", "blue")) for row in table)
    else:
        palette = tuple(default_palette(len(table)))
    return dict(classes=tuple(row["name"] for row in table), palette=palette)


def one_up(count: int) -> dict:
    """Masks in which 0 is unlabelled and the classes are 1 to `count`."""
    return dict(ignore=(0, 255), label_map={index + 1: index for index in range(count)})


def every_fifth(names: Sequence[str], split: str) -> List[str]:
    """For data sets without official splits: every fifth image in the order of names is for validation."""
    names = sorted(names)
    held_out = names[4::5]
    if split == "val":
        return held_out
    return sorted(set(names) - set(held_out)) if split == "train" else []
