"""What a narrower dtype costs: class maps that change, and the scores that go with it."""

from typing import Iterable, NamedTuple, Optional, Sequence

import mxnet as mx
import numpy as np
from mxnet import nd

from ..config.schema import EvalConfig
from ..data import Dataset
from ..engine.evaluator import predict_dataset
from ..engine.inference import Preprocess
from ..errors import MXNetSegError
from ..metrics import ConfusionMatrix, Scores
from ..progress import progress_bar

__all__ = ["Comparison", "agreement", "compare"]


class Comparison(NamedTuple):
    """Two networks on the same labelled images."""

    agreement: float
    plain: Scores
    optimized: Scores

    @property
    def lost(self) -> Optional[float]:
        """Points of mIoU that the optimized network loses; None where no pixel is labelled."""
        if self.plain.miou is None or self.optimized.miou is None:
            return None
        return 100 * (self.plain.miou - self.optimized.miou)


def agreement(net, optimized, batches: Iterable[nd.NDArray]) -> float:
    """The share of pixels, 0 to 1, that two networks give the same class; each batch is (N, 3, H, W)."""
    same = pixels = 0
    for batch in batches:
        equal = net(batch).asnumpy().argmax(axis=1) == optimized(batch).asnumpy().argmax(axis=1)
        same, pixels = same + int(equal.sum()), pixels + equal.size
    if not pixels:
        raise MXNetSegError("agreement needs at least one batch of images")
    return same / pixels


def compare(
    net,
    optimized,
    dataset: Dataset,
    preprocess: Preprocess,
    config: Optional[EvalConfig] = None,
    contexts: Sequence[mx.Context] = (mx.cpu(),),
    workers: int = 0,
    progress: bool = True,
) -> Comparison:
    """Score both networks on every image of a labelled data set, as `mxnetseg eval` does.

    Raises
    ------
    MXNetSegError
        The data set has no labels.
    """
    if dataset.mask_paths is None:
        raise MXNetSegError(f"split {dataset.split!r} has no labels to score against; take a labelled split")
    config = config or EvalConfig()
    runs = [predict_dataset(one, dataset, preprocess, config, contexts, workers) for one in (net, optimized)]
    counts = [ConfusionMatrix(dataset.num_classes) for _ in runs]
    same = pixels = 0
    pairs = progress_bar(zip(*runs), total=len(dataset), desc=dataset.split, unit="img", shown=progress)
    for pair in pairs:
        for confusion, (sample, prediction) in zip(counts, pair):
            confusion.update(sample.label, prediction)
        equal = np.equal(pair[0][1], pair[1][1])
        same, pixels = same + int(equal.sum()), pixels + equal.size
    return Comparison(same / pixels, *(one.scores(dataset.classes, config.miou_classes) for one in counts))
