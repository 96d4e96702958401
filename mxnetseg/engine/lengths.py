"""How long a run is, and how often it does what."""

from typing import NamedTuple, Optional

from ..config.schema import TrainConfig

__all__ = ["Lengths"]


class Lengths(NamedTuple):
    """In optimizer steps; `per_epoch`, the steps of one pass over the images, is a fraction."""

    total: int
    per_epoch: float
    images: int  # of one step
    val_every: int
    save_every: int
    keep_every: Optional[int]

    @classmethod
    def of(cls, train: TrainConfig, images: int) -> "Lengths":
        """Of a recipe's `train` part on so many images."""
        per_step = train.batch_size * train.accumulate
        per_epoch = images / per_step
        val_every = train.val_every or max(1, round(per_epoch))
        total = train.iterations or max(1, round((train.epochs or 0) * per_epoch))
        return cls(total, per_epoch, per_step, val_every, train.save_every or val_every, train.keep_every)
