"""Multi-Human Parsing v1 (Li et al., 2017)."""

from collections import defaultdict
from typing import Dict, List

import numpy as np

from ...errors import MXNetSegError
from ..masks import read_mask
from .bench import Bench, read_names

DOWNLOAD = "LV-MHP-v1.zip"


def prepare(bench: Bench) -> None:
    """images/, masks/ with one mask per image, and the two lists of the release."""
    folder = bench.file("train_list.txt", DOWNLOAD).parent
    by_image: Dict[str, List] = defaultdict(list)
    # <image>_<people>_<person>.png
    for path in sorted((folder / "annotations").glob("*.png")):
        by_image[path.stem.split("_")[0]].append(path)
    for name in ("train_list.txt", "test_list.txt"):
        listed = read_names(folder / name)
        stems = [line.rpartition(".")[0] or line for line in listed]
        alone = [stem for stem in stems if stem not in by_image]
        if alone:
            raise MXNetSegError(f"{name} names {alone[0]}, which has no masks in {folder / 'annotations'}")
        bench.bring(((folder / "images" / f"{s}.jpg", f"images/{s}.jpg") for s in stems), f"{name}: images")
        bench.convert(_merge, ((f"masks/{s}.png", (by_image[s],)) for s in stems), f"{name}: masks")
        bench.list(name, listed)


def _merge(paths) -> np.ndarray:
    merged = None
    for path in paths:
        person = read_mask(path)
        if merged is None:
            merged = np.zeros(person.shape, np.uint8)
        if person.shape != merged.shape:
            raise MXNetSegError(f"{path}: of another size than the image's first mask {paths[0]}")
        merged = np.where(merged == 0, person, merged)
    return merged
