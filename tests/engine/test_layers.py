"""Learning rates that fall towards the input: the originals' rules, on the originals' names, give the same factors."""

import re

import numpy as np
import pytest

from mxnetseg import create_model
from mxnetseg.backbones import Backbone
from mxnetseg.config import LayerDecayConfig
from mxnetseg.convert.mmseg import translate
from mxnetseg.engine.layers import layer_factor
from mxnetseg.errors import MXNetSegError


def ffnet_original(name, rate, layers):
    """As FFNet's published models were trained: the stem, called patch_embed, is no layer of the rule's."""
    match = re.match(r"backbone\.stages\.(\d)\.(\d+)\.", name)
    if not match:
        return 1.0
    stage, block = map(int, match.groups())
    return rate ** (layers + 1 - [1, 2, 3 + block // 3, layers][stage])


def moganet_original(name, rate, layers):
    match = re.match(r"backbone\.(patch_embed|blocks)(\d)\.(\d*)", name)
    if not match:
        return 1.0
    stage = int(match.group(2))
    if match.group(1) == "patch_embed":
        layer = {1: 0, 2: 3, 3: 4, 4: layers}[stage]
    else:
        layer = {1: 2, 2: 3, 3: min(3 + int(match.group(3)) // 2, 11), 4: layers}[stage] if match.group(3) else None
    return rate ** (layers + 1 - layer)


def ffnet_names(depths):
    yield from ("backbone.patch_embed.0.c.weight", "backbone.norm2.weight", "decode_head.conv_seg.weight")
    for stage, depth in enumerate(depths):
        if stage:
            yield f"backbone.stages.{stage}.0.proj.0.conv.c.weight"
        for block in range(depth):
            place = f"backbone.stages.{stage}.{block + bool(stage)}"
            yield from (f"{place}.token_mixer.0.main.fc.c.weight", f"{place}.channel_mixer.main.fc1.weight")


def moganet_names(depths):
    yield from ("backbone.norm3.weight", "decode_head.conv_seg.weight")
    for stage, depth in enumerate(depths, 1):
        yield (
            f"backbone.patch_embed{stage}.projection.0.weight"
            if stage == 1
            else (f"backbone.patch_embed{stage}.projection.weight")
        )
        yield from (f"backbone.blocks{stage}.{block}.mlp.fc1.weight" for block in range(depth))


@pytest.mark.parametrize(
    "backbone, names, original",
    [
        ("ffnet_3", ffnet_names((4, 4, 22, 5)), ffnet_original),
        ("ffnet_4", ffnet_names((4, 4, 27, 3)), ffnet_original),
        ("moganet_small", moganet_names((2, 3, 12, 2)), moganet_original),
        ("moganet_large", moganet_names((4, 6, 44, 4)), moganet_original),
    ],
)
def test_equals_the_originals_rule_on_their_names(backbone, names, original):
    names = list(names)
    state = {name: np.zeros((2, 1) if "conv_seg" in name or "weight" in name else 1) for name in names}
    ours = translate(state, {"name": "upernet", "backbone": backbone})
    net = create_model("upernet", backbone, 5)
    known = set(net._collect_params_with_prefix())
    config = LayerDecayConfig(rate=0.9, layers=12, stem=backbone.startswith("moganet"))
    for name in names:
        stem = ours[name].rsplit(".", 1)[0]
        assert any(one.startswith(stem) for one in known), (name, ours[name])
        factor = layer_factor(ours[name], net.backbone, config)
        assert factor == pytest.approx(original(name, 0.9, 12), rel=1e-12), (name, ours[name])


def blocks(stage, first, last, part=""):
    return [f"stages.{stage}.{part}{index}" for index in range(first, last + 1)]


# By layer, the places below the backbone whose parameters count to it: all that there are. FFNet's places 0 in stages
# 1 to 3 are embeddings; then two places are a block of the original. None: the full rate.
FFNET_STAGES = {
    0: ["stem"],
    1: blocks(0, 0, 5),
    2: blocks(1, 0, 6),
    3: blocks(2, 0, 30),
    4: blocks(3, 0, 6),
    None: ["norms.0", "norms.1", "norms.2", "norms.3"],
}
FFNET_LAYERS = {
    **{layer: FFNET_STAGES[layer] for layer in (0, 1, 2, None)},
    3: blocks(2, 0, 4),
    4: blocks(2, 5, 10),
    5: blocks(2, 11, 16),
    6: blocks(2, 17, 22),
    7: blocks(2, 23, 28),
    8: blocks(2, 29, 30),
    9: blocks(3, 0, 6),
}
FFNET_SEG_STAGES = {0: ["stem"], 1: blocks(0, 0, 5), 2: blocks(1, 0, 8), 3: blocks(2, 0, 36), 4: blocks(3, 0, 10)}
MOGANET_NORMS = {None: ["stages.0.norm", "stages.1.norm", "stages.2.norm", "stages.3.norm"]}
MOGANET_STAGES = {
    **MOGANET_NORMS,
    0: ["stages.0.embed", "stages.1.embed", "stages.2.embed", "stages.3.embed"],
    1: blocks(0, 0, 2, "blocks."),
    2: blocks(1, 0, 2, "blocks."),
    3: blocks(2, 0, 9, "blocks."),
    4: blocks(3, 0, 1, "blocks."),
}
MOGANET_LAYERS = {
    **MOGANET_NORMS,
    0: ["stages.0.embed"],
    2: blocks(0, 0, 2, "blocks."),
    3: ["stages.1.embed", *blocks(1, 0, 2, "blocks."), *blocks(2, 0, 1, "blocks.")],
    4: ["stages.2.embed", *blocks(2, 2, 3, "blocks.")],
    5: blocks(2, 4, 5, "blocks."),
    6: blocks(2, 6, 7, "blocks."),
    7: blocks(2, 8, 9, "blocks."),
    9: ["stages.3.embed", *blocks(3, 0, 1, "blocks.")],
}


LITE_STAGES = {
    0: ["stem"],
    1: ["layer1.0", "layer1.1", "layer1.2"],
    2: ["layer2.0", "layer2.1"],
    3: [f"layer3.{index}" for index in range(6)],
    4: [f"layer4.{index}" for index in range(5)],
}
LITE_LAYERS = {
    0: ["stem"],
    1: ["layer1.0", "layer1.1"],
    2: ["layer1.2", "layer2.0"],
    3: ["layer2.1", "layer3.0"],
    4: ["layer3.1", "layer3.2"],
    5: ["layer3.3"],
    6: ["layer3.4", "layer3.5"],
    7: ["layer4.0", "layer4.1"],
    8: ["layer4.2", "layer4.3"],
    9: ["layer4.4"],
}


@pytest.mark.parametrize(
    "backbone, kind, table",
    [
        ("ffnet_2", "stage", FFNET_STAGES),
        ("ffnet_2", "layer", FFNET_LAYERS),
        ("ffnet_seg", "stage", FFNET_SEG_STAGES),
        ("moganet_xtiny", "stage", MOGANET_STAGES),
        ("moganet_xtiny", "layer", MOGANET_LAYERS),
        ("efficientnet_lite0", "stage", LITE_STAGES),
        ("efficientnet_lite0", "layer", LITE_LAYERS),
    ],
)
def test_every_parameter_counts_to_the_layer_of_the_table(backbone, kind, table):
    net = create_model("upernet", backbone, 5)
    config = LayerDecayConfig(rate=0.8, layers=9, kind=kind)
    found = {}
    for name in net._collect_params_with_prefix():
        factor = layer_factor(name, net.backbone, config)
        if name.startswith("backbone."):
            place = re.match(
                r"stem|norms\.\d|stages\.\d\.(embed|norm|(blocks\.)?\d+)|layer\d\.\d+", name[len("backbone.") :]
            ).group()
            found.setdefault(place, set()).add(factor)
        else:
            assert factor == 1, name
    expected = {place: layer for layer, places in table.items() for place in places}
    assert found == {place: {1 if layer is None else 0.8 ** (10 - layer)} for place, layer in expected.items()}


@pytest.mark.parametrize("family, stem", [("ffnet_2", "stem.0.weight"), ("moganet_xtiny", "stages.0.embed.0.weight")])
def test_the_stem_may_learn_at_the_full_rate(family, stem):
    backbone = create_model("upernet", family, 5).backbone
    assert layer_factor(f"backbone.{stem}", backbone, LayerDecayConfig(rate=0.9, stem=False)) == 1


def test_other_backbones_are_told_to_use_rules():
    """No other family's published recipes have such a decay."""
    ours = [kind for kind in Backbone.__subclasses__() if kind.__module__.startswith("mxnetseg.")]
    assert {kind.__name__ for kind in ours if "layer_of" in vars(kind)} == {
        "EfficientNetLite",
        "FFNet",
        "MogaNet",
    }
    backbone = create_model("fcn", "resnet18").backbone
    config = LayerDecayConfig(rate=0.9)
    assert layer_factor("head.conv1.weight", backbone, config) == 1
    with pytest.raises(
        MXNetSegError, match="knows the layers of EfficientNetLite, FFNet, MogaNet(, Tiny)?, not those of ResNet"
    ):
        layer_factor("backbone.conv1.weight", backbone, config)
