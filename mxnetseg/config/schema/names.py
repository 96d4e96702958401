"""Names that a recipe may give: ours, which tests compare with the tables, so that a slip of the pen is found without
importing MXNet; and those that plugins add."""

from typing import NamedTuple, Optional, Tuple

from pydantic import AfterValidator, ValidationInfo
from pydantic_core import PydanticCustomError
from typing_extensions import Annotated

from ...names import same
from ...plugins import names_of
from .values import READ


class Named(NamedTuple):
    """Metadata of a key: it holds the name of one of `known`, or of something that plugins add."""

    kind: str
    group: str  # of entry points
    known: Tuple[Tuple[str, str], ...]  # spelling, name

    def ours(self, name: str) -> Optional[str]:
        """The name of ours that is meant; None: it is none of ours."""
        return next((meant for spelling, meant in self.known if same(spelling, name)), None)

    def check(self, name: str, info: ValidationInfo) -> str:
        """The name as we spell it; raises where a recipe that is read names none."""
        ours = self.ours(name)
        if ours or info.context != READ:
            return ours or name
        added = names_of(self.kind, self.group)
        if any(same(one, name) for one in added):
            return name
        choices = [*dict(self.known), *(one for one in added if self.ours(one) is None)]
        raise PydanticCustomError("choice", "unknown {kind}", {"choices": choices, "kind": self.kind})


def _named(kind: str, group: str, names: str, **others: str) -> Named:
    return Named(kind, f"mxnetseg.{group}", (*((name, name) for name in names.split()), *others.items()))


LOSS = _named("loss", "losses", "ce ohem focal boundary dice lovasz", cross_entropy="ce")
MODEL = _named(
    "model",
    "models",
    "acfnet alignseg attanet attention_to_scale bisenet canet canet_v2 danet deeplabv3 deeplabv3plus denseaspp eprnet "
    "fapn fcn ffnet gffnet ladderdensenet pspnet seenet semantic_fpn setr_mla setr_naive setr_pup swiftnet swiftnet_pr "
    "upernet",
)
BACKBONE = _named(
    "backbone",
    "backbones",
    "densenet121 densenet161 densenet169 densenet201 dgmn2_large dgmn2_medium dgmn2_small dgmn2_tiny "
    "efficientnet_lite0 efficientnet_lite1 efficientnet_lite2 efficientnet_lite3 efficientnet_lite4 eprnet "
    "eprnet_light ffnet_2 ffnet_3 ffnet_4 ffnet_seg mobilenet_v2_0_25 mobilenet_v2_0_5 mobilenet_v2_0_75 "
    "mobilenet_v2_1_0 moganet_base moganet_large moganet_small moganet_tiny moganet_xlarge moganet_xtiny resnest101 "
    "resnest14 resnest200 resnest26 resnest269 resnest50 resnet101 resnet152 resnet18 resnet34 resnet50 vit_base_16 "
    "vit_large_16 xception39 xception65",
)
DATA_SET = _named(
    "data set",
    "datasets",
    "folder ade20k aeroscapes bdd100k camvid cityscapes cityscapes_coarse coco coco_stuff_10k coco_stuff_164k gatech "
    "mapillary_vistas mhp_v1 nyuv2 pascal_context sbd sift_flow stanford_background streets sun_rgbd voc2012 voc_aug "
    "weizmann_horses",
)
TRANSFORM = _named("transform", "transforms", "")

LossName = Annotated[str, LOSS, AfterValidator(LOSS.check)]
ModelName = Annotated[str, MODEL, AfterValidator(MODEL.check)]
BackboneName = Annotated[str, BACKBONE, AfterValidator(BACKBONE.check)]
DataSetName = Annotated[str, DATA_SET, AfterValidator(DATA_SET.check)]
TransformName = Annotated[str, TRANSFORM, AfterValidator(TRANSFORM.check)]
