"""A report's numbers as CSV."""

import csv
import io
from typing import Any, Dict, Iterable, List, Sequence

__all__ = ["tables_of", "write_table"]

CLASS_SCORES = ("iou", "accuracy", "precision", "recall", "dice", "boundary_iou", "boundary_iou_fine")
IMAGE_COLUMNS = ("name", "miou", "pa", "boundary_iou", "confidence", "ece", "sure_and_wrong", "pixels")


def tables_of(numbers: Dict[str, Any]) -> Dict[str, List[bytes]]:
    """Files by name: classes.csv, images.csv, confusion.csv (rows truth, columns prediction, pixels)."""
    classes = numbers["classes"]
    head = ["class", "pixels", "predicted", "images", "ece"]
    head += [f"{name}{end}" for name in CLASS_SCORES for end in ("", "_low", "_high")]
    rows = [
        [row[key] for key in ("name", "pixels", "predicted", "images", "ece")]
        + [row[name][part] for name in CLASS_SCORES for part in ("value", "low", "high")]
        for row in numbers["per_class"]
    ]
    images = [
        [row[key] for key in IMAGE_COLUMNS] + [None if row["worst_class"] is None else classes[row["worst_class"]]]
        for row in numbers["images"]
    ]
    matrix = [[name, *counts] for name, counts in zip(classes, numbers["confusion"])]
    return {
        "classes.csv": [write_table(head, rows)],
        "images.csv": [write_table([*IMAGE_COLUMNS, "worst_class"], images)],
        "confusion.csv": [write_table(["truth", *classes], matrix)],
    }


def write_table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """A CSV file; empty where there is no value."""
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(head)
    writer.writerows(rows)
    return file.getvalue().encode("utf-8", "replace")
