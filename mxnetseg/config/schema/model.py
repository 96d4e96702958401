"""`model`: the network."""

from pathlib import Path
from typing import Any, Dict, List, Literal, Optional

from pydantic import (
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)
from typing_extensions import Annotated

from ...names import near, same
from .names import BackboneName, ModelName
from .part import Part
from .values import MOST, MOST_CHANNELS, RECORDED, Expression, PathText, wrong

Expressions = Annotated[List[Expression], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)]


class ModelConfig(Part):
    """The network."""

    name: ModelName = Field("fcn", description="model, one of `list_models()`, plugins' among them")
    backbone: Optional[BackboneName] = Field(
        None, description="one of `list_backbones()`; the model's own default when left out"
    )
    num_classes: Optional[int] = Field(None, ge=1, le=255, description="taken from the data set when left out")
    in_channels: Optional[int] = Field(
        None, ge=1, le=MOST_CHANNELS, description="channels of the images; as data.channels says when left out"
    )
    aux: Optional[bool] = Field(
        None, description="build the auxiliary heads that the paper trains with; the model's usual choice when left out"
    )
    # 8, 16 and 32 are those of our backbones
    output_stride: Optional[Literal[1, 2, 4, 8, 16, 32, 64]] = Field(
        None, description="what the backbone can have: 8, 16 or 32; the model's own default when left out"
    )
    norm: Literal["bn", "syncbn", "gn"] = Field("bn", description="normalization layers")
    options: Dict[str, Any] = Field(
        default_factory=dict, description="further keyword arguments of the model's builder"
    )
    backbone_options: Dict[str, Any] = Field(
        default_factory=dict, description="further keyword arguments of the backbone, e.g. drop_path_rate"
    )
    init: PathText = Field(
        "random",
        description="random; imagenet (the backbone's weights that are on this machine: `mxnetseg weights`); "
        "or the path of a checkpoint (layers whose name and shape match)",
    )
    from_: Optional[PathText] = Field(
        None,
        alias="from",
        description="instead of init: a checkpoint to go on from. What it was trained as (model, mean and std, sizes) "
        "holds for every key that is left out; of its weights only classifiers may not fit (finetune.md)",
    )
    partial: bool = Field(False, description="from: more than classifiers may not fit; it is listed all the same")
    freeze: Expressions = Field(
        default_factory=list,
        description="a regular expression or a list of them, searched in the structural names, e.g. backbone: what "
        "matches learns nothing, batch norms there keep their statistics",
    )
    unfreeze_at: Optional[int] = Field(
        None, ge=1, le=MOST, description="iterations after which what is frozen learns, too; null: it stays as it is"
    )

    @model_serializer(mode="wrap")
    def _as_written(self, handler: SerializerFunctionWrapHandler) -> Dict[str, Any]:
        return {"from" if key == "from_" else key: value for key, value in handler(self).items()}

    @model_validator(mode="after")
    def _one_start(self) -> "ModelConfig":
        if self.from_ is not None and self.init != "random":
            raise ValueError("give model.init or model.from, one of the two")
        if self.partial and self.from_ is None:
            raise ValueError("model.partial goes with model.from; leave it out")
        if self.unfreeze_at is not None and not self.freeze:
            raise ValueError("model.unfreeze_at needs model.freeze, which names what is frozen until then")
        return self

    @model_validator(mode="after")
    def _each_key_once(self, info: ValidationInfo) -> "ModelConfig":
        for key in (
            "name",
            "backbone",
            "num_classes",
            "aux",
            "output_stride",
            "norm",
            "in_channels",
            "backbone_options",
        ):
            if key in self.options and info.context != RECORDED:
                raise ValueError(f"model.options.{key}: this is a key of its own, model.{key}; move the value there")
        for key in ("config", "reparameterized"):  # of `create_model`, which takes the options as well
            if key in self.options and info.context != RECORDED:
                raise wrong(f"options.{key}", "is no option of a model's builder; leave it out", self.options[key])
        return self

    @field_validator("init")
    @classmethod
    def _word_or_file(cls, init: str, info: ValidationInfo) -> str:
        words = ("random", "imagenet")
        meant = next((word for word in words if same(word, init)), None)
        if meant or info.context == RECORDED or Path(init).exists() or Path(init).suffix or Path(init).name != init:
            return meant or init
        hint = "".join(f"; did you mean {word}?" for word in near(init, words)[:1])
        raise wrong("", f"neither {' nor '.join(words)}, nor the file of a checkpoint{hint}", init)
