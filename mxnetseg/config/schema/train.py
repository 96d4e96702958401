"""`train`: how long the run is, its batches, and when it validates and saves."""

from typing import Optional

from pydantic import Field, ValidationInfo, model_validator

from .part import Part
from .values import MOST, RECORDED, wrong

MOST_SEED = 2**31 - 1  # MXNet's generator takes no more


class TrainConfig(Part):
    """How long the run is, its batches, and when it validates and saves."""

    epochs: Optional[float] = Field(None, gt=0, le=1e6, description="length in passes over the training split")
    iterations: Optional[int] = Field(None, gt=0, le=MOST, description="length in optimizer steps; this or epochs")
    batch_size: int = Field(8, ge=1, le=100_000, description="images of one forward pass, over all contexts together")
    accumulate: int = Field(1, ge=1, le=100_000, description="batches summed into one optimizer step")
    workers: int = Field(2, ge=0, le=1000, description="processes that read and augment; 0: none")
    seed: int = Field(
        0, ge=0, description=f"of initial weights, sampling, augmentation and dropout; at most {MOST_SEED}"
    )
    val_every: Optional[int] = Field(
        None, ge=1, le=MOST, description="iterations between validations; an epoch when left out"
    )
    save_every: Optional[int] = Field(
        None, ge=1, le=MOST, description="iterations between resumable saves; val_every when left out"
    )
    keep_every: Optional[int] = Field(
        None, ge=1, le=MOST, description="keep a checkpoint for good every so many iterations"
    )
    log_every: int = Field(10, ge=1, le=MOST, description="iterations to a row of metrics.csv")
    pictures: int = Field(
        4, ge=0, le=32, description="images of the validation split that pictures.png shows after every validation"
    )
    ema: Optional[float] = Field(
        None,
        gt=0,
        lt=1,
        description="decay of an exponential moving average of the weights, which is then what is validated; 0.999 for "
        "example. At the start it is (1 + i) / (10 + i) where that is less",
    )
    swa: Optional[float] = Field(
        None,
        gt=0,
        lt=1,
        description="instead of ema: share of the run, 0.75 for example, after which the average is the plain mean of "
        "the weights of all iterations (SWA); it is what is validated",
    )
    patience: Optional[int] = Field(
        None, ge=1, le=MOST, description="stop when the mIoU has not improved for so many validations in a row"
    )
    checkpoint: bool = Field(
        False,
        description="keep few activations, and compute the others again in the backward pass: down to half of the "
        "memory, 1.3 to 1.6 times the time (activation checkpointing)",
    )
    static: bool = Field(
        True,
        description="hybridize with static_alloc, memory planned once; SyncBN over several contexts always does",
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> "TrainConfig":
        if (self.epochs is None) == (self.iterations is None):
            raise ValueError("give train.epochs or train.iterations, one of the two")
        if self.ema is not None and self.swa is not None:
            raise ValueError("give train.ema or train.swa, one of the two")
        return self

    @model_validator(mode="after")
    def _seed(self, info: ValidationInfo) -> "TrainConfig":
        # older versions took any, and their runs can go on
        if self.seed > MOST_SEED and info.context != RECORDED:
            raise wrong("seed", f"at most {MOST_SEED}", self.seed)
        return self
