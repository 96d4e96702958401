"""Predict a whole split and write what was predicted."""

from pathlib import Path
from typing import Iterable, Sequence

import mxnet as mx
import numpy as np
from tqdm import tqdm

from ..config.schema import EvalConfig
from ..data import Dataset
from ..errors import MXNetSegError
from ..network import Network
from ..visual import colorize, save_png
from .evaluator import predict_dataset
from .inference import Preprocess

__all__ = ["check_free", "write_predictions"]


def write_predictions(
    net: Network,
    dataset: Dataset,
    preprocess: Preprocess,
    config: EvalConfig,
    contexts: Sequence[mx.Context],
    out: Path,
    *,
    label_ids: bool = False,
    overwrite: bool = False,
    workers: int = 0,
    progress: bool = True,
) -> int:
    """Write color/<name>.png and label/<name>.png (class indices) below `out` for every image.

    With `label_ids` also label_ids/<name>.png: the values that the data set's own masks have, which
    Cityscapes' server wants; 16-bit PNGs where values exceed 255. Returns the number of images.

    Raises
    ------
    MXNetSegError
        A file is there already and `overwrite` is not set; nothing is written then.
    """
    kinds = ["color", "label"] + (["label_ids"] if label_ids else [])
    values = _raw_values(dataset) if label_ids else None
    check_free([out / kind / f"{name}.png" for kind in kinds for name in dataset.names], overwrite)
    bar = tqdm(total=len(dataset), desc=f"predict {dataset.split}", unit="img", disable=not progress, leave=False)
    with bar:
        for sample, prediction in predict_dataset(net, dataset, preprocess, config, contexts, workers):
            save_png(out / "color" / f"{sample.name}.png", colorize(prediction, dataset.palette))
            save_png(out / "label" / f"{sample.name}.png", prediction)
            if values is not None:
                save_png(out / "label_ids" / f"{sample.name}.png", values[prediction])
            bar.update()
    return len(dataset)


def check_free(paths: Iterable[Path], overwrite: bool) -> None:
    """Refuse to write over files, unless told to."""
    taken = [] if overwrite else [path for path in paths if path.exists()]
    if taken:
        raise MXNetSegError(
            f"{taken[0]} is there already{f' and {len(taken) - 1} more' if taken[1:] else ''}; "
            "name another place, or say --overwrite"
        )


def _raw_values(dataset: Dataset) -> np.ndarray:
    """Class index -> value in the data set's own masks."""
    if dataset.spec.colours:
        raise MXNetSegError("--label-ids: the masks hold colours, as the pictures in color/ do; leave it out")
    if dataset.spec.label_map is None:
        raise MXNetSegError(f"--label-ids: {dataset.spec.name} has no ids besides its class indices; leave it out")
    values: np.ndarray = np.zeros(256, np.uint8 if max(dataset.spec.label_map) < 256 else np.uint16)
    for raw, index in sorted(dataset.spec.label_map.items(), reverse=True):
        values[index] = raw
    return values
