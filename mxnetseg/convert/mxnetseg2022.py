"""Parameter names of the 2022 MXNetSeg toolkit's .params files -> ours."""

from typing import Dict

from .names import Rules, rename

__all__ = ["translate"]

# every model: the toolkit keeps backbone and head side by side, its first norm is always called bn
_COMMON: Rules = [
    (r"^(conv1|bn1|layer\d)\b", r"backbone.\1"),
    (r"^aux_head\.(?=\d)", "aux_heads."),
    (r"^aux_head\.(?=\D)", "aux_heads.0."),
    (r"^((?:head|aux_heads)\..*)\.bn\.", r"\1.norm."),
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
    "canet": [
        (r"^head\.gp\.conv1x1\.", "head.context.conv."),
        (r"^head\.cp(\d)\.", lambda m: f"head.flows.{int(m.group(1)) - 1}."),
        (r"^head\.proj\.", "head.project."),
        (r"^head\.decoder\.", "head.detail."),
        (r"^head\.conv3x3\.", "head.decode."),
        (r"^head\.seg_head\.", "head.classify."),
    ],
    "canet_v2": [
        (r"^head\.comp_c(\d)\.", r"head.compress\1."),
        (r"^head\.gap\.conv1x1\.", "head.context.conv."),
        (r"^(head\.ed(\d)\.)conv3x3\.", r"\1encoder.\2."),
        (r"^(head\.ed\d\.)conv1x1\.", r"\1decoder."),
        (r"^(head\.ed\d\.encoder\.\d\.)conv4\.", r"\1shortcut."),
        (r"^head\.ed(\d)\.", lambda m: f"head.scales.{int(m.group(1)) - 1}."),
        (r"^head\.conv1\.", "head.fuse.reduce."),
        (r"^head\.conv2\.", "head.fuse.gate."),
        (r"^head\.seg\.", "head.classify."),
    ],
    "danet": [
        (r"^head\.compress_pam\.", "neck.position.0."),
        (r"^head\.pam\.(query|key|value)_conv\.", r"neck.position.1.\1."),
        (r"^head\.pam\.gamma$", "neck.position.1.gate"),
        (r"^head\.proj_pam\.", "neck.position.2."),
        (r"^head\.compress_cam\.", "neck.channel.0."),
        (r"^head\.cam\.gamma$", "neck.channel.1.gate"),
        (r"^head\.proj_cam\.", "neck.channel.2."),
        (r"^head\.head\.1\.", "head.classify."),
        (r"^(aux_heads\.\d)\.1\.", r"\1.classify."),
    ],
    "denseaspp": [
        (r"^head\.dense_aspp\.dilate1\.", "head.aspp.layers.0.0."),
        (r"^head\.dense_aspp\.trans(\d)\.", r"head.aspp.layers.\1.0."),
        (r"^head\.dense_aspp\.dilate(\d)\.", lambda m: f"head.aspp.layers.{int(m.group(1)) - 1}.1."),
        (r"^head\.dense_aspp\.projection\.", "head.aspp.project."),
        (r"^head\.head\.", "head.classify."),
    ],
    "seenet": [
        (r"^head\.seemc(\d)\.branch(\d)\.", lambda m: f"head.enhance{m.group(1)}.branches.{int(m.group(2)) - 1}."),
        (r"^head\.seemc(\d)\.proj\.", r"head.enhance\1.project."),
        (r"\.conv_l1\.", ".column1."),
        (r"\.conv_l2\.", ".row1."),
        (r"\.conv_r1\.", ".row2."),
        (r"\.conv_r2\.", ".column2."),
        (r"^head\.bam\.conv1x1\.", "head.boundary.gate."),
        (r"^head\.bam\.fconv1x1\.", "head.boundary.reduce."),
        (r"^head\.bam\.fconv3x3\.", "head.boundary.refine."),
        (r"^head\.bam\.cconv3x3\.", "head.classify.conv1."),
        (r"^head\.bam\.cconv1x1\.", "head.classify.conv2."),
    ],
}


def translate(state: Dict, spec: Dict) -> Dict[str, str]:
    """Name in `state` -> our name; KeyError where there is no table for the model of `spec`."""
    rules = _COMMON + _HEADS[spec["name"]]
    return {name: rename(name, rules) for name in state}
