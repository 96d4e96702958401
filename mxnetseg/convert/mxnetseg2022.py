"""Parameter names of the 2022 MXNetSeg toolkit's .params files -> ours."""

from typing import Dict

from ..foreign.names import Rules, counted, rename

__all__ = ["translate"]

# every model: the toolkit keeps backbone and head side by side, its first norm is always called bn
_COMMON: Rules = [
    (r"^(block\d+|bn\d|conv\d|layer\d|midflow|stem)\b", r"backbone.\1"),
    (r"^aux_head\.(?=\d)", "aux_heads."),
    (r"^aux_head\.(?=\D)", "aux_heads.0."),
    (r"^((?:head|aux_heads)\..*)\.bn\.", r"\1.norm."),
]

_VIT: Rules = [
    (r"^(blocks|patch_embed|pos_embed)\b", r"backbone.\1"),
    (r"^layer_norms\.", "backbone.norms."),
    (r"\.patch_embed\.linear\.", ".patch_embed."),
    (r"\.att\.att_qkv\.", ".attn.qkv."),
    (r"\.att\.proj\.", ".attn.project."),
    (r"\.mlp\.(fc\d)\.", r".\1."),
    (r"^head\.aux_head\.", "aux_heads."),  # SETR keeps its auxiliary heads inside the head
]

