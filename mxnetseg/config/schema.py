"""What a recipe may say: every key, its type, its default and its meaning.

No module below `config` sees a raw dictionary; each part of a recipe goes only to the part of the
toolkit that needs it. Unknown keys are errors.
"""

from typing import Any, Dict, List, Optional, Tuple, Union

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, model_validator

__all__ = [
    "Recipe",
    "ModelConfig",
    "DataConfig",
    "AugmentConfig",
    "LossConfig",
    "OptimizerConfig",
    "ParamRule",
    "ScheduleConfig",
    "TrainConfig",
    "EvalConfig",
]

# of ImageNet, RGB on 0..255: what pretrained backbones were fed
IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)

Size = Union[int, Tuple[int, int]]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False)


class ModelConfig(_Part):
    name: str = Field("fcn", description="model, one of `list_models()`")
    backbone: Optional[str] = Field(
        None, description="one of `list_backbones()`; the model's own default when left out"
    )
    num_classes: Optional[int] = Field(None, ge=1, le=255, description="taken from the data set when left out")
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
        description="random; imagenet (backbone from the GluonCV store, needs a network or its cache); "
        "or the path of a checkpoint (layers whose name and shape match)",
    )


class AugmentConfig(_Part):
    scale: Tuple[float, float] = Field((0.5, 2.0), description="range of the random scale, relative to the base size")
    crop: Optional[Size] = Field(480, description="crop in pixels, one number or [height, width]; null: whole images")
    flip: float = Field(0.5, ge=0, le=1, description="chance of a horizontal flip")
    photometric: bool = Field(False, description="random brightness, contrast, saturation and hue")
    blur: float = Field(0.0, ge=0, le=1, description="chance of a Gaussian blur")


class DataConfig(_Part):
    name: str = Field("folder", description="a data set of `mxnetseg data list`")
    root: Optional[str] = Field(None, description="folder of the data; datasets/<name> when left out")
    train_split: str = "train"
    val_split: str = "val"
    base: Optional[int] = Field(
        None, ge=1, description="images are first resized to this long side in pixels; null: as they are"
    )
    mean: Tuple[float, float, float] = Field(IMAGENET_MEAN, description="per RGB channel, on 0..255")
    std: Tuple[float, float, float] = Field(IMAGENET_STD, description="per RGB channel, on 0..255")
    augment: AugmentConfig = AugmentConfig()
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


class LossConfig(_Part):
    name: str = Field("ce", description="ce: cross-entropy, mean over the valid pixels of the whole batch")
    aux_weight: float = Field(0.4, ge=0, description="weight of every auxiliary head's loss")
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    class_weights: Optional[List[float]] = Field(None, description="one weight per class; null: all 1")


class ParamRule(_Part):
    match: str = Field(..., description="regular expression searched in the structural name, e.g. '^head' or 'bias$'")
    lr_mult: float = Field(1.0, ge=0)
    decay_mult: float = Field(1.0, ge=0)


class OptimizerConfig(_Part):
    name: str = Field("sgd", description="sgd, nag, adam or adamw")
    lr: float = Field(0.01, ge=0)
    momentum: float = Field(0.9, ge=0, lt=1, description="sgd and nag")
    betas: Tuple[float, float] = Field((0.9, 0.999), description="adam and adamw")
    epsilon: float = Field(1e-8, gt=0, description="adam and adamw")
    weight_decay: float = Field(1e-4, ge=0)
    rules: List[ParamRule] = Field(
        default_factory=list, description="multipliers by parameter name; the factors of all matching rules multiply"
    )
    clip_norm: Optional[float] = Field(None, gt=0, description="clip the global norm of the gradient to this")


class ScheduleConfig(_Part):
    name: str = Field("poly", description="poly, cosine, step, linear or constant")
    power: float = Field(0.9, gt=0, description="poly")
    end_lr: float = Field(0.0, ge=0, description="learning rate at the last iteration (poly, cosine, linear)")
    steps: List[float] = Field(default_factory=list, description="step: shares (0..1) of the run at which lr drops")
    factor: float = Field(0.1, gt=0, description="step: factor of each drop")
    warmup: int = Field(0, ge=0, description="iterations of linear warm-up")
    warmup_ratio: float = Field(0.0, ge=0, le=1, description="share of the learning rate at iteration 0 of the warm-up")


class TrainConfig(_Part):
    epochs: Optional[float] = Field(None, gt=0, description="length in passes over the training split")
    iterations: Optional[int] = Field(None, gt=0, description="length in optimizer steps; this or epochs")
    batch_size: int = Field(8, ge=1, description="images of one forward pass, over all contexts together")
    accumulate: int = Field(1, ge=1, description="batches summed into one optimizer step")
    workers: int = Field(2, ge=0, description="processes that read and augment; 0: none")
    seed: int = Field(0, ge=0)
    val_every: Optional[int] = Field(None, ge=1, description="iterations between validations; an epoch when left out")
    save_every: Optional[int] = Field(
        None, ge=1, description="iterations between resumable saves; val_every when left out"
    )
    keep_every: Optional[int] = Field(None, ge=1, description="keep a checkpoint for good every so many iterations")
    static: bool = Field(
        True, description="hybridize with static_alloc and static_shape; SyncBN over several contexts always does"
    )

    @model_validator(mode="after")
    def _one_length(self):
        if (self.epochs is None) == (self.iterations is None):
            raise ValueError("give train.epochs or train.iterations, one of the two")
        return self


class EvalConfig(_Part):
    crop: Optional[Size] = Field(
        None, description="sliding window in pixels, one number or [height, width]; null: whole image"
    )
    stride: Optional[Size] = Field(None, description="step of the window; two thirds of it when left out")
    base: Optional[int] = Field(None, ge=1, description="long side that images are resized to; data.base when left out")
    scales: List[PositiveFloat] = Field(default_factory=lambda: [1.0], min_length=1)
    flip: bool = Field(False, description="average with the mirrored image")
    batch_size: int = Field(1, ge=1, description="windows of one forward pass")


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
