"""`optimizer`: the update rule and its rates, `schedule`: how the learning rate changes."""

from typing import List, Literal, Optional, Tuple

from pydantic import Field, ValidationInfo, model_validator
from typing_extensions import Annotated

from .effect import needs, only
from .part import Part
from .values import MOST, RECORDED, Beta, Expression, Factor, check_order, wrong


class ParamRule(Part):
    """Multipliers for the parameters whose name matches."""

    match: Expression = Field(
        ..., description="regular expression searched in the structural name, e.g. '^head' or 'bias$'"
    )
    lr_mult: Factor = Field(1.0, description="factor on the learning rate")
    decay_mult: Factor = Field(1.0, description="factor on the weight decay")


class LayerDecayConfig(Part):
    """Lower learning rates for earlier layers: rate ** (layers + 1 - layer), 1 for what belongs to no stage."""

    rate: float = Field(..., gt=0, le=1, description="factor from a layer to the one before it")
    layers: int = Field(12, ge=4, le=1000, description="number of layers that the stages are counted as")
    kind: Literal["layer", "stage"] = Field(
        "layer",
        description="layer: the third stage is split into several layers; stage: every stage is one, and MogaNet's "
        "embeddings between the stages are layer 0, like the stem; FFNet's are in their stages",
    )
    stem: bool = Field(
        True, description="the stem is layer 0; false: it learns at the full rate, as FFNet's published models did"
    )


class OptimizerConfig(Part):
    """The update rule and its rates."""

    name: Literal["sgd", "nag", "adam", "adamw"] = Field("sgd", description="the update rule")
    lr: float = Field(0.01, ge=0, le=1e6, description="learning rate that the schedule and the rules start from")
    momentum: Annotated[float, only("sgd", "nag")] = Field(0.9, ge=0, lt=1, description="share of it that a step keeps")
    momentum_lr: Annotated[Literal["inside", "outside"], only("sgd", "nag"), needs("momentum")] = Field(
        "inside",
        description="inside: the momentum sums gradients times the rate of their step, as MXNet's does, "
        "so a rate that falls takes a few steps to act; outside: it sums gradients, and the present rate multiplies "
        "the sum, as PyTorch's does. Both are the same while the rate does not change",
    )
    betas: Annotated[Tuple[Beta, Beta], only("adam", "adamw")] = Field(
        (0.9, 0.999), description="decay of both moments, by PyTorch's rules"
    )
    # as float32 it must not become 0
    epsilon: Annotated[float, only("adam", "adamw")] = Field(
        1e-8, ge=1e-30, le=1, description="added to the root of the corrected second moment"
    )
    weight_decay: float = Field(
        1e-4,
        ge=0,
        le=1000,
        description="in the gradient, but of adamw: subtracted from the weight, times the learning rate",
    )
    rules: List[ParamRule] = Field(
        default_factory=list, description="multipliers by parameter name; the factors of all matching rules multiply"
    )
    backbone_lr: Optional[float] = Field(
        None,
        gt=0,
        le=100,
        description="factor on the backbone's learning rates, 0.1 for example; it multiplies those of rules and "
        "layer_decay",
    )
    layer_decay: Optional[LayerDecayConfig] = Field(
        None, description="lower learning rates for earlier layers; on EfficientNet-Lite, FFNet and MogaNet"
    )
    clip_norm: Optional[float] = Field(None, gt=0, le=1e9, description="clip the global norm of the gradient to this")


Share = Annotated[float, Field(gt=0, lt=1)]


class ScheduleConfig(Part):
    """How the learning rate changes over the run."""

    name: Literal["poly", "cosine", "step", "linear", "constant"] = Field("poly", description="the shape")
    power: Annotated[float, only("poly")] = Field(
        0.9, gt=0, le=100, description="exponent of the share of the run that is left"
    )
    end_lr: Annotated[float, only("poly", "cosine", "linear")] = Field(
        0.0, ge=0, le=1e6, description="learning rate at the last iteration"
    )
    steps: Annotated[List[Share], only("step")] = Field(
        default_factory=list, max_length=1000, description="shares (0..1) of the run at which lr drops"
    )
    factor: Annotated[float, only("step")] = Field(0.1, gt=0, le=1, description="factor of each drop")
    warmup: int = Field(0, ge=0, le=MOST, description="iterations of linear warm-up")
    warmup_ratio: Annotated[float, needs("warmup")] = Field(
        0.0, ge=0, le=1, description="share of the learning rate at iteration 0 of the warm-up"
    )
    style: Literal["exact", "mmcv"] = Field(
        "exact",
        description="exact: the shape starts where the warm-up ends and reaches its end at the last iteration; mmcv: "
        "it is over all iterations, the last one a step before its end, and the warm-up is multiplied with it",
    )

    @model_validator(mode="after")
    def _steps(self, info: ValidationInfo) -> "ScheduleConfig":
        if info.context != RECORDED:
            check_order("steps", self.steps)
            if self.name == "step" and not self.steps:
                raise wrong("steps", "name step needs the shares of the run at which lr drops, e.g. [0.6, 0.9]", [])
        return self