# backbones that the toolkit wrote itself
_BACKBONES = {
    "vit_base_16": _VIT,
    "vit_large_16": _VIT,
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


_PYRAMID = "head.pool.convs.{}."


def _fusion(names: str):
    """Of a ladder's steps, which the toolkit calls by `names`."""
    step = {name: i for i, name in enumerate(names.split())}
    return lambda match: f"head.ladder.fusions.{step[match.group(1)]}."


_LADDER: Rules = [
    (r"^(head\..*fusions\.\d)\.conv1x1\.", r"\1.lateral."),
    (r"^(head\..*fusions\.\d)\.conv3x3\.", r"\1.smooth."),
    (r"^head\.seg_head\.", "head.ladder.classify."),
]

_CLASSIFIER: Rules = [(r"^head\.(seg|seg_head|head)\.", "head.classify.")]

_HEADS = {
    "alignseg": [
        (r"^head\.align_cm\.conv1x1\.", "head.context.context."),
        (r"^head\.align_cm\.conv3x3\.", "head.context.project."),
        (r"^head\.align_cm\.delta\.", "head.context.offsets."),
        counted(r"^head\.align_(\d)\.", "head.align.{}."),
        (r"\.rcb_1\.", ".coarse."),
        (r"\.rcb_2\.", ".fine."),
        (r"\.align\.delta\.", ".offsets."),
        (r"^head\.rcb\.", "head.blend."),
        (r"\.(coarse|fine|blend)\.conv1x1\.", r".\1.project."),
        (r"\.(coarse|fine|blend)\.conv3x3_1\.", r".\1.squeeze."),
        (r"\.(coarse|fine|blend)\.conv3x3_2\.", r".\1.expand."),
    ],
    "attanet": [
        (r"^head\.afm\.conv3x3_low\.", "head.fuse.fine."),
        (r"^head\.afm\.conv3x3_high\.", "head.fuse.coarse."),
        (r"^head\.afm\.conv1x1_1\.", "head.fuse.squeeze."),
        (r"^head\.afm\.conv1x1_2\.", "head.fuse.gate."),
        (r"^head\.conv3x3\.", "head.blend."),
        (r"^head\.sam\.(query|key|value)_conv\.", r"head.attend.\1."),
    ],
    "attention_to_scale": [
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
    ],
    "canet": [
        (r"^head\.gp\.conv1x1\.", "head.context.conv."),
        counted(r"^head\.cp(\d)\.", "head.flows.{}."),
        (r"^head\.proj\.", "head.project."),
        (r"^head\.decoder\.", "head.detail."),
        (r"^head\.conv3x3\.", "head.decode."),
    ],
    "canet_v2": [
        (r"^head\.comp_c(\d)\.", r"head.compress\1."),
        (r"^head\.gap\.conv1x1\.", "head.context.conv."),
        (r"^(head\.ed(\d)\.)conv3x3\.", r"\1encoder.\2."),
        (r"^(head\.ed\d\.)conv1x1\.", r"\1decoder."),
        (r"^(head\.ed\d\.encoder\.\d\.)conv4\.", r"\1shortcut."),
        counted(r"^head\.ed(\d)\.", "head.scales.{}."),
        (r"^head\.conv1\.", "head.fuse.reduce."),
        (r"^head\.conv2\.", "head.fuse.gate."),
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
    "deeplabv3": _ASPP,
    "deeplabv3plus": [
        *_ASPP,
        (r"^head\.conv_c1\.", "head.reduce."),
        (r"^head\.conv3x3\.", "head.fuse."),
    ],
    "denseaspp": [
        (r"^head\.dense_aspp\.dilate1\.", "head.aspp.layers.0.0."),
        (r"^head\.dense_aspp\.trans(\d)\.", r"head.aspp.layers.\1.0."),
        counted(r"^head\.dense_aspp\.dilate(\d)\.", "head.aspp.layers.{}.1."),
        (r"^head\.dense_aspp\.projection\.", "head.aspp.project."),
    ],
    "eprnet": [
        (r"^conv\.", "backbone.stem.conv."),
        (r"^bn\.", "backbone.stem.norm."),
        (r"^act\.", "backbone.stem.act."),
        (r"\.pyramid\.concurrent\.", ".unit.branches."),
        (r"\.pyramid\.conv1x1\.", ".unit.join."),
        (r"\.compact\.", ".conv."),
        (r"\.skip\.", ".skip.conv."),
        (r"\.skip_bn\.", ".skip.norm."),
        (r"^(backbone\..*)\.bn\.", r"\1.norm."),
        (r"\.act\.act\.", ".act."),
    ],
    "fcn": [],
    "ladderdensenet": [
        (r"^head\.conv_c4\.", "neck."),
        (r"^head\.fusion_c(\d)\.", lambda m: f"head.fusions.{3 - int(m.group(1))}."),
        (r"^head\.seg_head\.", "head.classify."),
        *_LADDER,
    ],
    "pspnet": [counted(r"^head\.pool\.conv(\d)\.", _PYRAMID)],
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
    "setr_mla": [
        counted(r"^head\.conv1x1_p(\d)\.", "head.lateral.{}.", 2),
        counted(r"^head\.conv3x3_p(\d)\.", "head.branches.{}.0.", 2),
        (r"^head\.head(\d)\.(\d)\.", lambda m: f"head.branches.{int(m.group(1)) - 2}.{int(m.group(2)) + 1}."),
    ],
    "setr_naive": [(r"^head\.head\.", "head.")],
    "setr_pup": [
        (r"^head\.conv([012])\.conv\.", r"head.convs.\1."),
        (r"^head\.conv([012])\.norm\.", r"head.norms.\1."),
        counted(r"^head\.conv([34])\.", "head.classify.{}.", 3),
    ],
    "swiftnet": [
        counted(r"^head\.ppool\.conv(\d)\.", _PYRAMID),
        (r"^head\.conv_c4\.", "head.project."),
        (r"^head\.fusion_(c\d)\.", _fusion("c3 c2 c1")),
        *_LADDER,
    ],
    "swiftnet_pr": [
        (r"^head\.conv1x1\.", "head.project."),
        (r"^head\.(fusion_\d+x|final)\.", _fusion("fusion_32x fusion_16x fusion_8x final")),
        *_LADDER,
    ],
}


def translate(state: Dict, spec: Dict) -> Dict[str, str]:
    """Name in `state` -> our name; KeyError where there is no table for the model of `spec`."""
    rules = _COMMON + _BACKBONES.get(spec["backbone"], []) + _HEADS[spec["name"]] + _CLASSIFIER
    return {name: rename(name, rules) for name in state}
