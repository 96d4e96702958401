"""EPRNet: Efficient Pyramid Representation Network for Real-Time Street Scene Segmentation (Tang et al., TITS 2021).

https://doi.org/10.1109/TITS.2021.3066401. The network is its backbone; the light one is `backbone="eprnet_light"`.
"""

from ..backbones import Backbone
from ..heads import FCNHead
from ..registry import register_model
from .fcn import fcn_aux
from .segmentor import Branch, Segmentor

__all__ = ["eprnet"]


@register_model(
    "eprnet",
    backbone="eprnet",
    backbones=("eprnet", "eprnet_light"),
    output_stride=8,
    paper="https://doi.org/10.1109/TITS.2021.3066401",
)
def eprnet(backbone: Backbone, num_classes: int, aux: bool) -> Segmentor:
    main = Branch(FCNHead(backbone.channels[3], num_classes, dropout=0.0, act="prelu"))
    return Segmentor(backbone, main, fcn_aux(backbone, num_classes) if aux else ())
