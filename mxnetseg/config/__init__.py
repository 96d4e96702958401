"""Recipes: YAML files validated once into typed objects."""

from .load import as_recipe, dump_recipe, find_recipe, load_recipe, override_recipe, recipe_for, recorded_recipe
from .schema import (
    AugmentConfig,
    DataConfig,
    EvalConfig,
    LayerDecayConfig,
    LossConfig,
    LossTerm,
    ModelConfig,
    OptimizerConfig,
    ParamRule,
    RareClassConfig,
    Recipe,
    ScheduleConfig,
    TrainConfig,
    TransformConfig,
)

__all__ = [
    "AugmentConfig",
    "DataConfig",
    "EvalConfig",
    "LayerDecayConfig",
    "LossConfig",
    "LossTerm",
    "ModelConfig",
    "OptimizerConfig",
    "ParamRule",
    "RareClassConfig",
    "Recipe",
    "ScheduleConfig",
    "TrainConfig",
    "TransformConfig",
    "as_recipe",
    "dump_recipe",
    "find_recipe",
    "load_recipe",
    "override_recipe",
    "recipe_for",
    "recorded_recipe",
]
