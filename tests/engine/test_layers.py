"""Learning rates that fall towards the input: the originals' rules, on the originals' names, give the same factors."""

import re

import numpy as np
import pytest

from mxnetseg import create_model
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


def test_the_published_factors_of_ffnet():
    net = create_model("upernet", "ffnet_4", 5)
    config = LayerDecayConfig(rate=0.9, layers=12, stem=False)
    factors = {name: layer_factor(name, net.backbone, config) for name in net._collect_params_with_prefix()}
    by_stage = [
        sorted({round(f, 3) for n, f in factors.items() if n.startswith(f"backbone.stages.{i}.")}) for i in range(4)
    ]
    assert by_stage[0] == [0.282] and by_stage[1] == [0.314] and by_stage[3] == [0.9]
    assert by_stage[2][0] == 0.349 and by_stage[2][-1] == 0.9 and len(by_stage[2]) == 10
    assert {f for n, f in factors.items() if not n.startswith("backbone.stages")} == {1.0}


@pytest.mark.parametrize("backbone", ["ffnet_2", "ffnet_seg", "moganet_xtiny"])
@pytest.mark.parametrize("kind", ["layer", "stage"])
def test_rates_never_fall_towards_the_head(backbone, kind):
    """Every stem, embedding and block is met, the stem learns slowest, heads at the full rate."""
    net = create_model("upernet", backbone, 5)
    config = LayerDecayConfig(rate=0.8, layers=9 if kind == "layer" else 6, kind=kind)
    factors = {name: layer_factor(name, net.backbone, config) for name in net._collect_params_with_prefix()}
    lowest = 0.8 ** (config.layers + 1)
    stem = "backbone.stem." if backbone.startswith("ffnet") else "backbone.stages.0.embed."
    assert {f for n, f in factors.items() if n.startswith(stem)} == {lowest}
    blocks = [
        [f for n, f in factors.items() if re.match(rf"backbone\.stages\.{i}\.(?!embed|norm|0\.\d)", n)]
        for i in range(4)
    ]
    for earlier, later in zip(blocks, blocks[1:]):
        assert lowest < min(earlier) and max(earlier) <= min(later) < 1
    assert {f for n, f in factors.items() if n.startswith(("head", "aux", "backbone.norms"))} == {1.0}
    if kind == "stage":
        assert [set(b) for b in blocks] == [{0.8 ** (6 - stage)} for stage in range(4)]


def test_other_backbones_are_told_to_use_rules():
    backbone = create_model("fcn", "resnet18").backbone
    config = LayerDecayConfig(rate=0.9)
    assert layer_factor("head.conv1.weight", backbone, config) == 1
    with pytest.raises(MXNetSegError, match="knows the layers of FFNet and MogaNet, not those of ResNet; write"):
        layer_factor("backbone.conv1.weight", backbone, config)
