"""From a network and a split to a report's folder."""

from pathlib import Path
from typing import Optional, Sequence

import mxnet as mx

from ..config.schema import EvalConfig
from ..data import Dataset
from ..engine.checkpoint import Checkpoint
from ..engine.inference import Preprocess
from ..engine.record import Record
from ..network import Network
from .about import about_network, view_size
from .gather import gather
from .results import Results
from .write import write_report

__all__ = ["make_report"]


def make_report(
    net: Network,
    dataset: Dataset,
    preprocess: Preprocess,
    config: EvalConfig,
    contexts: Sequence[mx.Context],
    folder: Path,
    *,
    checkpoint: Optional[Checkpoint] = None,
    dtype: Optional[str] = None,
    shown: Optional[Sequence[int]] = None,
    workers: int = 0,
    progress: bool = True,
) -> Results:
    """Score a network as `evaluate` does, and write a report besides; `check_report` tells beforehand if it can.

    `checkpoint` is the file that it comes from, `dtype` what it was optimized to; the others are as in `gather`.

    Raises
    ------
    MXNetSegError
        As `gather`, and as `write_report`.
    """
    size = view_size(dataset.image(dataset.image_paths[0]), preprocess, config)
    record = checkpoint.record if checkpoint else net.record or Record()
    about = about_network(record, size, spec=net.spec, checkpoint=checkpoint, dtype=dtype)
    results = gather(net, dataset, preprocess, config, contexts, about, shown, workers, progress)
    write_report(results, folder)
    return results
