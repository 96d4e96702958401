"""What the sections share: the base class, and numbers within bounds."""

from typing import Tuple, Union

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import Annotated

# of ImageNet, RGB on 0..255: what pretrained backbones were fed
IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)

# bounds far beyond any use: a slip of the finger is an error, before memory runs out
Side = Annotated[int, Field(ge=1, le=100_000)]
Deviation = Annotated[float, Field(ge=1e-3, le=1e6)]  # of values from 0 to 255; below, dividing by it overflows
Scale = Annotated[float, Field(gt=0, le=100)]
Gamma = Annotated[float, Field(ge=0.05, le=20)]
Size = Union[Side, Tuple[Side, Side]]
# optimizers compute 1 - beta in float32, where numbers just below 1 are 6e-8 apart
Beta = Annotated[float, Field(ge=0, le=0.999999)]

# the context to validate under what a checkpoint holds, which may have been written when less was checked
RECORDED = "recorded"


class Part(BaseModel):
    """A section of a recipe, or something in it: no other keys, never changed, all numbers finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False)
