"""Parameter names of the 2022 MXNetSeg toolkit's .params files -> ours."""

from typing import Dict

from .names import Rules, rename

__all__ = ["translate"]

# every model: the toolkit keeps backbone and head side by side, its first norm is always called bn
_COMMON: Rules = [
    (r"^(block\d+|bn\d|conv\d|layer\d|midflow|stem)\b", r"backbone.\1"),
    (r"^aux_head\.(?=\d)", "aux_heads."),
    (r"^aux_head\.(?=\D)", "aux_heads.0."),
    (r"^((?:head|aux_heads)\..*)\.bn\.", r"\1.norm."),
]

# backbones that the toolkit wrote itself
_BACKBONES = {
    "xception39": [
        (r"^conv\.", "backbone.stem."),
        (r"^(backbone\..*)\.down\.", r"\1.shortcut."),
        (r"^(backbone\..*)\.bn\.", r"\1.norm."),
    ],
}

_ASPP: Rules = [
    (r"^head\.aspp\.branches\.4\.conv1x1\.", "head.aspp.branches.4.conv."),
    (r"^head\.aspp\.projection\.", "head.aspp.project."),
]

_HEADS = {
    "attention_to_scale": [
        (r"^head\.seg_head\.", "head.classify."),
        (r"^head\.conv3x3\.", "head.attend."),
        (r"^head\.conv1x1\.", "head.weigh."),
    ],
    "bisenet": [
        (r"^head\.spatial_path\.conv7x7\.", "head.spatial.conv1."),
        (r"^head\.spatial_path\.conv3x3_1\.", "head.spatial.conv2."),
        (r"^head\.spatial_path\.conv3x3_2\.", "head.spatial.conv3."),
        (r"^head\.spatial_path\.conv1x1\.", "head.spatial.conv4."),
        (r"^head\.global_flow\.conv1x1\.", "head.context.conv."),
        (r"^head\.refine_c(\d)\.conv3x3\.", r"head.refine\1.conv."),
        (r"^head\.refine_c(\d)\.conv1x1\.", r"head.refine\1.gate."),
        (r"^head\.proj\.", "head.project."),
        (r"^head\.fusion\.proj\.", "head.fuse.project."),
        (r"^head\.fusion\.conv1x1_1\.", "head.fuse.squeeze."),
        (r"^head\.fusion\.conv1x1_2\.", "head.fuse.gate."),
        (r"^head\.seg\.", "head.classify."),
    ],
    "deeplabv3": [
        *_ASPP,
        (r"^head\.head\.", "head.classify."),
    ],
    "deeplabv3plus": [
        *_ASPP,
        (r"^head\.conv_c1\.", "head.reduce."),
        (r"^head\.conv3x3\.", "head.fuse."),
        (r"^head\.head\.", "head.classify."),
    ],
    "fcn": [],
    "ladderdensenet": [
        (r"^head\.conv_c4\.", "neck."),
        (r"^head\.fusion_c(\d)\.", lambda m: f"head.fusions.{3 - int(m.group(1))}."),
        (r"^(head\.fusions\.\d)\.conv1x1\.", r"\1.lateral."),
        (r"^(head\.fusions\.\d)\.conv3x3\.", r"\1.smooth."),
        (r"^head\.seg_head\.", "head.classify."),
    ],
    "pspnet": [
        (r"^head\.pool\.conv(\d)\.", lambda m: f"head.pool.convs.{int(m.group(1)) - 1}."),
        (r"^head\.seg_head\.", "head.classify."),
    ],
}


def translate(state: Dict, spec: Dict) -> Dict[str, str]:
    """Name in `state` -> our name; KeyError where there is no table for the model of `spec`."""
    rules = _COMMON + _BACKBONES.get(spec["backbone"], []) + _HEADS[spec["name"]]
    return {name: rename(name, rules) for name in state}
