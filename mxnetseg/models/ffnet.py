"""FFNet's system-level segmentor: MetaMixer Is All You Need (Yun et al., 2024). https://arxiv.org/abs/2406.02021"""

from ..backbones import Backbone
from ..heads.ffnet import FFNetHead
from ..registry import register_model
from .segmentor import Branch, Segmentor
from .upernet import fcn_aux

__all__ = ["ffnet"]


@register_model("ffnet", backbone="ffnet_seg", output_stride=32, paper="https://arxiv.org/abs/2406.02021")
def ffnet(
    backbone: Backbone,
    num_classes: int,
    aux: bool,
    width: int = 256,
    depth: int = 3,
    ratio: int = 4,
    final_ratio: int = 4,
    kernel: int = 9,
    dropout: float = 0.1,
    drop_path_rate: float = 0.1,
) -> Segmentor:
    """The options are those of `FFNetHead`; their defaults are the published model's for ADE20K."""
    head = FFNetHead(
        backbone.channels[1:],
        num_classes,
        width=width,
        depth=depth,
        ratio=ratio,
        final_ratio=final_ratio,
        kernel=kernel,
        dropout=dropout,
        drop_path_rate=drop_path_rate,
    )
    branches = fcn_aux(backbone, num_classes, dropout) if aux else ()
    return Segmentor(backbone, Branch(head, ("c2", "c3", "c4")), branches, align_corners=False)
