"""Parts of a network that stand still, for a while or for good (`model.freeze`)."""

import logging
import re
from typing import Dict, FrozenSet, List, Set

from mxnet.gluon import nn

from ..config import ModelConfig
from ..errors import MXNetSegError
from ..models import Segmentor
from ..names import counted, near

__all__ = ["Freeze", "check_unfreezing"]

log = logging.getLogger(__name__)


def check_unfreezing(config: ModelConfig, iterations: int) -> None:
    """Raise MXNetSegError where a run of so many iterations would never let go of what is frozen for a while."""
    until = config.unfreeze_at
    if until is not None and until >= iterations:
        raise MXNetSegError(
            f"model.unfreeze_at {until}: the run has {counted(iterations, 'iteration')}; leave it out to freeze "
            "for good"
        )


class Freeze:
    """Arrays whose structural name matches one of `config.freeze`, and how to let them go.

    No gradient is computed for them, so they don't change. A batch norm whose statistics match normalises with these
    while it trains. `net` has values; its optimizer is made before, of all parameters.

    Attributes
    ----------
    names : frozenset of str
        What stands still now: none once `lift` was called.
    for_good : frozenset of str
        What never learns.

    Raises
    ------
    MXNetSegError
        An expression matches nothing, or nothing is left to learn.
    """

    def __init__(self, net: Segmentor, config: ModelConfig, iteration: int = 0):
        ours = net._collect_params_with_prefix()
        matching: List[str] = []
        for pattern in config.freeze:
            found = [name for name in ours if re.search(pattern, name)]
            if not found:
                close = near(re.sub(r"[^\w.]", "", pattern), ours) or list(ours)
                raise MXNetSegError(
                    f"model.freeze: {pattern!r} matches nothing; there are {', '.join(close[:3])}, ..., and all of "
                    "'^backbone' and '^head'"
                )
            matching += found
        self._net = net
        self._until = config.unfreeze_at
        self._all = frozenset(matching)
        self.for_good = self._all if self._until is None else frozenset()
        self.names: FrozenSet[str] = frozenset()
        if not self._all or (self._until is not None and iteration >= self._until):
            return
        self.names = self._all
        self._parameters = [ours[name] for name in self._all if ours[name].grad_req != "null"]
        self._learning = [p for name, p in ours.items() if name not in self._all and p.grad_req != "null"]
        if not self._learning:
            raise MXNetSegError(f"model.freeze: {', '.join(config.freeze)} leaves nothing to learn; freeze less")
        for parameter in self._parameters:
            parameter.grad_req = "null"
        still = {id(ours[name]) for name in self._all}
        self._norms: List[nn.BatchNorm] = []
        net.apply(lambda block: self._norms.append(block) if _stands_still(block, still) else None)
        self._keep_statistics(True)
        until = f"until iteration {self._until}" if self._until else "for good"
        log.info("frozen %s: %d of %d arrays", until, len(self._all), len(ours))

    def lift(self) -> None:
        """Let everything learn from here on."""
        for parameter in self._parameters:
            parameter.grad_req = self._learning[0].grad_req  # "add" where batches are accumulated
        self._keep_statistics(False)
        self.names = frozenset()
        log.info("iteration %d: all of the network learns from here on", self._until)

    def updates(self, iteration: int) -> Dict[str, int]:
        """How many updates the arrays had that are or were frozen, after `iteration` iterations."""
        count = 0 if self._until is None else max(0, iteration - self._until)
        return dict.fromkeys(self._all, count)

    def _keep_statistics(self, keep: bool) -> None:
        for norm in self._norms:
            norm._kwargs["use_global_stats"] = keep
        self._net.forget_traces()


def _stands_still(block: object, still: Set[int]) -> bool:
    """Whether it is a batch norm that learns statistics which are to stand still."""
    if not isinstance(block, nn.BatchNorm) or block._kwargs["use_global_stats"]:
        return False
    return id(block.running_mean) in still or id(block.running_var) in still
