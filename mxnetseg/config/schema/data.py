"""`data`: where images and labels are, and how they are fed to the network."""

from typing import Dict, List, Optional, Tuple

from pydantic import Field, model_validator
from typing_extensions import Annotated

from .augment import AugmentConfig
from .names import DataSetName
from .part import Part
from .values import IMAGENET_MEAN, IMAGENET_STD, Byte, Deviation, Mean, PathText, Side


class RareClassConfig(Part):
    """How images with rare classes are drawn more often."""

    temperature: float = Field(
        0.01,
        ge=1e-6,
        le=1e6,
        description="a class of share f is drawn with weight exp((1 - f) / temperature): low, rare ones only",
    )
    min_pixels: int = Field(
        1, ge=1, le=10**10, description="pixels of a class that an image needs to count as one that shows it"
    )


class DataConfig(Part):
    """Where images and labels are, and how they are fed to the network."""

    name: DataSetName = Field("folder", description="a data set of `mxnetseg data list`")
    root: Optional[PathText] = Field(None, description="folder of the data; datasets/<name> when left out")
    train_split: str = Field("train", min_length=1, description="split that is trained on; train+val: both together")
    val_split: str = Field("val", min_length=1, description="split that is validated on")
    base: Optional[Side] = Field(
        None, description="images are first resized to this long side in pixels; null: as they are"
    )
    fit: Optional[Tuple[Side, Side]] = Field(
        None,
        description="instead of base: [long, short], images are resized, keeping their ratio, to the largest within "
        "these sides; augment.scale multiplies both, as mmsegmentation's ratio_range does",
    )
    mean: Tuple[Mean, Mean, Mean] = Field(IMAGENET_MEAN, description="per RGB channel, on 0..255")
    std: Tuple[Deviation, Deviation, Deviation] = Field(IMAGENET_STD, description="per RGB channel, on 0..255")
    augment: AugmentConfig = AugmentConfig()
    rare_class: Optional[RareClassConfig] = Field(
        None,
        description="draw a class, rare ones more often, then an image that shows it (Hoyer et al., DAFormer, 2022); "
        "null: every image once an epoch",
    )
    cache: Optional[PathText] = Field(
        None,
        description="folder for decoded images and labels, which training then maps into memory instead of reading the "
        "files again every epoch; null: none",
    )
    # the user's own folders (name: folder)
    images: Optional[str] = Field(None, description="folder: images, with {split} in it, for example images/{split}")
    masks: Optional[str] = Field(None, description="folder: label PNGs, with {split} in it")
    mask_suffix: str = Field("", description="folder: what a mask's stem has after its image's stem")
    classes: Optional[List[str]] = Field(None, description="folder: class names in label order")
    palette: Optional[List[Tuple[Byte, Byte, Byte]]] = Field(
        None, description="folder: RGB per class; drawn when left out"
    )
    ignore: Optional[List[Annotated[int, Field(ge=0, le=65535)]]] = Field(
        None, description="folder: label values that mean unlabelled, 255 when left out"
    )
    label_map: Optional[Dict[int, int]] = Field(None, description="folder: value in the mask -> class index")

    @model_validator(mode="after")
    def _one_size(self) -> "DataConfig":
        if self.base is not None and self.fit is not None:
            raise ValueError("give data.base or data.fit, one of the two")
        return self
