"""Parameter names of the PyTorch originals of MogaNet, FFNet and DGMN2 -> ours, both below "backbone."."""

from .names import Rules, counted

__all__ = ["LEAF", "OF_BRANCH", "rules_of", "strips", "two_residuals"]


def rules_of(backbone: str) -> Rules:
    """For the names of a backbone; `LEAF` comes behind them. KeyError: a backbone of another family."""
    family = backbone.split("_")[0]
    if family == "ffnet":
        return _FFNET + (_FFNET_SEG if backbone == "ffnet_seg" else _FFNET_PLAIN)
    return {"moganet": _MOGANET, "dgmn2": _DGMN2}[family]


def two_residuals(m) -> str:
    """A block of FFNet is two of our residuals; behind a stage's embedding where there is one."""
    place, index, kind = m.group(1), int(m.group(2)), m.group(3)
    first = 1 if place.startswith("backbone.") and place != "backbone.stages.0." else 0
    return f"{place}{first + 2 * (index - first) + (kind == 'channel_mixer')}."


# `c` and `bn` are the convolution and the norm of one branch
LEAF: Rules = [(r"\.c\.weight$", ".conv.weight"), (r"\.bn\.(?=\w+$)", ".norm.")]
OF_BRANCH = r"\.(?=(?:c|bn)\.)"


def strips(place: str) -> Rules:
    """The branches of the depthwise sums of FFNet's segmentation variant."""
    sums = rf"^({place}\..*\.main\.conv\d?)\."
    names = ("conv1", "strip_conv1", "strip_conv2", "conv2")
    return [(sums + name + OF_BRANCH, rf"\1.branches.{i}.") for i, name in enumerate(names)]


_FFNET: Rules = [
    (r"^backbone\.patch_embed\.(\d)\.", r"backbone.stem.\1.branches.0."),
    (r"^backbone\.norm(\d)\.", r"backbone.norms.\1."),
    (r"^(backbone\.stages\.\d\.)(\d+)\.(token_mixer|channel_mixer)\.(?:0\.)?", two_residuals),
    (r"\.fc" + OF_BRANCH, ".fc.branches.0."),
]

_FFNET_PLAIN: Rules = [
    (r"\.proj\.0\.conv" + OF_BRANCH, ".0.branches.0."),
    (r"\.proj\.0\.conv1" + OF_BRANCH, ".0.branches.1."),
    (r"\.proj\.1\.conv" + OF_BRANCH, ".1.branches.0."),
    (r"^(backbone\..*\.main\.conv\d?)\.conv" + OF_BRANCH, r"\1.branches.0."),
    (r"^(backbone\..*\.main\.conv\d?)\.conv1" + OF_BRANCH, r"\1.branches.1."),
]

_FFNET_SEG: Rules = [
    (r"\.proj\.(\d)" + OF_BRANCH, r".\1.branches.0."),
    (r"^(backbone\..*\.main\.conv)" + OF_BRANCH, r"\1.branches.0."),
    *strips("backbone"),
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
