"""`distill`: learning from another network's answers."""

from typing import Optional

from pydantic import Field
from typing_extensions import Annotated

from .effect import needs
from .part import Part
from .values import Factor, PathText


class DistillConfig(Part):
    """Knowledge distillation: a trained network, the teacher, shows how likely it takes every class to be."""

    teacher: Optional[PathText] = Field(
        None,
        description="a checkpoint of a network for the same classes, in the same order; what is added to the loss is "
        "temperature^2 times the Kullback-Leibler divergence of this network's softmax from the teacher's",
    )
    temperature: Annotated[float, needs("teacher")] = Field(
        4.0, gt=0, le=1000, description="what both networks' logits are divided by before the softmax"
    )
    weight: Annotated[Factor, needs("teacher")] = Field(1.0, description="factor of the divergence in the sum")
