"""What a recipe may say: every key, its type, its default and its meaning; a file per section.

No module below `config` sees a raw dictionary; each part of a recipe goes only to the part of the toolkit that needs
it. Unknown keys are errors.
"""

from pydantic import Field

from .augment import AugmentConfig, MixConfig, TransformConfig
from .data import DataConfig, RareClassConfig
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
    RECORDED,
    Channel,
    Deviation,
    Side,
    Size,
)

__all__ = [
    "AugmentConfig",
    "Channel",
    "DataConfig",
    "Deviation",
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
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    train: TrainConfig = TrainConfig(epochs=1)
    eval: EvalConfig = EvalConfig()
