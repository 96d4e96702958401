"""Parameter names of the PyTorch originals (mmsegmentation's EncoderDecoder, ImageNet backbones) -> ours.

MogaNet, FFNet and DGMN2, under Semantic FPN, UPerNet, SETR's heads and FFNet's own.
"""

import re
from typing import Dict, Optional

from ..foreign.names import Rules, counted, rename

__all__ = ["is_backbone", "translate"]

# counters of PyTorch's batch norms; the classifiers of ImageNet backbones
_NOT_NEEDED = re.compile(r"num_batches_tracked$|^backbone\.head\d?\.")


def translate(state: Dict, spec: Dict) -> Dict[str, Optional[str]]:
    """Name in `state` (name -> array) -> our name, or None for what no network of ours needs.

    KeyError where there is no table for the model or the backbone of `spec`.
    """
    family = spec["backbone"].split("_")[0]
    rules = _BACKBONES[family](spec["backbone"]) + _HEADS[spec["name"]] + _CLASSIFIER + _AUX + _LEAF
    prefix = "backbone." if is_backbone(state) else ""
    return {
        name: None if _NOT_NEEDED.search(prefix + name) else rename(prefix + _norm(name, state), rules)
        for name in state
    }


def is_backbone(state: Dict) -> bool:
    """Whether these are the names of an ImageNet classifier, without a prefix."""
    return not any(name.startswith(("backbone.", "decode_head.")) for name in state)


def _norm(name: str, state: Dict) -> str:
    """One-dimensional weights belong to norms: gamma and beta."""
    stem, _, leaf = name.rpartition(".")
    weight = state.get(f"{stem}.weight")
    if weight is not None and weight.ndim == 1 and leaf in ("weight", "bias"):
        return f"{stem}.{'gamma' if leaf == 'weight' else 'beta'}"
    return name


def _two_residuals(m) -> str:
    """A block of FFNet is two of our residuals; behind a stage's embedding where there is one."""
    place, index, kind = m.group(1), int(m.group(2)), m.group(3)
    first = 1 if place.startswith("backbone.") and place != "backbone.stages.0." else 0
    return f"{place}{first + 2 * (index - first) + (kind == 'channel_mixer')}."


# `c` and `bn` are the convolution and the norm of one branch
_LEAF: Rules = [(r"\.c\.weight$", ".conv.weight"), (r"\.bn\.(?=\w+$)", ".norm.")]
_OF_BRANCH = r"\.(?=(?:c|bn)\.)"


def _strips(place: str) -> Rules:
    """The branches of the depthwise sums of FFNet's segmentation variant."""
    sums = rf"^({place}\..*\.main\.conv\d?)\."
    names = ("conv1", "strip_conv1", "strip_conv2", "conv2")
    return [(sums + name + _OF_BRANCH, rf"\1.branches.{i}.") for i, name in enumerate(names)]


_FFNET: Rules = [
    (r"^backbone\.patch_embed\.(\d)\.", r"backbone.stem.\1.branches.0."),
    (r"^backbone\.norm(\d)\.", r"backbone.norms.\1."),
    (r"^(backbone\.stages\.\d\.)(\d+)\.(token_mixer|channel_mixer)\.(?:0\.)?", _two_residuals),
    (r"\.fc" + _OF_BRANCH, ".fc.branches.0."),
]

_FFNET_PLAIN: Rules = [
    (r"\.proj\.0\.conv" + _OF_BRANCH, ".0.branches.0."),
    (r"\.proj\.0\.conv1" + _OF_BRANCH, ".0.branches.1."),
    (r"\.proj\.1\.conv" + _OF_BRANCH, ".1.branches.0."),
    (r"^(backbone\..*\.main\.conv\d?)\.conv" + _OF_BRANCH, r"\1.branches.0."),
    (r"^(backbone\..*\.main\.conv\d?)\.conv1" + _OF_BRANCH, r"\1.branches.1."),
]

_FFNET_SEG: Rules = [
    (r"\.proj\.(\d)" + _OF_BRANCH, r".\1.branches.0."),
    (r"^(backbone\..*\.main\.conv)" + _OF_BRANCH, r"\1.branches.0."),
    *_strips("backbone"),
]

