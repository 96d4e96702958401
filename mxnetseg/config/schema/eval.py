"""`eval`: how images are predicted when the network is validated or used."""

from typing import List, Literal, Optional, Tuple

from pydantic import Field, ValidationInfo, model_validator
from typing_extensions import Annotated

from .effect import needs
from .part import Part
from .values import RECORDED, Scale, Side, Size, wrong


class EvalConfig(Part):
    """How images are predicted when the network is validated or used."""

    crop: Optional[Size] = Field(
        None, description="sliding window in pixels, one number or [height, width]; null: whole image"
    )
    stride: Annotated[Optional[Size], needs("crop")] = Field(
        None, description="step of the window; at most the window; two thirds of it when left out"
    )
    base: Optional[Side] = Field(None, description="long side that images are resized to; data.base when left out")
    fit: Optional[Tuple[Side, Side]] = Field(
        None, description="instead of base: [long, short] to fit within; data.fit when left out"
    )
    multiple: Optional[Side] = Field(
        None,
        description="then each side is stretched up to a multiple of this, as AlignResize and ResizeToMultiple do",
    )
    scales: List[Scale] = Field(
        default_factory=lambda: [1.0],
        min_length=1,
        max_length=100,
        description="scales to average over; 1: the size that base or fit gives",
    )
    flip: bool = Field(False, description="average with the mirrored image")
    average: Literal["probabilities", "logits"] = Field(
        "probabilities",
        description="what is averaged over windows and resized to the image; logits, as in mmsegmentation. Scales and "
        "mirror images are always averaged as probabilities",
    )
    batch_size: Annotated[int, needs("crop", "flip")] = Field(
        1, ge=1, le=100_000, description="windows, and mirrored ones, of one forward pass"
    )
    miou_classes: Literal["seen", "truth"] = Field(
        "seen",
        description="classes that mIoU is the mean of. seen: those that the truth or the prediction shows, so one that "
        "is only predicted counts as 0, as in mmsegmentation, torchmetrics and Cityscapes' evaluator; truth: those "
        "that the truth shows",
    )

    @model_validator(mode="after")
    def _one_size(self) -> "EvalConfig":
        if self.base is not None and self.fit is not None:
            raise ValueError("give eval.base or eval.fit, one of the two")
        return self

    @model_validator(mode="after")
    def _covers_the_image(self, info: ValidationInfo) -> "EvalConfig":
        if info.context == RECORDED:
            return self
        if self.crop and self.stride:
            pairs = [(size, size) if isinstance(size, int) else size for size in (self.crop, self.stride)]
            if any(stride > side for side, stride in zip(*pairs)):
                what = f"leaves strips between the windows out; at most eval.crop, {self.crop}"
                raise wrong("stride", what, self.stride)
        return self
