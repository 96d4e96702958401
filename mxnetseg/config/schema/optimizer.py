"""`optimizer`: the update rule and its rates, `schedule`: how the learning rate changes."""

from typing import List, Literal, Optional, Tuple

from pydantic import Field

from .part import Beta, Part


class ParamRule(Part):
    """Multipliers for the parameters whose name matches."""

    match: str = Field(..., description="regular expression searched in the structural name, e.g. '^head' or 'bias$'")
    lr_mult: float = Field(1.0, ge=0, description="factor on the learning rate")
    decay_mult: float = Field(1.0, ge=0, description="factor on the weight decay")


class LayerDecayConfig(Part):
    """Lower learning rates for earlier layers: rate ** (layers + 1 - layer), 1 for what belongs to no stage."""

    rate: float = Field(..., gt=0, le=1, description="factor from a layer to the one before it")
    layers: int = Field(12, ge=4, description="number of layers that the stages are counted as")
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

    name: str = Field("sgd", description="sgd, nag, adam or adamw")
    lr: float = Field(0.01, ge=0, le=1e6, description="learning rate that the schedule and the rules start from")
    momentum: float = Field(0.9, ge=0, lt=1, description="sgd and nag")
    momentum_lr: Literal["inside", "outside"] = Field(
        "inside",
        description="sgd and nag. inside: the momentum sums gradients times the rate of their step, as MXNet's does, "
        "so a rate that falls takes a few steps to act; outside: it sums gradients, and the present rate multiplies "
        "the sum, as PyTorch's does. Both are the same while the rate does not change",
    )
    betas: Tuple[Beta, Beta] = Field((0.9, 0.999), description="adam and adamw, which follow PyTorch's rules")
    epsilon: float = Field(1e-8, gt=0, description="adam and adamw: added to the root of the corrected second moment")
    weight_decay: float = Field(
        1e-4, ge=0, description="in the gradient, but of adamw: subtracted from the weight, times the learning rate"
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
    clip_norm: Optional[float] = Field(None, gt=0, description="clip the global norm of the gradient to this")


class ScheduleConfig(Part):
    """How the learning rate changes over the run."""

    name: str = Field("poly", description="poly, cosine, step, linear or constant")
    power: float = Field(0.9, gt=0, description="poly")
    end_lr: float = Field(0.0, ge=0, description="learning rate at the last iteration (poly, cosine, linear)")
    steps: List[float] = Field(default_factory=list, description="step: shares (0..1) of the run at which lr drops")
    factor: float = Field(0.1, gt=0, description="step: factor of each drop")
    warmup: int = Field(0, ge=0, description="iterations of linear warm-up")
    warmup_ratio: float = Field(0.0, ge=0, le=1, description="share of the learning rate at iteration 0 of the warm-up")
    style: Literal["exact", "mmcv"] = Field(
        "exact",
        description="exact: the shape starts where the warm-up ends and reaches its end at the last iteration; mmcv: "
        "it is over all iterations, the last one a step before its end, and the warm-up is multiplied with it",
    )
