"""Parameter names of the 2022 MXNetSeg toolkit's .params files -> ours."""

from typing import Dict

from .names import Rules, rename

__all__ = ["translate"]

# every model: the toolkit keeps backbone and head side by side, its first norm is always called bn
_COMMON: Rules = [
    # SETR keeps its auxiliary heads inside the head
    (r"^head\.aux_head\.", "aux_head."),
    (r"^(conv1|bn1|layer\d)\b", r"backbone.\1"),
    (r"^aux_head\.(?=\d)", "aux_heads."),
    (r"^aux_head\.(?=\D)", "aux_heads.0."),
    (r"^((?:head|aux_heads)\..*)\.bn\.", r"\1.norm."),
]

_VIT: Rules = [
    (r"^(pos_embed$|patch_embed\b|blocks\b)", r"backbone.\1"),
    (r"^layer_norms\.", "backbone.norms."),
    (r"\.patch_embed\.linear\.", ".patch_embed."),
    (r"\.att\.att_qkv\.", ".attn.qkv."),
    (r"\.att\.proj\.", ".attn.project."),
    (r"\.mlp\.(fc\d)\.", r".\1."),
]

_HEADS = {
    "fcn": [],
    "pspnet": [
        (r"^head\.pool\.conv(\d)\.", lambda m: f"head.pool.convs.{int(m.group(1)) - 1}."),
        (r"^head\.seg_head\.", "head.classify."),
    ],
    "deeplabv3": [
        (r"^head\.aspp\.branches\.4\.conv1x1\.", "head.aspp.branches.4.conv."),
        (r"^head\.aspp\.projection\.", "head.aspp.project."),
        (r"^head\.head\.", "head.classify."),
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
    "setr_mla": [
        (r"^head\.conv1x1_p(\d)\.", lambda m: f"head.lateral.{int(m.group(1)) - 2}."),
        (r"^head\.conv3x3_p(\d)\.", lambda m: f"head.branches.{int(m.group(1)) - 2}.0."),
        (
            r"^head\.head(\d)\.(\d)\.",
            lambda m: f"head.branches.{int(m.group(1)) - 2}.{int(m.group(2)) + 1}.",
        ),
        (r"^head\.head\.", "head.classify."),
    ],
    "setr_naive": [(r"^head\.head\.", "head.")],
    "setr_pup": [
        (r"^head\.conv([012])\.conv\.", r"head.convs.\1."),
        (r"^head\.conv([012])\.norm\.", r"head.norms.\1."),
        (r"^head\.conv([34])\.", lambda m: f"head.classify.{int(m.group(1)) - 3}."),
    ],
}


def translate(state: Dict, spec: Dict) -> Dict[str, str]:
    """Name in `state` -> our name; KeyError where there is no table for the model of `spec`."""
    rules = _VIT + _COMMON + _HEADS[spec["name"]]
    return {name: rename(name, rules) for name in state}
