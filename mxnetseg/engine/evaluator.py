"""Score a network on a labelled split."""

import contextlib
import logging
from collections import deque
from typing import Callable, Deque, Generator, List, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np
from mxnet import nd

from ..config.schema import EvalConfig
from ..context import check_contexts
from ..data import Dataset, EvalLoader, Sample
from ..errors import MXNetSegError, named
from ..metrics import ConfusionMatrix, Scores
from ..network import Network, as_network
from ..progress import progress_bar
from .inference import Preprocess, predict_image
from .peers import Peers

__all__ = ["predict_dataset", "evaluate"]

log = logging.getLogger(__name__)


def evaluate(
    net: Network,
    dataset: Dataset,
    preprocess: Preprocess,
    config: EvalConfig,
    contexts: Sequence[mx.Context],
    workers: int = 0,
    progress: bool = True,
    stop: Callable[[], bool] = lambda: False,
    look: Callable[[Sample, np.ndarray], object] = lambda *_: None,
    peers: Optional[Peers] = None,
) -> Optional[Scores]:
    """PA, mAcc and mIoU of `net` on every image of `dataset`, at the labels' own size.

    `look` is called with every sample and its class map. `stop` is asked after every image; when it says yes there are
    no scores, but None. With `peers` each process takes its share of the images, all have the scores of the whole, and
    `stop` is to be `Peers.stopped`. A split whose labels are all ignored has scores without numbers, and a warning in
    the log.

    Raises
    ------
    MXNetSegError
        The split has no labels.
    """
    if dataset.mask_paths is None:
        raise MXNetSegError(f"split {dataset.split!r} has no labels to score against; predict it with --mode test")
    confusion = ConfusionMatrix(dataset.num_classes)
    peers = peers or Peers()
    if peers.size > 1 and stop():
        return None
    share, least = dataset.share(peers.rank, peers.size), len(dataset) // peers.size
    bar = progress_bar(total=len(share), desc=f"{dataset.split}", unit="img", shown=progress)
    maps = predict_dataset(net, share, preprocess, config, contexts, workers)
    with bar, contextlib.closing(maps):  # whatever ends the loop ends the workers
        for number, (sample, prediction) in enumerate(maps, 1):
            assert sample.label is not None  # the data set has masks
            confusion.update(sample.label, prediction)
            look(sample, prediction)
            bar.update()
            if number % 10 == 0 and number <= least:  # all come here, and hear of who is to stop
                peers.barrier()
            if stop():
                return None
            if progress and number % 10 == 0:
                miou = confusion.scores(dataset.classes, config.miou_classes).miou
                bar.set_postfix(mIoU="-" if miou is None else f"{miou:.4f}")
    confusion.matrix = peers.sum(confusion.matrix)
    scores = confusion.scores(dataset.classes, config.miou_classes)
    if scores.miou is None:
        log.warning(
            "split %r of %s: all labels are ignored, so there is nothing to score", dataset.split, dataset.spec.name
        )
    return scores


def predict_dataset(
    net: Network,
    dataset: Dataset,
    preprocess: Preprocess,
    config: EvalConfig,
    contexts: Sequence[mx.Context],
    workers: int = 0,
    broken: Optional[List[str]] = None,
) -> Generator[Tuple[Sample, np.ndarray], None, None]:
    """Yield (sample, (H, W) uint8 class map) in order; the contexts work side by side. `broken`: as in `EvalLoader`."""
    check_contexts(contexts)
    net = as_network(net)
    pending: Deque[Tuple[Sample, nd.NDArray]] = deque()
    for number, sample in enumerate(EvalLoader(dataset, workers, broken)):
        context = contexts[number % len(contexts)]
        with named(sample.name):
            pending.append((sample, predict_image(net, sample.image, preprocess, config, context)))
        if len(pending) >= len(contexts):
            done, prediction = pending.popleft()
            yield done, prediction.asnumpy()
    for done, prediction in pending:
        yield done, prediction.asnumpy()
