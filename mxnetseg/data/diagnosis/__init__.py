"""What is wrong with a data set, found before a run learns or scores something else than was meant.

`data check`, `train`, `train --dry-run` and `eval` share it: a recipe's keys, the files of its splits, the labels in
them. The findings are listed in docs/data.md.
"""

import contextlib
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence

import numpy as np

from ...commands import typed
from ...config.schema import DataConfig
from ...errors import MXNetSegError
from ...progress import progress_bar
from ..dataset import Dataset
from ..workers import in_order
from .finding import Finding
from .labels import label_findings, palette_findings, suspicious, value_findings
from .look import Looker
from .overlap import alike_findings, file_findings, picture_findings, twice_findings
from .settings import feeding_findings, meaning_findings, split_findings, turned_findings, weight_findings
from .tally import Tally

__all__ = ["Diagnosis", "Finding", "diagnose", "read_split"]

FEW = 32  # images: fewer are not worth starting workers for
FILES, PIXELS = 64, 50_000_000  # of a split, that a run looks at before it begins: a second or two
FURTHER = 2000  # masks, where those lack a class
SHOWN = 5  # findings of one kind that an error lists


class Diagnosis(NamedTuple):
    """All findings, the grave ones first, and what they were found in: a tally per split that was looked at."""

    findings: List[Finding]
    tallies: Dict[str, Tally]

    @property
    def grave(self) -> List[Finding]:
        """Those that stop a run."""
        return [finding for finding in self.findings if finding.grave]

    @property
    def mild(self) -> List[Finding]:
        """Those that are worth knowing."""
        return [finding for finding in self.findings if not finding.grave]

    @property
    def looked(self) -> str:
        """What was looked at, "64 of 367 images in train, 101 in val"."""
        parts = []
        for split, tally in self.tallies.items():
            there = len(tally.dataset)
            parts.append(f"{tally.looked:,} " + ("" if tally.complete else f"of {there:,} ") + f"images in {split}")
        return ", ".join(parts)

    def stop(self, remedy: str) -> None:
        """Raise MXNetSegError with all grave findings, if there are any; `remedy` ends it."""
        if self.grave:
            shown = [f for f in self.findings if f.grave and _number(f, self.grave) < SHOWN]
            lines = [f"  - {typed(str(finding))}" for finding in shown]
            if len(shown) < len(self.grave):
                more = len(self.grave) - len(shown)
                lines.append(typed(f"  - and {more} more of these kinds; `mxnetseg data check` lists all"))
            raise MXNetSegError(
                f"the data would spoil the result ({self.looked} looked at):\n" + "\n".join(lines) + f"\n{remedy}"
            )


def _number(finding: Finding, findings: Sequence[Finding]) -> int:
    """How many of its kind come before it."""
    return [f for f in findings if f.kind == finding.kind].index(finding)


def diagnose(
    data: DataConfig,
    datasets: Sequence[Dataset],
    others: Sequence[Dataset] = (),
    *,
    weights: Optional[Sequence[float]] = None,
    validating: bool = False,
    every: bool = False,
    workers: int = 0,
    progress: bool = False,
) -> Diagnosis:
    """Look at the splits of a data set.

    Parameters
    ----------
    data : DataConfig
    datasets : sequence of Dataset
        One per split.
    others : sequence of Dataset
        Splits that are not looked at, but that must not share files with these.
    weights : sequence of float, optional
        `loss.class_weights`.
    validating : bool
        A run is about to train on `data.train_split` and to validate on `data.val_split`.
    every : bool
        Read every file. Else a bounded number of each split, spread over it; whether two splits share files is found
        out of all.
    workers : int
        Processes, with `every`.
    progress : bool
        Show a bar, with `every`.
    """
    tallies = {}
    for dataset in datasets:
        counted = weights if _trains(data, dataset) else None
        tallies[dataset.split] = (
            read_split(dataset, workers, progress) if every else _sample(dataset, datasets, counted)
        )
    findings = _findings(data, list(tallies.values()), others, weights, validating, every)
    return Diagnosis(sorted(findings, key=lambda finding: not finding.grave), tallies)


def _findings(
    data: DataConfig,
    tallies: List[Tally],
    others: Sequence[Dataset],
    weights: Optional[Sequence[float]],
    validating: bool,
    every: bool,
) -> Iterator[Finding]:
    specs = {tally.dataset.spec.name: tally.dataset.spec for tally in tallies}
    for spec in specs.values():
        yield from meaning_findings(data, spec)
    settings = list(split_findings(data, validating)) if validating or every else []
    yield from settings
    yield from feeding_findings(data, tallies)
    learning = [tally for tally in tallies if _trains(data, tally.dataset)]
    for tally in tallies:
        yield from tally.problems
        yield from value_findings(tally)
        yield from palette_findings(tally)
        # a recipe's mistake shows in every split, and stops a run once
        yield from label_findings(tally, trains=tally in learning, decides=tally in (learning or tallies))
        yield from turned_findings(tally)
    for tally in learning:
        yield from weight_findings(tally, weights)
    if not settings:  # else it has been said that they are the same images
        datasets = [tally.dataset for tally in tallies]
        exact = [] if every else list(file_findings(datasets, others))
        exact = exact or list(picture_findings(tallies))
        yield from exact
    yield from twice_findings(tallies)
    if not settings:
        yield from alike_findings(tallies)


def _trains(data: DataConfig, dataset: Dataset) -> bool:
    return dataset.split == data.train_split or dataset.split in data.train_split.split("+")


def read_split(dataset: Dataset, workers: int = 0, progress: bool = False) -> Tally:
    """Look at every pair of a split."""
    tally = Tally(dataset)
    looks = in_order(Looker(dataset), range(len(dataset)), workers if len(dataset) > FEW else 0)
    bar = progress_bar(total=len(dataset), desc=dataset.split, unit="img", shown=progress)
    with bar, contextlib.closing(looks):
        for look in looks:
            bar.update()
            tally.add(look)
    return tally


def _sample(dataset: Dataset, datasets: Sequence[Dataset], weights: Optional[Sequence[float]]) -> Tally:
    """Look at some pairs, and at further masks where these lack classes."""
    tally, order, pixels = Tally(dataset), _order(dataset, datasets), 0
    look, masks = Looker(dataset), Looker(dataset, masks_only=True)
    for index in order[:FILES]:
        found = look(index)
        tally.add(found)
        pixels += found.size[0] * found.size[1] if found.size else 0
        if pixels >= PIXELS:
            break
    for index in order[tally.looked : tally.looked + FURTHER]:
        if not suspicious(tally, weights):
            break
        tally.add(masks(index))
    return tally


def _order(dataset: Dataset, datasets: Sequence[Dataset]) -> List[int]:
    """Indices, so that the first ones are spread over the split; a few that other splits have by name, too, lead."""
    order = [int(index) for index in np.random.default_rng(0).permutation(len(dataset))]
    elsewhere = {name for other in datasets if other is not dataset for name in other.names}
    shared = sorted((i for i in order if dataset.names[i] in elsewhere), key=lambda i: dataset.names[i])
    lead = shared[:: max(len(shared) // (FILES // 4), 1)][: FILES // 4]
    return lead + [index for index in order if index not in set(lead)]
