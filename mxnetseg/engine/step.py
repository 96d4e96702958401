"""One optimisation step, the same in training and in a dry run; and how batches come to it."""

from dataclasses import dataclass, field
from typing import Any, Callable, List, NamedTuple, Optional, Sequence, Union

import mxnet as mx
import numpy as np
from mxnet import autograd, nd
from mxnet.gluon import HybridBlock

from ..data import Batch, TrainLoader
from ..errors import MXNetSegError
from ..losses import total_loss
from ..models import Segmentor
from .distill import Distillation
from .ema import WeightAverage
from .freeze import Freeze
from .inference import Preprocess
from .optimizer import Optimizer
from .peers import Peers
from .recompute import Recompute
from .statistics import Statistics

__all__ = ["Feed", "NotFinite", "Part", "TrainStep"]


class NotFinite(MXNetSegError):
    """A loss that is NaN or infinite; the weights were not updated."""


class Part(NamedTuple):
    """What one context gets of a batch; `scale` is one over the weight of all labels of the step, for each criterion
    and last for the distillation, if there is one."""

    images: nd.NDArray
    labels: nd.NDArray
    scale: nd.NDArray


@dataclass
class Feed:
    """Iterator over steps, each `accumulate` batches, each a Part per context.

    `loader` gives this process's share of every batch; the weight of the labels is that of the whole step's.
    """

    loader: TrainLoader
    criterion: HybridBlock
    preprocess: Preprocess
    contexts: List[mx.Context]
    accumulate: int = 1
    distill: Optional[Distillation] = None
    peers: Peers = field(default_factory=Peers)
    _staged: Optional[List[List[Part]]] = field(default=None, init=False)

    @property
    def waited(self) -> float:
        """Seconds spent waiting for data."""
        return self.loader.waited

    def stage(self) -> None:
        """Prepare the next step; to be called while the engine computes another."""
        if self._staged is None:
            batches = [next(self.loader) for _ in range(self.accumulate)]
            labels = [batch.labels for batch in batches]
            weighed = [self._normalizer(one, labels) for one in (self.criterion, self.distill) if one is not None]
            scale = 1.0 / np.hstack(weighed)
            self._staged = [self._split(batch, scale) for batch in batches]

    def __next__(self) -> List[List[Part]]:
        self.stage()
        staged, self._staged = self._staged, None
        assert staged is not None
        return staged

    def _normalizer(self, criterion: Any, labels: List[np.ndarray]) -> Union[float, np.ndarray]:
        if self.peers.size == 1:
            return criterion.normalizer(labels)  # type: ignore[no-any-return]
        try:
            tally = criterion.tally(labels)
        except NotImplementedError:
            raise MXNetSegError(
                "a loss without tally() can't be shared by many processes (docs/extending.md)"
            ) from None
        return criterion.weigh(self.peers.sum(tally))  # type: ignore[no-any-return]

    def _split(self, batch: Batch, scale: np.ndarray) -> List[Part]:
        images, labels = (np.array_split(array, len(self.contexts)) for array in (batch.images, batch.labels))
        return [
            Part(
                self.preprocess(some, context),
                nd.array(their_labels, ctx=context, dtype="float32"),
                nd.array(scale, ctx=context),
            )
            for context, some, their_labels in zip(self.contexts, images, labels)
        ]

    def __enter__(self) -> "Feed":
        return self

    def __exit__(self, *_: object) -> None:
        self.loader.close()


@dataclass
class TrainStep:
    """Forward, backward, sums, update, average; `criterion` is what `losses.build_loss` gave."""

    net: Segmentor
    criterion: HybridBlock
    optimizer: Optimizer
    aux_weight: float  # of the auxiliary heads' losses
    accumulate: int = 1  # batches of a step
    average: Optional[WeightAverage] = None
    frozen: Optional[Freeze] = None
    distill: Optional[Distillation] = None
    peers: Peers = field(default_factory=Peers)
    recompute: bool = False  # activations, in the backward pass

    def __post_init__(self) -> None:
        self._statistics = Statistics(self.net)
        self._replicas: Optional[int] = None
        self._forward = self.net.coarse_logits if self.criterion.resizes else self.net
        self._pieces = Recompute(self.net, self.criterion.resizes) if self.recompute else None
        if self.accumulate > 1:
            for parameter in self.net.collect_params().values():
                if parameter.grad_req != "null":
                    parameter.grad_req = "add"

    def __call__(
        self, batches: Sequence[Sequence[Part]], lr: float, seed: int, meanwhile: Callable[[], object] = lambda: None
    ) -> float:
        """Take one step; `seed` is dropout's, `meanwhile` is called while the engine computes. Returns the loss.

        The sums over processes are queued at once, so that they go while the backward pass is still computed.

        Raises NotFinite, in all processes.
        """
        mx.random.seed(seed)
        losses = self._forward_backward(batches, seed)
        self._sum(len(batches[0]))
        meanwhile()
        loss = self._total(losses)
        self.optimizer.update(lr)
        if self.average:
            self.average.update(self.frozen.names if self.frozen else ())
        return loss

    def _sum(self, contexts: int) -> None:
        if self._replicas is None:  # not every process has as many contexts
            self._replicas = int(self.peers.sum(np.array([contexts]))[0])
        if self._replicas == 1:
            return
        with self._statistics.averaged(self._replicas, self.frozen.names if self.frozen else ()) as statistics:
            self.peers.sum_arrays({**self.optimizer.gradients(), **statistics})

    def _total(self, losses: Sequence[nd.NDArray]) -> float:
        """The loss of the step; of all processes."""
        each = self.peers.gather(sum(part.asscalar() for part in losses))
        loss = float(sum(each))
        if not np.isfinite(loss):
            spoilt = [str(rank) for rank in np.flatnonzero(~np.isfinite(each))]
            raise NotFinite(f"the loss is {loss}" + (f" (of rank {', '.join(spoilt)})" if len(each) > 1 else ""))
        return loss

    def _forward_backward(self, batches: Sequence[Sequence[Part]], seed: int) -> List[nd.NDArray]:
        if self.accumulate > 1:
            self.net.collect_params().zero_grad()
        losses: List[nd.NDArray] = []
        for number, parts in enumerate(batches):
            taught = [self.distill.taught(part.images) if self.distill else None for part in parts]
            with autograd.record():
                # all networks first: with SyncBN nothing may come between contexts that wait for one another
                outputs = self._outputs([part.images for part in parts], seed * self.accumulate + number)
                part_losses = [
                    self._loss(output, part, answers) for output, part, answers in zip(outputs, parts, taught)
                ]
            try:
                autograd.backward(part_losses)
            except mx.MXNetError as err:
                if "IsNone" not in str(err):  # MXNet's way to say that nothing was recorded
                    raise
                raise MXNetSegError(
                    "the loss does not depend on the network's logits, so nothing can be learned; compute it from them"
                ) from err
            if self._pieces:
                self._pieces.backward()
            losses += part_losses
        return losses

    def _outputs(self, images: List[nd.NDArray], seed: int) -> List[Any]:
        if self._pieces:
            return self._pieces(images, seed, self.frozen.names if self.frozen else ())
        return [self._forward(one) for one in images]

    def _loss(self, outputs: Any, part: Part, taught: Optional[nd.NDArray]) -> nd.NDArray:
        if self.distill is None or taught is None:
            return total_loss(self.criterion, outputs, part.labels, part.scale, self.aux_weight)
        loss = total_loss(self.criterion, outputs, part.labels, part.scale[:-1], self.aux_weight)
        return loss + self.distill.loss(outputs, taught, part.labels, part.scale[-1:])
