"""What a recipe may say: every key, its type, its default and its meaning; a file per section.

No module below `config` sees a raw dictionary; each part of a recipe goes only to the part of the toolkit that needs
it. Unknown keys are errors.
"""

from pydantic import Field, ValidationInfo, model_validator

from .augment import AugmentConfig, MixConfig, TransformConfig
from .data import DataConfig, RareClassConfig
from .distill import DistillConfig
from .eval import EvalConfig
from .loss import LossConfig, LossTerm, first_and_also
from .model import ModelConfig
from .optimizer import LayerDecayConfig, OptimizerConfig, ParamRule, ScheduleConfig
from .part import Part
from .train import TrainConfig
from .values import (
    FED,
    IMAGENET_MEAN,
    IMAGENET_STD,
    MAX_PIXELS,
    MOST_CHANNELS,
    READ,
    RECORDED,
    Channel,
    Deviation,
    Side,
    Size,
    wrong,
)

__all__ = [
    "AugmentConfig",
    "Channel",
    "DataConfig",
    "Deviation",
    "DistillConfig",
    "EvalConfig",
    "FED",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "LayerDecayConfig",
    "LossConfig",
    "LossTerm",
    "MAX_PIXELS",
    "MOST_CHANNELS",
    "MixConfig",
    "ModelConfig",
    "OptimizerConfig",
    "ParamRule",
    "Part",
    "READ",
    "RECORDED",
    "RareClassConfig",
    "Recipe",
    "ScheduleConfig",
    "Side",
    "Size",
    "TrainConfig",
    "TransformConfig",
    "first_and_also",
]


class Recipe(Part):
    """One YAML file: everything a run depends on."""

    description: str = Field("", description="free text: source, expected figure")
    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    loss: LossConfig = LossConfig()
    distill: DistillConfig = DistillConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    train: TrainConfig = TrainConfig(epochs=1)
    eval: EvalConfig = EvalConfig()

    @model_validator(mode="after")
    def _fits_together(self, info: ValidationInfo) -> "Recipe":
        if info.context == RECORDED:
            return self
        loss, schedule, classes = self.loss, self.schedule, self.data.classes
        if self.model.aux is False and loss.aux_weight != type(loss).model_fields["aux_weight"].default:
            raise wrong("loss.aux_weight", "has no effect where model.aux is false; leave it out", loss.aux_weight)
        if schedule.name in ("poly", "cosine") and schedule.end_lr > self.optimizer.lr:
            what = f"is above optimizer.lr, {self.optimizer.lr:g}: the learning rate would rise all along"
            raise wrong("schedule.end_lr", what, schedule.end_lr)
        for place, term in [("loss", loss), *((f"loss.also.{i}", term) for i, term in enumerate(loss.also))]:
            if classes and term.class_weights and len(term.class_weights) != len(classes):
                what = f"has {len(term.class_weights)} values for the {len(classes)} names in data.classes"
                raise wrong(f"{place}.class_weights", what, term.class_weights)
        return self
