"""`data.augment`: what training does to images."""

from typing import Any, Dict, List, Literal, Optional, Tuple

from pydantic import Field, model_validator
from typing_extensions import Annotated

from .effect import needs, only
from .names import TransformName
from .part import Part
from .values import Gamma, Scale, Size, check_order, wrong


class TransformConfig(Part):
    """A transform of a plugin."""

    name: TransformName = Field(..., description="as the plugin registers it")
    options: Dict[str, Any] = Field(default_factory=dict, description="keyword arguments of its builder")
    before_crop: bool = Field(
        False,
        description="sees the whole image, before it is scaled and cropped, and not the crop, before it is padded",
    )


class MixConfig(Part):
    """Parts of a second image, drawn and augmented by itself, in a training image, with its labels."""

    name: Literal["classmix", "cutmix", "copypaste"] = Field(
        "classmix",
        description="what is taken: half of its classes, a rectangle of any size, or the classes named below",
    )
    classes: Annotated[List[str], only("copypaste")] = Field(
        [], description="names of the classes that copypaste takes, rare and thin ones for example: [pole, bicyclist]"
    )
    chance: float = Field(0.5, gt=0, le=1, description="share of the training images that get one")

    @model_validator(mode="after")
    def _names_what_it_takes(self) -> "MixConfig":
        if self.name == "copypaste" and not self.classes:
            raise wrong("classes", "the names of the classes that copypaste takes, such as [pole, bicyclist]", [])
        return self


class AugmentConfig(Part):
    """What training does to images, in this order: scale, rotation, crop, flip, colour, gamma, blur."""

    scale: Tuple[Scale, Scale] = Field((0.5, 2.0), description="range of the random scale, relative to the base size")
    crop: Optional[Size] = Field(480, description="crop in pixels, one number or [height, width]; null: whole images")
    cat_max_ratio: Annotated[float, needs("crop")] = Field(
        1.0,
        gt=0,
        le=1,
        description="most that one class may take of a crop's labelled pixels, else up to ten more places are tried",
    )
    rotate: float = Field(
        0.0,
        ge=0,
        le=180,
        description="most degrees that images are turned about their centre, either way; what comes in from outside is "
        "the mean colour, and ignored",
    )
    flip: float = Field(0.5, ge=0, le=1, description="chance of a horizontal flip")
    photometric: bool = Field(False, description="random brightness, contrast, saturation and hue, as in SSD")
    photometric_distortion: bool = Field(
        False,
        description="instead of photometric: mmsegmentation's PhotoMetricDistortion, with its ranges and rounding",
    )
    gamma: Tuple[Gamma, Gamma] = Field(
        (1.0, 1.0), description="range of a random exponent of brightness, drawn on a logarithmic scale; [0.7, 1.5] say"
    )
    blur: float = Field(0.0, ge=0, le=1, description="chance of a Gaussian blur")
    blur_sigma: Annotated[Tuple[Scale, Scale], needs("blur")] = Field(
        (0.1, 2.0), description="range of its standard deviation in pixels"
    )
    mix: Annotated[Optional[MixConfig], needs("crop")] = Field(
        None, description="last of all, and each such image reads two files; null: none"
    )
    transforms: List[TransformConfig] = Field(default_factory=list, description="those of plugins, in this order")

    @model_validator(mode="after")
    def _one_distortion(self) -> "AugmentConfig":
        if self.photometric and self.photometric_distortion:
            raise ValueError("give data.augment.photometric or data.augment.photometric_distortion, one of the two")
        return self

    @model_validator(mode="after")
    def _ranges(self) -> "AugmentConfig":
        check_order("scale", self.scale)
        check_order("gamma", self.gamma)
        check_order("blur_sigma", self.blur_sigma)
        return self
