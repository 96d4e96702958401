"""Predict a whole split and write what was predicted."""

import copy
from pathlib import Path
from typing import Callable, List, NamedTuple, Optional, Sequence

import mxnet as mx

from ..config.schema import EvalConfig
from ..data import Dataset
from ..network import Network
from ..progress import progress_bar
from ..results import label_values
from ..saving import check_free
from ..visual import colorize, save_png
from .evaluator import predict_dataset
from .inference import Preprocess
from .ledger import Ledger, Maker

__all__ = ["Written", "write_predictions"]


class Written(NamedTuple):
    """How many images were predicted, how many left out as their files are there, and what is wrong with the others."""

    done: int
    there: int
    broken: List[str]


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
    skip_existing: bool = False,
    maker: Optional[Maker] = None,
    workers: int = 0,
    progress: bool = True,
    ready: Callable[[], object] = lambda: None,
) -> Written:
    """Write color/<name>.png and label/<name>.png (class indices) below `out` for every image.

    With `label_ids` also label_ids/<name>.png: the values that the data set's own masks have, which
    Cityscapes' server wants; 16-bit PNGs where values exceed 255. With `skip_existing`, images are left out whose
    files are all there. `maker` is noted in predictions.jsonl. `ready` is called when all is
    checked, before anything is written.

    Raises
    ------
    MXNetSegError
        A file is there already and neither `overwrite` nor `skip_existing` is set, or with the latter it is another
        maker's; nothing is written then.
    SaveError
        Files can't be written there, or not any more: the disk is full.
    """
    kinds = ["color", "label"] + (["label_ids"] if label_ids else [])
    values = label_values(dataset.spec, "--label-ids") if label_ids else None
    files = {name: [out / kind / f"{name}.png" for kind in kinds] for name in dataset.names}
    ledger = Ledger(out)
    if skip_existing and maker:
        ledger.check([path for paths in files.values() for path in paths if path.is_file()], maker)
    dataset = _unlabelled(dataset, [n for n in files if not (skip_existing and all(p.is_file() for p in files[n]))])
    targets = (path for name in dataset.names for path in files[name])
    check_free(targets, overwrite or skip_existing, "name another place, or say --overwrite or --skip-existing")
    ready()
    bar = progress_bar(total=len(dataset), desc=f"predict {dataset.split}", unit="img", shown=progress)
    broken: List[str] = []
    with bar:
        for sample, prediction in predict_dataset(net, dataset, preprocess, config, contexts, workers, broken):
            pictures = [colorize(prediction, dataset.palette), prediction]
            pictures += [values[prediction]] if values is not None else []
            for path, picture in zip(files[sample.name], pictures):
                save_png(path, picture)
            if maker:
                ledger.note(Path(sample.name), files[sample.name], maker)
            bar.update()
    return Written(len(dataset) - len(broken), len(files) - len(dataset), broken)


def _unlabelled(dataset: Dataset, names: List[str]) -> Dataset:
    """The images of these names; what is wrong with their labels is of no concern here."""
    places = {name: place for place, name in enumerate(dataset.names)}
    part = copy.copy(dataset)
    part.names, part.mask_paths = names, None
    part.image_paths = [dataset.image_paths[places[name]] for name in names]
    return part
