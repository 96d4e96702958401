"""MogaNet, FFNet and DGMN2 as networks of this zoo: sizes, gradients, initial weights, dropping, folding."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, nd

import mxnetseg
from mxnetseg import create_model
from mxnetseg.engine import checkpoint
from mxnetseg.engine.record import NetworkSpec, Record
from mxnetseg.errors import MXNetSegError
from tests.goldens import families
from tests.small import batch, check_gradients

SIZES = [(64, 64), (65, 129), (97, 161), (33, 40)]
SMALL = {
    "semantic_fpn": dict(channels=16, width=16),
    "upernet": dict(channels=16),
    "ffnet": dict(width=16, depth=2, ratio=1),
    "setr_naive": {},
    "setr_pup": dict(width=16),
    "setr_mla": dict(width=16),
}
PAIRS = [
    ("semantic_fpn", "moganet_xtiny"),
    ("upernet", "moganet_xtiny"),
    ("upernet", "ffnet_2"),
    ("ffnet", "ffnet_seg"),
    ("semantic_fpn", "dgmn2_tiny"),
    ("setr_naive", "dgmn2_tiny"),
    ("setr_pup", "dgmn2_tiny"),
    ("setr_mla", "dgmn2_tiny"),
    ("semantic_fpn", "resnet18"),
    ("upernet", "resnet18"),
]


def build(name, backbone, **kwargs):
    np.random.seed(0)
    mx.random.seed(0)
    net = create_model(name, backbone=backbone, num_classes=5, **{**SMALL[name], **kwargs})
    net.initialize(mx.init.Xavier())
    return net


@pytest.mark.parametrize(
    "name, backbone",
    [
        pytest.param(*pair, marks=pytest.mark.slow if pair[0] in ("setr_naive", "setr_pup", "ffnet") else [])
        for pair in PAIRS
    ],
)
def test_any_size_changing_from_call_to_call(name, backbone):
    net = build(name, backbone)
    expected = {size: net(batch(*size)).asnumpy() for size in SIZES}
    net.hybridize(static_alloc=True, static_shape=True)
    for size in (*SIZES, SIZES[0]):
        out = net(batch(*size)).asnumpy()
        assert out.shape == (1, 5, *size)
        np.testing.assert_allclose(out, expected[size], rtol=1e-3, atol=1e-4 * np.abs(expected[size]).max())


@pytest.mark.parametrize("name, backbone", PAIRS)
def test_every_parameter_gets_a_gradient(name, backbone):
    # a dropped path, or a scale that starts near 0, would hide what lies behind it
    options = {} if backbone.startswith("resnet") else dict(drop_path_rate=0.0)
    if backbone.startswith(("moganet", "ffnet_seg")):
        options["init_value"] = 0.5
    net = build(name, backbone, backbone_options=options, **({"drop_path_rate": 0.0} if name == "ffnet" else {}))
    net.hybridize(static_alloc=True, static_shape=True)
    with autograd.record():
        outputs = net(batch(64, 96, n=2))
        outputs = outputs if isinstance(outputs, (list, tuple)) else (outputs,)
        loss = sum((out - nd.arange(5).reshape((1, 5, 1, 1))).square().mean() for out in outputs)
    loss.backward()
    check_gradients(net)


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["moganet_tiny", "ffnet_3", "ffnet_4", "dgmn2_small", "resnet50"])
@pytest.mark.parametrize("name", ["fcn", "bisenet", "upernet"])
def test_backbones_and_decoders_compose(name, backbone):
    net = create_model(name, backbone=backbone, num_classes=5)
    assert all(0 not in p.shape for p in net.collect_params().values())
    assert create_model(**net.spec).spec == net.spec


def test_output_strides():
    net = create_model("setr_naive", backbone="dgmn2_tiny")
    assert net.spec["output_stride"] == 8
    net.initialize()
    assert [f.shape[2] for f in net.backbone(batch(96, 96))] == [24, 12, 12, 12]
    assert create_model("fcn", backbone="moganet_xtiny").spec["output_stride"] == 32
    with pytest.raises(MXNetSegError, match="output stride 8 is not possible with moganet_xtiny; it is always 32"):
        create_model("fcn", backbone="moganet_xtiny", output_stride=8)
    with pytest.raises(MXNetSegError, match="backbone moganet_xtiny has no option .drop.; did you mean drop_path_rate"):
        create_model("fcn", backbone="moganet_xtiny", backbone_options={"drop": 1})


def test_published_defaults():
    assert create_model("upernet", backbone="moganet_xtiny").spec["num_classes"] == 150
    assert create_model("upernet", backbone="moganet_xtiny").num_aux == 1
    assert create_model("semantic_fpn", backbone="dgmn2_tiny").spec["num_classes"] == 19
    assert create_model("semantic_fpn", backbone="dgmn2_tiny").num_aux == 0


# --- initial weights -------------------------------------------------------------------------------------------------


def spread(parameter):
    values = parameter.data().asnumpy()
    return values.std(), np.abs(values).max()


def test_initial_weights_are_the_originals():
    net = build("upernet", "moganet_small", channels=64)
    ours = net._collect_params_with_prefix()
    # PyTorch's own: uniform within 1 / sqrt(fan in), biases alike
    std, most = spread(ours["backbone.stages.2.blocks.0.attn.gate.weight"])
    assert most <= 320**-0.5 and std == pytest.approx((3 * 320) ** -0.5, rel=0.02)
    _, most = spread(ours["backbone.stages.2.blocks.0.mlp.depthwise.bias"])
    assert 0.9 / 3 < most <= 1 / 3
    for name in ("layer_scale_1", "layer_scale_2", "attn.sigma", "mlp.sigma"):
        np.testing.assert_allclose(ours[f"backbone.stages.0.blocks.0.{name}"].data().asnumpy(), 1e-5)
    # mmcv's: Kaiming normal over the fan out; classifiers normal(0.01) without bias
    std, _ = spread(ours["head.fuse.conv.weight"])
    assert std == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.02)
    std, _ = spread(ours["aux_heads.0.conv2.weight"])
    assert std == pytest.approx(0.01, rel=0.1) and not ours["aux_heads.0.conv2.bias"].data().asnumpy().any()
    pyramid = build("semantic_fpn", "resnet18", channels=64)._collect_params_with_prefix()
    std, most = spread(pyramid["head.neck.smooth.0.weight"])
    bound = (6 / (2 * 64 * 9)) ** 0.5
    assert most <= bound and std == pytest.approx(bound / 3**0.5, rel=0.02)
    assert not pyramid["head.neck.smooth.0.bias"].data().asnumpy().any()


def test_initial_weights_of_transformers():
    ours = build("setr_naive", "dgmn2_tiny")._collect_params_with_prefix()
    std, most = spread(ours["backbone.stages.3.0.attn.qkv.weight"])
    assert std == pytest.approx(0.02, rel=0.02) and most < 0.12
    assert not ours["backbone.stages.3.0.attn.qkv.bias"].data().asnumpy().any()
    std, _ = spread(ours["backbone.stages.0.0.attn.position.rel_height"])
    assert std == pytest.approx(64**-0.5, rel=0.05)
    ffnet = create_model("upernet", backbone="ffnet_3")
    ffnet.initialize()
    scale = ffnet._collect_params_with_prefix()["backbone.stages.0.0.layer_scale"].data().asnumpy()
    np.testing.assert_array_equal(scale, np.ones((96, 1, 1)))


# --- dropping --------------------------------------------------------------------------------------------------------


def test_drop_path_rates_grow_evenly_over_the_blocks():
    net = create_model("semantic_fpn", backbone="moganet_xtiny", backbone_options={"drop_path_rate": 0.34})
    rates = [b.drop_path._rate for s in net.backbone.stages for b in s.blocks]
    np.testing.assert_allclose(rates, np.linspace(0, 0.34, 18), atol=1e-12)
    net = create_model("ffnet", backbone_options={"drop_path_rate": 0.3}, drop_path_rate=0.1)
    rates = [b.drop_path._rate for s in net.backbone.stages for b in s if hasattr(b, "drop_path")]
    np.testing.assert_allclose(rates[::2], np.linspace(0, 0.3, 30), atol=1e-12)
    np.testing.assert_allclose([b.drop_path._rate for b in net.head.blocks][::2], [0, 0.05, 0.1], atol=1e-12)


@pytest.mark.parametrize("name, backbone", PAIRS[:5])
def test_dropping_acts_in_training_only(name, backbone):
    options = dict(drop_path_rate=0.5, **({"init_value": 1.0} if backbone.startswith("moganet") else {}))
    net = build(name, backbone, backbone_options=options)
    x = batch(64, 64)
    np.testing.assert_array_equal(net(x).asnumpy(), net(x).asnumpy())

    def trained():
        with autograd.record():
            outputs = net(x)
        return (outputs[0] if isinstance(outputs, (list, tuple)) else outputs).asnumpy()

    assert np.abs(trained() - trained()).max() > 1e-3


# --- folding ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow  # test_folding_follows_trained_statistics folds a network by default
@pytest.mark.parametrize("name", ["ffnet_upernet_2", "ffnet_seg_ade20k"])
def test_folded_branches_answer_the_same(name, tmp_path):
    from mxnetseg.convert import load_state
    from tests.goldens.deterministic import image

    meta, data = families.read(name)
    model, backbone = families.model_of(name)
    net = create_model(model, backbone=backbone)
    net.initialize()
    load_state(net, families.state_of(meta), source="mmseg")
    net.hybridize()
    x = nd.array(image(meta["input_seed"], meta["input_shape"]))
    expected = net(x).asnumpy()
    before = sum(np.prod(p.shape) for p in net.collect_params().values() if p.grad_req != "null")
    assert net.reparameterize() is net
    folded = net(x).asnumpy()
    assert np.abs(folded - expected).max() <= 1e-4 * np.abs(expected).max()
    # what the originals' own fuse() leaves, in millions
    after = sum(np.prod(p.shape) for p in net.collect_params().values() if p.grad_req != "null")
    assert before == meta["params"]["params_total"]
    assert round(after / 1e6, 2) == {"ffnet_upernet_2": 58.10, "ffnet_seg_ade20k": 67.23}[name]
    assert net.reparameterize().spec["reparameterized"]  # once more changes nothing

    checkpoint.write(tmp_path / "folded.params", checkpoint.weights(net), Record(model=NetworkSpec(**net.spec)))
    again = mxnetseg.load(str(tmp_path / "folded.params"))
    np.testing.assert_allclose(again(x).asnumpy(), folded, rtol=1e-4, atol=1e-5 * np.abs(folded).max())
    with pytest.raises(MXNetSegError, match="load the checkpoint first, then call reparameterize"):
        load_state(net, families.state_of(meta), source="mmseg")


def test_folding_follows_trained_statistics():
    """The running statistics that training has left go into the convolutions."""
    net = build("ffnet", "ffnet_seg", backbone_options={"init_value": 0.5})
    for step in range(2):
        with autograd.record():
            loss = net(batch(64, 64, n=2) * (step + 2) + 1).square().mean()
        loss.backward()
    x = batch(64, 96)
    expected = net(x).asnumpy()
    net.reparameterize()
    np.testing.assert_allclose(net(x).asnumpy(), expected, atol=1e-4 * np.abs(expected).max())
    with autograd.record():
        loss = net(x).square().mean()
    loss.backward()  # what is folded can still be trained


def test_group_norm_cant_be_folded():
    with pytest.raises(MXNetSegError, match="only batch normalisation can be folded"):
        build("upernet", "ffnet_2", norm="gn").reparameterize()


def test_nothing_to_fold_changes_nothing():
    net = build("upernet", "resnet18")
    x = batch(64, 64)
    expected = net(x).asnumpy()
    np.testing.assert_array_equal(net.reparameterize()(x).asnumpy(), expected)
