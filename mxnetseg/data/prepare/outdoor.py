"""SIFT Flow (Liu et al., CVPR 2009) and Weizmann Horses (Borenstein and Ullman, ECCV 2002)."""

import numpy as np

from ...errors import MXNetSegError
from ..files import read_image
from ..masks import read_mask
from ..tables.common import every_fifth
from .bench import Bench, read_names

SCENES = "spatial_envelope_256x256_static_8outdoorcategories"


def prepare_sift_flow(bench: Bench) -> None:
    """images/, labels/ and the lists: TestSet1.txt is for testing, the rest for training."""
    images = bench.folder(f"Images/{SCENES}", "*.jpg", "SiftFlowDataset.zip")
    labels = bench.folder(f"SemanticLabels/{SCENES}", "*.mat", "SiftFlowDataset.zip")
    listed = read_names(bench.file("TestSet1.txt", "SiftFlowDataset.zip"))
    # lines are Windows paths
    test = {line.replace("\\", "/").rpartition("/")[2].rpartition(".")[0] for line in listed}
    names = sorted(path.stem for path in labels.glob("*.mat"))
    lost = sorted(test - set(names))
    if lost:
        raise MXNetSegError(f"TestSet1.txt names {lost[0]} and {len(lost) - 1} more that have no labels in {labels}")
    bench.bring(((images / f"{n}.jpg", f"images/{n}.jpg") for n in names), "images")
    bench.convert(_scene, ((f"labels/{n}.png", (labels / f"{n}.mat",)) for n in names), "labels")
    bench.list("train.txt", [n for n in names if n not in test])
    bench.list("test.txt", [n for n in names if n in test])


def _scene(path) -> np.ndarray:
    return read_mask(path, "S")


def prepare_horses(bench: Bench) -> None:
    """horse/, mask/ and the lists; every fifth image is for validation."""
    masks = bench.folder("figure_ground", "*.jpg", "weizmann_horse_db.tar.gz")
    images = bench.folder("rgb", "*.jpg", "weizmann_horse_db.tar.gz")
    names = sorted(path.stem for path in masks.glob("*.jpg"))
    bench.bring(((images / f"{n}.jpg", f"horse/{n}.jpg") for n in names), "images")
    bench.convert(_horse, ((f"mask/{n}.png", (masks / f"{n}.jpg",)) for n in names), "masks")
    for split in ("train", "val"):
        bench.list(f"{split}.txt", every_fifth(names, split))


def _horse(path) -> np.ndarray:
    return (read_image(path)[..., 1] > 127).astype(np.uint8)  # JPEG blurs black and white
