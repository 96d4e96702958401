"""`model`: the network."""

from typing import Any, Dict, Optional

from pydantic import Field, ValidationInfo, model_validator

from .part import RECORDED, Part


class ModelConfig(Part):
    """The network."""

    name: str = Field("fcn", description="model, one of `list_models()`, plugins' among them")
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
        description="random; imagenet (the backbone's weights that are on this machine: `mxnetseg weights`); "
        "or the path of a checkpoint (layers whose name and shape match)",
    )

    @model_validator(mode="after")
    def _each_key_once(self, info: ValidationInfo) -> "ModelConfig":
        for key in ("name", "backbone", "num_classes", "aux", "output_stride", "norm", "backbone_options"):
            if key in self.options and info.context != RECORDED:
                raise ValueError(f"model.options.{key} would be taken instead of model.{key}; give that alone")
        return self
