"""What a recipe may say: every key, its type, its default and its meaning.

No module below `config` sees a raw dictionary; each part of a recipe goes only to the part of the
toolkit that needs it. Unknown keys are errors.
"""

from typing import Any, Dict, List, Literal, Optional, Tuple, Union

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    ValidationInfo,
    field_validator,
    model_validator,
)
from typing_extensions import Annotated

__all__ = [
    "Recipe",
    "ModelConfig",
    "DataConfig",
    "AugmentConfig",
    "LayerDecayConfig",
    "LossConfig",
    "LossTerm",
    "OptimizerConfig",
    "ParamRule",
    "RareClassConfig",
    "ScheduleConfig",
    "TrainConfig",
    "TransformConfig",
    "EvalConfig",
]

# of ImageNet, RGB on 0..255: what pretrained backbones were fed
IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)

# what of the data part says how images come to the network
FED = ("channels", "range", "shown", "mean", "std", "base", "fit")

MAX_PIXELS = 1 << 26  # 8192 x 8192: whatever a file of so many pixels is, reading it takes less than 1 GB

# bounds far beyond any use: a slip of the finger is an error, before memory runs out
Side = Annotated[int, Field(ge=1, le=100_000)]
Deviation = Annotated[float, Field(ge=1e-3, le=1e6)]  # of values from 0 to 255; below, dividing by it overflows
Scale = Annotated[float, Field(gt=0, le=100)]
Size = Union[Side, Tuple[Side, Side]]
MOST_CHANNELS = 512  # that OpenCV takes
Channel = Annotated[int, Field(ge=0, lt=65536)]
# optimizers compute 1 - beta in float32, where numbers just below 1 are 6e-8 apart
Beta = Annotated[float, Field(ge=0, le=0.999999)]

# the context to validate under what a checkpoint holds, which may have been written when less was checked
RECORDED = "recorded"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False)


class ModelConfig(_Part):
    """The network."""

    name: str = Field("fcn", description="model, one of `list_models()`, plugins' among them")
    backbone: Optional[str] = Field(
        None, description="one of `list_backbones()`; the model's own default when left out"
    )
    num_classes: Optional[int] = Field(None, ge=1, le=255, description="taken from the data set when left out")
    in_channels: Optional[int] = Field(
        None, ge=1, le=512, description="channels of the images; as data.channels says when left out"
    )
    aux: Optional[bool] = Field(
        None, description="build the auxiliary heads that the paper trains with; the model's usual choice when left out"
    )
    output_stride: Optional[int] = Field(None, description="8, 16 or 32; the model's own default when left out")
    norm: str = Field("bn", description="bn, syncbn or gn")
    options: Dict[str, Any] = Field(
        default_factory=dict, description="further keyword arguments of the model's builder"
    )
    backbone_options: Dict[str, Any] = Field(
        default_factory=dict, description="further keyword arguments of the backbone, e.g. drop_path_rate"
    )
    init: str = Field(
        "random",
        description="random; imagenet (the backbone's weights that are on this machine: `mxnetseg weights`); "
        "or the path of a checkpoint (layers whose name and shape match)",
    )

    @model_validator(mode="after")
    def _each_key_once(self, info: ValidationInfo) -> "ModelConfig":
        for key in ("name", "backbone", "num_classes", "aux", "output_stride", "norm", "backbone_options"):
            if key in self.options and info.context != RECORDED:
                raise ValueError(f"model.options.{key} would be taken instead of model.{key}; give that alone")
        return self


class TransformConfig(_Part):
    """A transform of a plugin."""

    name: str = Field(..., description="as the plugin registers it")
    options: Dict[str, Any] = Field(default_factory=dict, description="keyword arguments of its builder")
    before_crop: bool = Field(
        False,
        description="sees the whole image, before it is scaled and cropped, and not the crop, before it is padded",
    )


class AugmentConfig(_Part):
    """What training does to images, in this order: scale, crop, flip, colour, blur."""

    scale: Tuple[Scale, Scale] = Field((0.5, 2.0), description="range of the random scale, relative to the base size")
    crop: Optional[Size] = Field(480, description="crop in pixels, one number or [height, width]; null: whole images")
    cat_max_ratio: float = Field(
        1.0,
        gt=0,
        le=1,
        description="most that one class may take of a crop's labelled pixels, else up to ten more places are tried",
    )
    flip: float = Field(0.5, ge=0, le=1, description="chance of a horizontal flip")
    photometric: bool = Field(False, description="random brightness, contrast, saturation and hue, as in SSD")
    photometric_distortion: bool = Field(
        False,
        description="instead of photometric: mmsegmentation's PhotoMetricDistortion, with its ranges and rounding",
    )
    blur: float = Field(0.0, ge=0, le=1, description="chance of a Gaussian blur")
    blur_sigma: Tuple[PositiveFloat, PositiveFloat] = Field(
        (0.1, 2.0), description="range of its standard deviation in pixels"
    )
    transforms: List[TransformConfig] = Field(default_factory=list, description="those of plugins, in this order")

    @model_validator(mode="after")
    def _one_distortion(self) -> "AugmentConfig":
        if self.photometric and self.photometric_distortion:
            raise ValueError("give data.augment.photometric or data.augment.photometric_distortion, one of the two")
        return self

    @model_validator(mode="after")
    def _ranges(self) -> "AugmentConfig":
        for name, (low, high) in (("scale", self.scale), ("blur_sigma", self.blur_sigma)):
            if low > high:
                raise ValueError(f"data.augment.{name} is a range, the lower end first: [{high}, {low}]")
        return self


