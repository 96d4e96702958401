"""`eval`: how images are predicted when the network is validated or used."""

from typing import List, Literal, Optional, Tuple

from pydantic import Field, model_validator

from .part import Part, Scale, Side, Size


class EvalConfig(Part):
    """How images are predicted when the network is validated or used."""

    crop: Optional[Size] = Field(
        None, description="sliding window in pixels, one number or [height, width]; null: whole image"
    )
    stride: Optional[Size] = Field(None, description="step of the window; two thirds of it when left out")
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
        description="scales to average over; 1: the size that base or fit gives",
    )
    flip: bool = Field(False, description="average with the mirrored image")
    average: Literal["probabilities", "logits"] = Field(
        "probabilities",
        description="what is averaged over windows and resized to the image; logits, as in mmsegmentation. Scales and "
        "mirror images are always averaged as probabilities",
    )
    batch_size: int = Field(1, ge=1, le=100_000, description="windows of one forward pass")
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
