"""The normalisation of a network, chosen once: `with norm_scope("gn"): ...build the network...`.

Inside the scope every brick asks `make_norm` for its layer, so no constructor has to pass the choice on.
"""

import contextlib
import logging
import threading
from typing import Iterator, List

from mxnet.gluon import HybridBlock, nn

from .. import startup
from ..errors import MXNetSegError
from ..names import lookup

__all__ = [
    "BatchNorm",
    "GroupNorm",
    "SyncBatchNorm",
    "check_synchronisation",
    "make_norm",
    "norm_scope",
    "reuse",
    "unsynchronised",
    "waits_for_siblings",
    "NORMS",
]

log = logging.getLogger(__name__)


class BatchNorm(nn.BatchNorm):
    """Batch normalisation (Ioffe & Szegedy, 2015), MXNet's own."""

    @classmethod
    def make(cls, channels: int, **kwargs) -> HybridBlock:
        """A layer for so many channels; 0: told by the first input. What `make_norm` calls."""
        return cls(in_channels=channels, **kwargs)


class SyncBatchNorm(BatchNorm):
    """Batch normalisation over the images of all contexts that hold the network.

    The number of contexts is read off the parameters when the layer runs, so the same network
    works on one (then it is plain batch normalisation, which is said once in the log) or many.
    Every context must hold the same number of images, and see them at the same time: nothing that
    waits for one context's result may stand between the calls. Several CPU contexts need room
    in MXNet (`startup.SYNCHRONISATION`), or MXNetSegError is raised.
    """

    def _devices(self) -> int:
        try:
            return len(self.gamma.list_ctx())
        except RuntimeError:  # not initialized: only shapes are being inferred
            return 0

    def hybrid_forward(self, F, x, gamma, beta, running_mean, running_var):
        devices = self._devices()
        if self._kwargs["use_global_stats"]:  # nothing to synchronise
            return super().hybrid_forward(F, x, gamma, beta, running_mean, running_var)
        if devices <= 1:
            if devices == 1:
                _say_plain_once()
            return super().hybrid_forward(F, x, gamma, beta, running_mean, running_var)
        check_synchronisation(self.gamma.list_ctx())
        return F.contrib.SyncBatchNorm(
            x,
            gamma,
            beta,
            running_mean,
            running_var,
            ndev=devices,
            key=self.prefix + getattr(_scope, "use", ""),
            eps=self._kwargs["eps"],
            momentum=self._kwargs["momentum"],
            fix_gamma=self._kwargs["fix_gamma"],
            name="fwd",
        )


def waits_for_siblings(net: HybridBlock) -> bool:
    """Whether a layer of the network waits for those of its copies on other contexts."""
    found: List[SyncBatchNorm] = []
    net.apply(lambda block: found.append(block) if isinstance(block, SyncBatchNorm) else None)
    return any(norm._devices() > 1 for norm in found)


class GroupNorm(HybridBlock):
    """Group normalisation (Wu & He, 2018) with one gamma and beta per channel.

    `mxnet.gluon.nn.GroupNorm` has one pair per group, which is not what the paper and other
    toolkits' checkpoints have.

    Parameters
    ----------
    channels : int
        Channels of the input, (N, channels, H, W).
    groups : int
        At most this many groups; the largest number that divides `channels` and leaves two channels
        or more to a group is taken.
    """

    def __init__(self, channels: int, groups: int = 32, epsilon: float = 1e-5):
        super().__init__()
        self._most_groups = groups
        self._epsilon = epsilon
        with self.name_scope():
            self.gamma = self.params.get("gamma", shape=(channels,), init="ones")
            self.beta = self.params.get("beta", shape=(channels,), init="zeros")

    @classmethod
    def make(cls, channels: int, **kwargs) -> HybridBlock:
        """A layer for so many channels; other arguments of a batch norm are dropped. What `make_norm` calls."""
        return cls(channels)

    @property
    def channels(self) -> int:
        """Of the input; 0 as long as they are not known."""
        return self.gamma.shape[0]

    @property
    def _groups(self) -> int:
        # a group of one channel would make nothing but zeros of a 1x1 map
        most = max(1, min(self._most_groups, self.channels // 2))
        return max(g for g in range(1, most + 1) if self.channels % g == 0)

    def hybrid_forward(self, F, x, gamma, beta):
        grouped = F.reshape(x, shape=(0, -4, self._groups, -1, -2))  # (N, G, C/G, H, W)
        grouped = F.reshape(grouped, shape=(0, 0, -1))  # (N, G, C/G*H*W)
        centred = F.broadcast_sub(grouped, F.mean(grouped, axis=2, keepdims=True))
        variance = F.mean(F.square(centred), axis=2, keepdims=True)
        normed = F.broadcast_mul(centred, F.rsqrt(variance + self._epsilon))
        normed = F.reshape_like(normed, x)
        gamma = F.reshape(gamma, shape=(1, -1, 1, 1))
        beta = F.reshape(beta, shape=(1, -1, 1, 1))
        return F.broadcast_add(F.broadcast_mul(normed, gamma), beta)


NORMS = {"bn": BatchNorm, "syncbn": SyncBatchNorm, "gn": GroupNorm}

_scope = threading.local()
_said = threading.Event()


@contextlib.contextmanager
def norm_scope(name: str) -> Iterator[None]:
    """Inside, `make_norm` builds the norm called `name` (bn, syncbn or gn; case does not matter)."""
    before = getattr(_scope, "norm", BatchNorm)
    _scope.norm = lookup("norm", name, NORMS)
    try:
        yield
    finally:
        _scope.norm = before


@contextlib.contextmanager
def reuse() -> Iterator[None]:
    """Inside, layers are called that the same graph has called before: `a = f(x); with reuse(): b = f(y)`.

    Synchronised norms find one another across contexts by a key; two uses under one key would meet each other's
    statistics, or crash.
    """
    before = getattr(_scope, "use", "")
    _scope.use = before + "again_"
    try:
        yield
    finally:
        _scope.use = before


@contextlib.contextmanager
def unsynchronised() -> Iterator[None]:
    """Inside, a synchronised norm becomes a plain one."""
    current = getattr(_scope, "norm", BatchNorm)
    _scope.norm = BatchNorm if current is SyncBatchNorm else current
    try:
        yield
    finally:
        _scope.norm = current


def make_norm(channels: int, **kwargs) -> HybridBlock:
    """A norm layer of the current scope for so many channels; `kwargs` are those of batch norms."""
    return getattr(_scope, "norm", BatchNorm).make(channels, **kwargs)


def check_synchronisation(contexts) -> None:
    """Raise MXNetSegError where SyncBN over these contexts would wait for ever."""
    problem = startup.synchronisation_problem()
    if problem and sum(context.device_type == "cpu" for context in contexts) > 1:
        raise MXNetSegError(problem)


def _say_plain_once() -> None:
    if not _said.is_set():
        _said.set()
        log.info("SyncBN on one context is plain batch normalisation")