class RareClassConfig(_Part):
    """How images with rare classes are drawn more often."""

    temperature: float = Field(
        0.01,
        gt=0,
        description="a class of share f is drawn with weight exp((1 - f) / temperature): low, rare ones only",
    )
    min_pixels: int = Field(1, ge=1, description="pixels of a class that an image needs to count as one that shows it")


class DataConfig(_Part):
    """Where images and labels are, and how they are fed to the network."""

    name: str = Field("folder", description="a data set of `mxnetseg data list`")
    root: Optional[str] = Field(None, description="folder of the data; datasets/<name> when left out")
    train_split: str = Field("train", description="split that is trained on; train+val: both together")
    val_split: str = Field("val", description="split that is validated on")
    base: Optional[Side] = Field(
        None, description="images are first resized to this long side in pixels; null: as they are"
    )
    fit: Optional[Tuple[Side, Side]] = Field(
        None,
        description="instead of base: [long, short], images are resized, keeping their ratio, to the largest within "
        "these sides; augment.scale multiplies both, as mmsegmentation's ratio_range does",
    )
    mean: Tuple[float, ...] = Field(IMAGENET_MEAN, description="per channel, on 0..255; ImageNet's for RGB")
    std: Tuple[Deviation, ...] = Field(IMAGENET_STD, description="per channel, on 0..255; ImageNet's for RGB")
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
    cache: Optional[str] = Field(
        None,
        description="folder for decoded images and labels, which training then maps into memory instead of reading the "
        "files again every epoch; null: none",
    )
    # the user's own folders (name: folder)
    images: Optional[str] = Field(None, description="folder: images, with {split} in it, for example images/{split}")
    masks: Optional[str] = Field(None, description="folder: label PNGs, with {split} in it")
    mask_suffix: str = Field("", description="folder: what a mask's stem has after its image's stem")
    classes: Optional[List[str]] = Field(None, description="folder: class names in label order")
    palette: Optional[List[Tuple[int, int, int]]] = Field(
        None, description="folder: RGB per class; drawn when left out"
    )
    ignore: Optional[List[int]] = Field(
        None, description="folder: label values that mean unlabelled, 255 when left out"
    )
    label_map: Optional[Dict[int, int]] = Field(None, description="folder: value in the mask -> class index")

    @field_validator("channels", mode="before")
    @classmethod
    def _first_ones(cls, value: Any) -> Any:
        return list(range(value)) if type(value) is int and 0 < value <= MOST_CHANNELS else value

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


class LossTerm(_Part):
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


class ParamRule(_Part):
    """Multipliers for the parameters whose name matches."""

    match: str = Field(..., description="regular expression searched in the structural name, e.g. '^head' or 'bias$'")
    lr_mult: float = Field(1.0, ge=0, description="factor on the learning rate")
    decay_mult: float = Field(1.0, ge=0, description="factor on the weight decay")


class LayerDecayConfig(_Part):
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


class OptimizerConfig(_Part):
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
    layer_decay: Optional[LayerDecayConfig] = Field(
        None, description="lower learning rates for earlier layers; on EfficientNet-Lite, FFNet and MogaNet"
    )
    clip_norm: Optional[float] = Field(None, gt=0, description="clip the global norm of the gradient to this")


class ScheduleConfig(_Part):
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


class TrainConfig(_Part):
    """How long the run is, its batches, and when it validates and saves."""

    epochs: Optional[float] = Field(None, gt=0, description="length in passes over the training split")
    iterations: Optional[int] = Field(None, gt=0, le=10**9, description="length in optimizer steps; this or epochs")
    batch_size: int = Field(8, ge=1, le=100_000, description="images of one forward pass, over all contexts together")
    accumulate: int = Field(1, ge=1, description="batches summed into one optimizer step")
    workers: int = Field(2, ge=0, description="processes that read and augment; 0: none")
    seed: int = Field(0, ge=0, description="of initial weights, sampling, augmentation and dropout")
    val_every: Optional[int] = Field(None, ge=1, description="iterations between validations; an epoch when left out")
    save_every: Optional[int] = Field(
        None, ge=1, description="iterations between resumable saves; val_every when left out"
    )
    keep_every: Optional[int] = Field(None, ge=1, description="keep a checkpoint for good every so many iterations")
    ema: Optional[float] = Field(
        None,
        gt=0,
        lt=1,
        description="decay of an exponential moving average of the weights, which is then what is validated; 0.999 for "
        "example. At the start it is (1 + i) / (10 + i) where that is less",
    )
    patience: Optional[int] = Field(
        None, ge=1, description="stop when the mIoU has not improved for so many validations in a row"
    )
    static: bool = Field(
        True, description="hybridize with static_alloc and static_shape; SyncBN over several contexts always does"
    )

    @model_validator(mode="after")
    def _one_length(self) -> "TrainConfig":
        if (self.epochs is None) == (self.iterations is None):
            raise ValueError("give train.epochs or train.iterations, one of the two")
        return self


class EvalConfig(_Part):
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


class Recipe(_Part):
    """One YAML file: everything a run depends on."""

    description: str = Field("", description="free text: source, expected figure")
    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    train: TrainConfig = TrainConfig(epochs=1)
    eval: EvalConfig = EvalConfig()
