"""Read every file of a data set, and say what is wrong before a run does."""

import logging
from typing import Dict, List, Optional, Sequence

from ..commands import typed
from ..config.schema import DataConfig
from ..errors import MXNetSegError
from .catalog import get_spec
from .dataset import Dataset
from .diagnosis import Finding, diagnose
from .diagnosis.tally import Tally
from .layout import root_of
from .opening import open_dataset
from .workers import check_workers

__all__ = ["check", "splits_of"]

log = logging.getLogger(__name__)


def splits_of(data: DataConfig) -> List[str]:
    """The splits to look at: the official ones, or those that the recipe trains and validates on."""
    return list(get_spec(data).splits) or _used(data)


def _used(data: DataConfig) -> List[str]:
    """The splits of a recipe, each once; train+val are two."""
    return list(dict.fromkeys(f"{data.train_split}+{data.val_split}".split("+")))


def check(
    data: DataConfig,
    splits: Optional[Sequence[str]] = None,
    workers: int = 0,
    progress: bool = True,
    weights: Optional[Sequence[float]] = None,
) -> Dict[str, object]:
    """Look through the splits of a data set.

    Parameters
    ----------
    data : DataConfig
    splits : sequence of str, optional
        The official ones when left out; all of these but train and val may be missing.
    workers : int
        Processes.
    progress : bool
        Show a progress bar.
    weights : sequence of float, optional
        `loss.class_weights` of the recipe.

    Returns
    -------
    dict
        `dataset`, `root`, `splits` (per split: `images`, `labelled`, `sizes`, `classes` with pixels, share and
        images, `ignored`, `unknown`, `never`), `findings` (as `diagnosis.Finding` has them), and their messages:
        `problems`, which stop a run, and `notes`, which are worth knowing.

    Raises
    ------
    MXNetSegError
        An unknown data set, or no folder.
    """
    check_workers(workers)
    spec = get_spec(data)
    root = root_of(data, spec)
    problems: List[str] = []
    notes: List[str] = []
    datasets: List[Dataset] = []
    for split in splits or splits_of(data):
        labelled = split not in spec.unlabelled
        try:
            dataset = open_dataset(data, split, labelled, problems)
        except MXNetSegError as err:
            optional = splits is None and split not in _used(data)
            if optional:
                notes.append(f"{split} left out: {str(err).partition(' Expected below')[0]}")
            else:
                problems.append(str(err))
            continue
        if len(dataset):
            datasets.append(dataset)
    if not datasets and not problems:
        problems.append(f"none of the splits {', '.join(splits_of(data))} is below {root}")
    if datasets and progress:
        for problem in problems:  # now: reading the other files takes long
            log.warning("%s; the other files are read first", typed(problem))
    found = diagnose(data, datasets, weights=weights, every=True, workers=workers, progress=progress)
    return dict(
        dataset=spec.name,
        root=str(root),
        splits={split: _counts(tally) for split, tally in found.tallies.items()},
        problems=problems + [str(finding) for finding in found.grave],
        notes=notes + [str(finding) for finding in found.mild],
        findings=[_plain(finding) for finding in found.findings],
    )


def _plain(finding: Finding) -> Dict[str, object]:
    """For JSON."""
    return {**finding._asdict(), "share": None if finding.share is None else round(finding.share, 6)}


def _counts(tally: Tally) -> Dict[str, object]:
    dataset, total = tally.dataset, max(tally.total, 1)
    return dict(
        images=len(dataset),
        labelled=tally.labelled,
        sizes={f"{w}x{h}": count for (h, w), count in sorted(tally.sizes.items(), key=lambda item: -item[1])},
        classes={
            name: dict(pixels=int(p), share=round(int(p) / total, 6), images=int(i))
            for name, p, i in zip(dataset.classes, tally.pixels, tally.images)
        },
        ignored=dict(pixels=tally.void, share=round(tally.void / total, 6)),
        unknown={
            dataset.spec.value_text(value): dict(
                pixels=pixels, masks=len(tally.places[value]), files=tally.examples(value)
            )
            for value, pixels in sorted(tally.unknown.items())
        },
        never=[name for name, count in zip(dataset.classes, tally.pixels) if not count] if tally.labelled else [],
    )
