"""`loss`: the criteria."""

from typing import Any, Dict, List, Literal, Optional

from pydantic import Field, NonNegativeFloat, model_validator

from .part import Part


class LossTerm(Part):
    """One criterion; which keys count depends on its name."""

    name: str = Field(
        "ce",
        description="ce (cross-entropy), ohem (cross-entropy of hard pixels), focal, dice, lovasz (Lovasz-Softmax), or "
        "a plugin's",
    )
    weight: float = Field(1.0, ge=0, description="factor of this criterion in the sum")
    class_weights: Optional[List[NonNegativeFloat]] = Field(None, description="one weight per class; null: all 1")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="ce, ohem: share of the target spread over all classes")
    average: Literal["valid", "all"] = Field(
        "valid",
        description="ce, focal: mean over the valid pixels, weighted by class; or over all pixels, those to ignore "
        "included, as mmsegmentation's is",
    )
    threshold: float = Field(0.7, gt=0, le=1, description="ohem: pixels whose true class gets less than this are hard")
    min_kept: int = Field(100_000, ge=1, description="ohem: so many of an image's pixels count as hard at least")
    gamma: float = Field(2.0, ge=0, description="focal: how much less sure pixels weigh more; 0 is cross-entropy")
    smooth: float = Field(1.0, gt=0, description="dice: added to numerator and denominator")
    options: Dict[str, Any] = Field(default_factory=dict, description="a plugin's: keyword arguments of its builder")


def first_and_also(value: Any) -> Any:
    """[{first}, {second}, ...] -> {first, also: [{second}, ...]}; anything else as it is."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return dict(value[0], also=[*value[0].get("also", []), *value[1:]])
    return value


class LossConfig(LossTerm):
    """The main criterion, and `also` those that are added to it. A list stands for the first and the others."""

    aux_weight: float = Field(0.4, ge=0, description="weight of every auxiliary head's loss")
    also: List[LossTerm] = Field(default_factory=list, description="further criteria, added with their weights")

    @model_validator(mode="before")
    @classmethod
    def _from_list(cls, value: Any) -> Any:
        return first_and_also(value)