_MOGANET: Rules = [
    (r"^backbone\.patch_embed1\.projection\.", "backbone.stages.0.embed."),
    counted(r"^backbone\.patch_embed(\d)\.projection\.", "backbone.stages.{}.embed.0."),
    counted(r"^backbone\.patch_embed(\d)\.norm\.", "backbone.stages.{}.embed.1."),
    counted(r"^backbone\.blocks(\d)\.", "backbone.stages.{}.blocks."),
    counted(r"^backbone\.norm(\d)\.", "backbone.stages.{}.norm."),
    (r"\.attn\.proj_1\.", ".attn.project_in."),
    (r"\.attn\.proj_2\.", ".attn.project_out."),
    (r"\.value\.DW_conv0\.", ".value.near."),
    (r"\.value\.DW_conv1\.", ".value.middle."),
    (r"\.value\.DW_conv2\.", ".value.far."),
    (r"\.value\.PW_conv\.", ".value.mix."),
    (r"\.mlp\.dwconv\.", ".mlp.depthwise."),
    (r"\.sigma\.scale$", ".sigma"),
]

_DGMN2: Rules = [
    counted(r"^backbone\.patch_embed1\.(?:conv|norm)(\d)\.(?<=(conv|norm)\d\.)", "backbone.embeds.0.{}.{}."),
    counted(r"^backbone\.patch_embed(\d)\.(conv|norm)\.", "backbone.embeds.{}.0.{}."),
    counted(r"^backbone\.block(\d)\.", "backbone.stages.{}."),
    (r"\.attn\.proj\.", ".attn.project."),
    (r"\.attn\.conv_offset\.", ".attn.offset."),
    (r"\.attn\.pos_emb\.", ".attn.position."),
    (r"\.mlp\.(fc\d)\.", r".\1."),
]

_CLASSIFIER: Rules = [(r"^decode_head\.conv_seg\.", "head.classify.")]

_AUX: Rules = [
    (r"^auxiliary_head\.convs\.0\.", "aux_heads.0.conv1."),
    (r"^auxiliary_head\.conv_seg\.", "aux_heads.0.conv2."),
]

_BACKBONES = {
    "moganet": lambda name: _MOGANET,
    "ffnet": lambda name: _FFNET + (_FFNET_SEG if name == "ffnet_seg" else _FFNET_PLAIN),
    "dgmn2": lambda name: _DGMN2,
}

_HEADS = {
    "semantic_fpn": [
        (r"^neck\.lateral_convs\.(\d)\.conv\.", r"head.neck.lateral.\1."),
        (r"^neck\.fpn_convs\.(\d)\.conv\.", r"head.neck.smooth.\1."),
        # between the convolutions, their list counts the resizes
        (r"^decode_head\.scale_heads\.(\d)\.(\d)\.", lambda m: f"head.scales.{m.group(1)}.{int(m.group(2)) // 2}."),
    ],
    "upernet": [
        (r"^decode_head\.psp_modules\.(\d)\.1\.", r"head.pool.convs.\1."),
        (r"^decode_head\.bottleneck\.", "head.bottleneck."),
        (r"^decode_head\.lateral_convs\.", "head.lateral."),
        (r"^decode_head\.fpn_convs\.", "head.smooth."),
        (r"^decode_head\.fpn_bottleneck\.", "head.fuse."),
    ],
    "setr_naive": [],
    "setr_pup": [
        (r"^decode_head\.conv_(\d)\.", r"head.convs.\1."),
        (r"^decode_head\.syncbn_fc_(\d)\.", r"head.norms.\1."),
    ],
    # convolution, norm, ReLU, convolution, norm, ReLU in a row
    "setr_mla": [
        (
            r"^decode_head\.mlahead\.head(\d)\.(\d)\.",
            lambda m: f"head.branches.{int(m.group(1)) - 2}.{int(m.group(2)) // 3}."
            f"{'norm' if int(m.group(2)) % 3 else 'conv'}.",
        ),
    ],
    "ffnet": [
        *_strips("decode_head"),
        (r"\.fc" + _OF_BRANCH, ".fc.branches.0."),
        (r"^decode_head\.(squeeze|align)\.(\d)\.", r"head.\1.\2.branches.0."),
        (r"^decode_head\.(head_blocks\.)(\d+)\.(token_mixer|channel_mixer)\.()", _two_residuals),
        (r"^head_blocks\.", "head.blocks."),
    ],
}
