"""Pascal Context (Mottaghi et al., CVPR 2014): 459 labels to the 59 frequent ones."""

import numpy as np

from ..masks import read_mask
from ..tables.objects import CONTEXT_VALUES
from .bench import Bench, read_names

VOC = "VOCtrainval_03-May-2010.tar"
LABELS = "trainval.tar.gz of Pascal Context"


def prepare(bench: Bench) -> None:
    """JPEGImages/, Labels_59/ and the lists, which are those of VOC 2010's main challenge."""
    lists = bench.folder("ImageSets/Main", "train.txt", VOC)
    labels = bench.folder("trainval", "*.mat", LABELS)
    images = lists.parents[1] / "JPEGImages"
    for split in ("train", "val"):
        names = [n for n in read_names(lists / f"{split}.txt") if (labels / f"{n}.mat").is_file()]
        bench.bring(((images / f"{n}.jpg", f"JPEGImages/{n}.jpg") for n in names), f"{split}: images")
        bench.convert(_merge, ((f"Labels_59/{n}.png", (labels / f"{n}.mat",)) for n in names), f"{split}: labels")
        bench.list(f"{split}.txt", names)


def _merge(path):
    merged = np.zeros(65536, np.uint8)
    for value, index in CONTEXT_VALUES.items():
        merged[value] = index + 1
    return merged[read_mask(path, "LabelMap")]
