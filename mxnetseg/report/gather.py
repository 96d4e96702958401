"""A network over a labelled split, counted and drawn image by image."""

import contextlib
import time
from collections import deque
from typing import Any, Deque, Dict, Generator, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np
from mxnet import nd

from ..config.schema import EvalConfig
from ..context import check_contexts
from ..data import Dataset, EvalLoader, Sample
from ..engine.inference import Preprocess, predict_certain
from ..errors import MXNetSegError, named
from ..network import Network, as_network
from ..progress import progress_bar
from ..visual import rgb
from .pictures import Kept, draw
from .rates import mean_iou
from .results import Results
from .tally import Tally

__all__ = ["gather"]


def gather(
    net: Network,
    dataset: Dataset,
    preprocess: Preprocess,
    config: EvalConfig,
    contexts: Sequence[mx.Context],
    about: Dict[str, Any],
    shown: Optional[Sequence[int]] = None,
    workers: int = 0,
    progress: bool = True,
) -> Results:
    """Count `net` on every image of `dataset`, at the labels' own size.

    `about` goes into the results, with the evaluation settings, what the data were, and the time. `shown` are the
    channels to look at, as in `visual.rgb`.

    Raises
    ------
    MXNetSegError
        The split has no labels, a file can't be read, a label is no class, the network gives NaN.
    """
    dataset.masks()
    palette = [(int(r), int(g), int(b)) for r, g, b in dataset.palette]
    tally, kept, began = Tally(dataset.num_classes), Kept(), time.perf_counter()
    bar = progress_bar(total=len(dataset), desc=f"{dataset.split}", unit="img", shown=progress)
    maps = _predicted(net, dataset, preprocess, config, contexts, workers)
    with bar, contextlib.closing(maps):  # whatever ends the loop ends the workers
        for number, (sample, prediction, confidence) in enumerate(maps):
            assert sample.label is not None  # the data set has masks
            tally.update(sample.label, prediction, confidence)
            if kept.wants(number, _badness(tally.last, config)):
                picture = rgb(sample.image, shown)
                kept.pictures[number] = draw(picture, sample.label, prediction, confidence, palette)
            bar.update()
            if progress and number % 10 == 9:
                miou = tally.total.scores(dataset.classes, config.miou_classes).miou
                bar.set_postfix(mIoU="-" if miou is None else f"{miou:.4f}")
    facts = {
        **about,
        "data": dataset.spec.name,
        "split": dataset.split,
        "images": len(dataset),
        "digest": dataset.digest(),
        "eval": config.model_dump(mode="json"),
        "seconds": time.perf_counter() - began,
        "contexts": [str(context) for context in contexts],
    }
    return Results(dataset.names, dataset.classes, palette, facts, tally.arrays(), kept.pictures)


def _predicted(
    net: Network,
    dataset: Dataset,
    preprocess: Preprocess,
    config: EvalConfig,
    contexts: Sequence[mx.Context],
    workers: int,
) -> Generator[Tuple[Sample, np.ndarray, np.ndarray], None, None]:
    """Sample, class map (H, W) uint8 and confidence (H, W) float32, in order; the contexts work side by side."""
    check_contexts(contexts)
    net = as_network(net)
    pending: Deque[Tuple[Sample, nd.NDArray, nd.NDArray]] = deque()
    for number, sample in enumerate(EvalLoader(dataset, workers)):
        context = contexts[number % len(contexts)]
        with named(sample.name):
            maps, scores = predict_certain(net, sample.image[None], preprocess, config, context)
        pending.append((sample, maps[0], nd.max(scores, axis=1)[0]))
        if len(pending) >= len(contexts):
            yield _arrived(*pending.popleft())
    for each in pending:
        yield _arrived(*each)


def _arrived(sample: Sample, prediction: nd.NDArray, confidence: nd.NDArray) -> Tuple[Sample, np.ndarray, np.ndarray]:
    sure = confidence.asnumpy()
    if not np.isfinite(sure).all():
        raise MXNetSegError(
            f"{sample.name}: the network gives no probabilities (NaN), so its weights or its dtype are at fault; "
            "try another checkpoint, or leave out --dtype"
        )
    return sample, prediction.asnumpy(), sure


def _badness(last: Dict[str, np.ndarray], config: EvalConfig) -> Dict[str, float]:
    """How bad an image is by each ranking, of its part of the tally; higher is worse."""
    counts = last["counts"]
    lost = counts[:, 1] + counts[:, 2] - 2 * counts[:, 0]
    found = {f"class {index}": float(lost[index]) for index in np.flatnonzero(lost)}
    miou = float(mean_iou(counts, config.miou_classes))
    pixels = max(int(counts[:, 1].sum()), 1)
    found["sure"] = float(last["sureness"][3]) / pixels
    found["miou"] = -1.0 if np.isnan(miou) else -miou
    return found
