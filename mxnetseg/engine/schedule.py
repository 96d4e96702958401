"""The learning rate as a pure function of the iteration."""

import logging
import math
from typing import Callable, Dict

from ..config.schema import ScheduleConfig
from ..names import counted

__all__ = ["Schedule"]

log = logging.getLogger(__name__)


# name -> f(config, the rate at the start, the share of the run that is done)
SHAPES: Dict[str, Callable[[ScheduleConfig, float, float], float]] = {
    "poly": lambda c, lr, done: c.end_lr + (lr - c.end_lr) * math.pow(1 - done, c.power),
    "cosine": lambda c, lr, done: c.end_lr + (lr - c.end_lr) * (1 + math.cos(math.pi * done)) / 2,
    "linear": lambda c, lr, done: c.end_lr + (lr - c.end_lr) * (1 - done),
    "step": lambda c, lr, done: lr * c.factor ** sum(done >= step for step in c.steps),
    "constant": lambda c, lr, done: lr,
}


class Schedule:
    """`schedule(i)` is the learning rate of iteration i, 0 <= i < total.

    After a linear warm-up from `warmup_ratio * lr` at iteration 0 to `lr` at iteration `warmup`, the
    named shape runs from `lr` there to exactly its end at the last iteration, total - 1.

    With `style` mmcv (mmcv 1.x, LrUpdaterHook) the shape runs over all iterations, from 0 to its end at
    `total`, which the last one does not reach, and the warm-up multiplies it: from `warmup_ratio`
    at iteration 0 to 1 at iteration `warmup`.
    """

    def __init__(self, config: ScheduleConfig, lr: float, total: int):
        self._shape = SHAPES[config.name]
        self._config = config
        self._lr = lr
        self._total = total
        if config.warmup >= total:
            log.warning(
                "schedule.warmup %d is as long as the run of %s, or longer: the rate only rises; make it shorter",
                config.warmup,
                counted(total, "iteration"),
            )

    def __call__(self, iteration: int) -> float:
        if self._config.style == "mmcv":
            return self._as_mmcv(iteration)
        config, warmup = self._config, min(self._config.warmup, self._total - 1)
        if iteration < warmup:
            start = config.warmup_ratio * self._lr
            return start + (self._lr - start) * iteration / warmup
        last = self._total - 1 - warmup
        share = (iteration - warmup) / last if last else 0.0
        return self._shape(config, self._lr, min(share, 1.0))

    def _as_mmcv(self, iteration: int) -> float:
        config = self._config
        rate = self._shape(config, self._lr, iteration / self._total)
        if iteration < config.warmup:
            rate *= 1 - (1 - iteration / config.warmup) * (1 - config.warmup_ratio)
        return rate
