"""`loss`: the criteria."""

from typing import Any, Dict, List, Literal, Optional

from pydantic import Field, ValidationInfo, model_validator
from typing_extensions import Annotated

from .effect import only
from .names import LossName
from .part import Part
from .values import RECORDED, Factor, wrong


class LossTerm(Part):
    """One criterion; which keys count depends on its name."""

    name: LossName = Field(
        "ce",
        description="ce (cross-entropy), ohem (cross-entropy of hard pixels), focal, boundary (cross-entropy, more "
        "near borders), dice, lovasz (Lovasz-Softmax), or a plugin's",
    )
    weight: Factor = Field(1.0, description="factor of this criterion in the sum")
    class_weights: Optional[List[Factor]] = Field(
        None, min_length=1, max_length=255, description="one weight per class; null: all 1"
    )
    label_smoothing: Annotated[float, only("ce", "ohem", "boundary")] = Field(
        0.0, ge=0, lt=1, description="share of the target spread over all classes"
    )
    average: Annotated[Literal["valid", "all"], only("ce", "focal", "boundary")] = Field(
        "valid",
        description="mean over the valid pixels, weighted by class; or over all pixels, those to ignore "
        "included, as mmsegmentation's is",
    )
    threshold: Annotated[float, only("ohem")] = Field(
        0.7, gt=0, le=1, description="pixels whose true class gets less than this are hard"
    )
    min_kept: Annotated[int, only("ohem")] = Field(
        100_000, ge=1, le=10**10, description="so many of an image's pixels count as hard at least"
    )
    gamma: Annotated[float, only("focal")] = Field(
        2.0, ge=0, le=100, description="how much less sure pixels weigh more; 0 is cross-entropy"
    )
    border_weight: Annotated[float, only("boundary")] = Field(
        4.0, ge=0, le=1e6, description="how much more pixels at the borders between classes weigh than those far away"
    )
    border_sigma: Annotated[float, only("boundary")] = Field(
        2.0,
        gt=0,
        le=1000,
        description="a pixel d pixels from a border weighs 1 + border_weight exp(-d^2 / (2 sigma^2))",
    )
    smooth: Annotated[float, only("dice")] = Field(
        1.0, ge=1e-6, le=1e12, description="added to numerator and denominator"
    )
    classes: Annotated[Literal["all", "present"], only("dice")] = Field(
        "all", description="mean over all classes, or over those that an image shows"
    )
    options: Annotated[Dict[str, Any], only("")] = Field(
        default_factory=dict, description="keyword arguments of its builder"
    )

    @model_validator(mode="after")
    def _weighs_something(self, info: ValidationInfo) -> "LossTerm":
        if self.class_weights and not any(self.class_weights) and info.context != RECORDED:
            raise wrong("class_weights", "one weight at least has to be above 0", self.class_weights)
        return self


def first_and_also(value: Any) -> Any:
    """[{first}, {second}, ...] -> {first, also: [{second}, ...]}; anything else as it is."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return dict(value[0], also=[*value[0].get("also", []), *value[1:]])
    return value


class LossConfig(LossTerm):
    """The main criterion, and `also` those that are added to it. A list stands for the first and the others."""

    aux_weight: Factor = Field(0.4, description="weight of every auxiliary head's loss")
    also: List[LossTerm] = Field(default_factory=list, description="further criteria, added with their weights")

    @model_validator(mode="before")
    @classmethod
    def _from_list(cls, value: Any) -> Any:
        return first_and_also(value)

    @model_validator(mode="after")
    def _one_counts(self, info: ValidationInfo) -> "LossConfig":
        if info.context != RECORDED and not any(term.weight for term in (self, *self.also)):
            raise wrong("weight", "one criterion at least has to weigh more than 0", self.weight)
        return self
