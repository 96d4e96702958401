"""Samples in order, read ahead by worker processes."""

import time
from collections import deque
from typing import Callable, Deque, Generic, Iterator, List, NamedTuple, Optional, Tuple, TypeVar, Union

import numpy as np

from ..errors import MXNetSegError
from .dataset import Dataset, Sample
from .mixing import Mixing, mix
from .sampling import Draw, SampleStream, sample_rng
from .workers import Job, WorkerPool, check_workers

__all__ = ["Batch", "EvalLoader", "TrainLoader"]

Answer = TypeVar("Answer")
# image and label -> the same kinds, changed; see `TrainTransform`
Transform = Callable[[np.ndarray, np.ndarray, np.random.Generator], Tuple[np.ndarray, np.ndarray]]


class Batch(NamedTuple):
    """Images (N, H, W, 3) uint8 RGB, or what `files.Reading` makes of files; labels (N, H, W) uint8; names."""

    images: np.ndarray
    labels: np.ndarray
    names: List[str]


class _Load:
    """Task of a worker: read, augment, hand back. Holds no MXNet object, so it pickles anywhere."""

    def __init__(
        self,
        dataset: Dataset,
        transform: Optional[Transform] = None,
        seed: int = 0,
        mixing: Optional[Mixing] = None,
    ):
        self.dataset = dataset
        self.mixing = mixing
        self.transform = transform
        self.seed = seed

    def name(self, draw: Draw) -> str:
        return f"{self.dataset.split}/{self.dataset.names[draw.index]}"

    def __call__(self, draw: Draw) -> Sample:
        sample = self.dataset.load(draw.index)
        if self.transform is None:
            return sample
        rng = sample_rng(self.seed, draw)
        image, label = self._changed(sample, rng)
        if self.mixing and rng.random() < self.mixing.chance:
            other = self.dataset.load(int(rng.integers(len(self.dataset))))
            image, label = mix(self.mixing.mask, (image, label), self._changed(other, rng), rng)
        return Sample(image, label, sample.name)

    def _changed(self, sample: Sample, rng: np.random.Generator) -> Tuple[np.ndarray, np.ndarray]:
        assert self.transform and sample.label is not None  # TrainLoader has checked
        return self.transform(sample.image, sample.label, rng)


class _TryToLoad:
    """The same for samples that need no change; gives what is wrong with one that can't be read."""

    def __init__(self, dataset: Dataset):
        self.load = _Load(dataset)
        self.name = self.load.name

    def __call__(self, draw: Draw) -> Union[Sample, str]:
        try:
            return self.load(draw)
        except MXNetSegError as err:
            return str(err)


class _Ahead(Generic[Answer]):
    """Results of `load(task)` in the order of `tasks`, at most `depth` of them ahead."""

    def __init__(self, load: Job[Draw, Answer], tasks: Iterator[Draw], workers: int, depth: int):
        self._load = load
        self._tasks = tasks
        self._depth = depth
        self._pending: Deque[Draw] = deque()
        self._pool = WorkerPool(load, workers) if workers else None

    def next(self) -> Answer:
        if self._pool is None:
            only = next(self._tasks)
            try:
                return self._load(only)
            except MXNetSegError as err:
                raise MXNetSegError(f"sample {self._load.name(only)}: {err}") from err
        while len(self._pending) < self._depth:
            task = next(self._tasks, None)
            if task is None:
                break
            self._pending.append(task)
            self._pool.submit(task)
        if not self._pending:
            raise StopIteration
        self._pending.popleft()
        return self._pool.result()

    def close(self) -> None:
        if self._pool is not None:
            self._pool.close()


class TrainLoader:
    """Endless batches of augmented samples, from batch `start` of `stream` on.

    What sample i of epoch e looks like depends on (seed, e, i) alone, whatever `workers` is.

    Attributes
    ----------
    waited : float
        Seconds that the consumer has spent waiting for data.

    Raises
    ------
    MXNetSegError
        The data set was opened without its masks. While iterating: a file that can't be read, or a worker that died;
        the sample is named.
    """

    def __init__(
        self,
        dataset: Dataset,
        transform: Transform,
        stream: SampleStream,
        workers: int = 0,
        start: int = 0,
        mixing: Optional[Mixing] = None,
    ):
        dataset.masks()  # must be there
        self.waited = 0.0
        self._size = stream.batch_size
        depth = max(2 * workers, 2 * stream.batch_size)
        self._ahead = _Ahead(_Load(dataset, transform, stream.seed, mixing), _draws(stream, start), workers, depth)

    def __iter__(self) -> "TrainLoader":
        return self

    def __next__(self) -> Batch:
        begin = time.perf_counter()
        samples = [self._ahead.next() for _ in range(self._size)]
        shapes = {sample.image.shape for sample in samples}
        if len(shapes) > 1:
            raise MXNetSegError(
                f"images of one batch differ in size ({sorted(shapes)}); "
                "set data.augment.crop, or train.batch_size to 1"
            )
        images, labels, names = zip(*samples)
        batch = Batch(np.stack(images), np.stack(labels), list(names))
        self.waited += time.perf_counter() - begin
        return batch

    def close(self) -> None:
        """End the workers."""
        self._ahead.close()

    def __enter__(self) -> "TrainLoader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class EvalLoader:
    """Every sample of a data set once, unchanged, in order.

    With a list for `broken`, what is wrong with samples that can't be read goes there, and they are left out.
    """

    def __init__(self, dataset: Dataset, workers: int = 0, broken: Optional[List[str]] = None):
        workers = check_workers(workers)
        self._length = len(dataset)
        self._broken = broken
        load: Job[Draw, Union[Sample, str]] = _Load(dataset) if broken is None else _TryToLoad(dataset)
        self._ahead = _Ahead(load, (Draw(0, i) for i in range(len(dataset))), workers, 2 * workers)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Sample]:
        try:
            for _ in range(self._length):
                sample = self._ahead.next()
                if isinstance(sample, Sample):
                    yield sample
                elif self._broken is not None:  # it is: without it, errors are raised
                    self._broken.append(sample)
        finally:
            self._ahead.close()


def _draws(stream: SampleStream, start: int) -> Iterator[Draw]:
    number = start
    while True:
        yield from stream.batch(number)
        number += 1
