"""SUN RGB-D (Song et al., CVPR 2015), images and 37 classes as PNGs."""

from pathlib import Path
from typing import List

from ...errors import MXNetSegError
from .bench import Bench


def prepare(bench: Bench) -> None:
    """images/, labels/ and the lists. Labels are numbered through: those of the test images come first."""
    train = _numbered(bench.folder("SUNRGBD-train_images", "*.jpg", "SUNRGBD-train_images.tgz"), ".jpg")
    test = _numbered(bench.folder("SUNRGBD-test_images", "*.jpg", "SUNRGBD-test_images.tgz"), ".jpg")
    labels = _labels(bench, len(train) + len(test))
    pairs = list(zip(test + train, labels))
    bench.bring(((image, f"images/{label.stem}.jpg") for image, label in pairs), "images")
    bench.bring(((label, f"labels/{label.name}") for label in labels), "labels")
    names = [label.stem for label in labels]
    bench.list("test.txt", [f"{n}.jpg {n}.png" for n in names[: len(test)]])
    bench.list("train.txt", [f"{n}.jpg {n}.png" for n in names[len(test) :]])


def _labels(bench: Bench, count: int) -> List[Path]:
    for folder in bench.folders():
        if folder.resolve() == (bench.target / "labels").resolve():
            continue
        labels = _numbered(folder, ".png")
        if len(labels) == count:
            return labels
    raise MXNetSegError(
        f"sun_rgbd: no folder with {count} label PNGs (as many as there are images) below {bench.source}; they come "
        "with sunrgbd_train_test_labels.tar.gz (github.com/ankurhanda/sunrgbd-meta-data)"
    )


def _numbered(folder: Path, ending: str) -> List[Path]:
    """Files in the order of the numbers in their names."""
    files = [path for path in folder.iterdir() if path.suffix.lower() == ending]
    return sorted(files, key=lambda path: int("".join(c for c in path.stem if c.isdigit()) or 0))
