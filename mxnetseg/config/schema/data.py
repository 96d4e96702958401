"""`data`: where images and labels are, and how they are fed to the network."""

from typing import Any, Dict, List, Literal, Optional, Tuple

from pydantic import Field, field_validator, model_validator
from typing_extensions import Annotated

from .augment import AugmentConfig
from .effect import only
from .labels import Colour, Label, LabelMap
from .names import DataSetName
from .part import Part
from .values import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    MAX_PIXELS,
    MOST_CHANNELS,
    Channel,
    Deviation,
    Mean,
    PathText,
    Side,
)


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
    mean: Tuple[Mean, ...] = Field(
        IMAGENET_MEAN,
        description="per channel, on 0..255; ImageNet's; for other channels than three their mean, when left out",
    )
    std: Tuple[Deviation, ...] = Field(IMAGENET_STD, description="per channel, on 0..255; as mean")
    channels: Optional[List[Channel]] = Field(
        None,
        description="channels of the files that the network sees, counted from 0 and in this order, as [0, 1, 2, 3]; "
        "a number n: the first n. null: red, green, blue; grey images become RGB, transparency is dropped",
    )
    range: Optional[Tuple[float, float]] = Field(
        None,
        description="values that become 0 and 255, for images of more than 8 bits: [0, 4095]; they stay fractions, and "
        "those beyond are cut off. null: 8-bit images only",
    )
    shown: Optional[List[Channel]] = Field(
        None,
        description="of `channels`, the three (or the one) that pictures show, as places in it from 0; "
        "the first three, else the first, when left out",
    )
    exif: Optional[Literal["upright", "raw"]] = Field(
        None,
        description="upright: images are turned as their EXIF orientation says, and masks were made for that; raw: "
        "both are as stored. null: upright for data.name: folder, raw for the known data sets",
    )
    max_pixels: int = Field(
        MAX_PIXELS,
        ge=1,
        le=10**12,
        description="files that declare more pixels are refused before memory is taken for them",
    )
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
    images: Annotated[Optional[str], only("folder")] = Field(
        None, description="images, with {split} in it, for example images/{split}"
    )
    masks: Annotated[Optional[str], only("folder")] = Field(
        None, description="masks (PNG, TIFF, BMP, GIF, NPY), with {split} in it; may be that of the images"
    )
    lists: Annotated[Optional[str], only("folder")] = Field(
        None,
        description="text files that name the images of a split, for example {split}.txt: a line is an image, "
        "or an image and its mask with a tab between them, as paths below root or names in images and masks",
    )
    image_suffix: Annotated[str, only("folder")] = Field(
        "", description="what an image's stem has after what it shares with its mask; may hold the ending"
    )
    mask_suffix: Annotated[str, only("folder")] = Field(
        "", description="what a mask's stem has after what it shares with its image: _mask, _gt.png"
    )
    colors: Annotated[Optional[Dict[str, Colour]], only("folder")] = Field(
        None,
        description="masks hold colours: class -> [red, green, blue]; palette: those of data.palette",
    )
    # of every data set
    classes: Optional[List[str]] = Field(None, description="class names in label order; the data set's own if left out")
    palette: Optional[List[Colour]] = Field(
        None,
        description="RGB per class; when left out the data set's own, or Pascal VOC's: a class background is black",
    )
    ignore: Optional[List[Label]] = Field(
        None,
        description="what means unlabelled: values in the mask, or names of the data set's own classes, besides those "
        "that it ignores anyway; folder: 255 when left out",
    )
    label_map: Optional[LabelMap] = Field(
        None,
        description="value in the mask, or name of one of the data set's own classes -> class, by name or index: "
        "{car: vehicle, bus: vehicle}",
    )

    @model_validator(mode="before")
    @classmethod
    def _colors_of_palette(cls, value: Any) -> Any:
        if not isinstance(value, dict) or value.get("colors") != "palette":
            return value
        classes, palette = value.get("classes"), value.get("palette")
        if not isinstance(classes, list) or not isinstance(palette, list) or len(classes) != len(palette):
            raise ValueError(
                "data.colors: palette means one colour of data.palette per name of data.classes; give both"
            )
        return {**value, "colors": dict(zip(map(str, classes), palette))}

    @field_validator("channels", mode="before")
    @classmethod
    def _first_ones(cls, value: Any) -> Any:
        return list(range(value)) if type(value) is int and 0 < value <= MOST_CHANNELS else value

    @model_validator(mode="before")
    @classmethod
    def _mean_and_std(cls, value: Any) -> Any:
        """Those that are left out, for other channels than RGB."""
        channels = value.get("channels") if isinstance(value, dict) else None
        count = len(channels) if isinstance(channels, (list, tuple)) else channels
        if type(count) is not int or count == 3 or not 0 < count <= MOST_CHANNELS:
            return value
        return {"mean": [sum(IMAGENET_MEAN) / 3] * count, "std": [sum(IMAGENET_STD) / 3] * count, **value}

    @property
    def num_channels(self) -> int:
        """How many channels images have for the network."""
        return 3 if self.channels is None else len(self.channels)

    @model_validator(mode="after")
    def _one_size(self) -> "DataConfig":
        if self.base is not None and self.fit is not None:
            raise ValueError("give data.base or data.fit, one of the two")
        return self

    @model_validator(mode="after")
    def _channels(self) -> "DataConfig":
        if self.channels is not None and not 1 <= len(self.channels) <= MOST_CHANNELS:
            raise ValueError(f"data.channels names {len(self.channels)} channels; 1 to {MOST_CHANNELS} are possible")
        count = self.num_channels
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != count:
                raise ValueError(
                    f"data.{name} has {len(values)} values, but images have {count} channels; give {count}"
                )
        if self.range is not None and not self.range[0] < self.range[1]:
            raise ValueError("data.range is [low, high], the lower value first")
        if self.shown is not None and (len(self.shown) not in (1, 3) or max(self.shown) >= count):
            raise ValueError(f"data.shown names one or three of the {count} channels, counted from 0")
        if self.augment.photometric_distortion and (count != 3 or self.range is not None):
            raise ValueError(
                "data.augment.photometric_distortion is for 8-bit RGB images alone; take data.augment.photometric"
            )
        return self
