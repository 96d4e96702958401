"""The optimized network equals the plain one, at any size, from any thread; the plain one stays as it is."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd
from mxnet.gluon.nn import Conv2D

import mxnetseg
from mxnetseg import create_model, list_models
from mxnetseg.deploy import optimize, winograd
from mxnetseg.errors import MXNetSegError
from mxnetseg.export import to_mxnet, to_onnx
from mxnetseg.network import GluonNetwork, Network, as_network

from ..threads import together
from .networks import SIZES, block, build, images, operators, relative_error

TOLERANCE = 1e-4  # float32


@pytest.mark.parametrize(
    "name, options",
    [
        ("bisenet", {}),
        ("ffnet", {}),  # branches that fold
        (None, dict(stride=2)),  # a norm that can't be folded into a convolution others use
        pytest.param("semantic_fpn", dict(backbone="moganet_xtiny"), marks=pytest.mark.slow),  # many of them
    ],
)
def test_float32_equals_the_plain_network_at_sizes_that_change(name, options):
    net = build(name, **options) if name else block(**options)
    fast = optimize(net)
    for size in [*SIZES, (16, 18), (4, 2), *SIZES]:
        x = images(*size)
        if name:
            assert relative_error(fast(x), net(x)) < TOLERANCE, size
        assert relative_error(fast.coarse_logits(x), net.coarse_logits(x)) < TOLERANCE, size


def test_class_maps_and_coarse_logits(monkeypatch):
    net = build("bisenet")
    fast = optimize(net)
    monkeypatch.setattr(winograd, "PAYS", 0)
    direct = optimize(net)
    for size in SIZES:
        x = images(*size, n=2)
        np.testing.assert_array_equal(direct.class_map(x).asnumpy(), net.class_map(x).asnumpy())
        classes, logits = fast.class_map(x).asnumpy().astype("int64"), net(x).asnumpy()
        chosen = np.take_along_axis(logits, classes[:, None], axis=1)[:, 0]  # the greatest, but for rounding
        assert (logits.max(axis=1) - chosen).max() <= TOLERANCE * np.abs(logits).max()
        assert (classes == net.class_map(x).asnumpy()).mean() > 0.999
        assert fast.coarse_logits(x).shape == net.coarse_logits(x).shape != net(x).shape
        assert relative_error(fast.coarse_logits(x), net.coarse_logits(x)) < TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("name", list_models())
def test_float32_on_every_model(name):
    net = build(name)
    fast = optimize(net)
    for size in [*SIZES, (33, 40), (2, 3), (224, 320), (64, 64)]:
        x = images(*size)
        assert relative_error(fast(x), net(x)) < TOLERANCE, size


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, backbone",
    [
        ("fcn", name)
        for name in mxnetseg.list_backbones()
        if name.endswith(("14", "18", "50", "121", "39", "light", "lite0"))
    ]
    + [("setr_mla", "vit_base_16"), ("ffnet", "ffnet_seg"), ("semantic_fpn", "dgmn2_tiny")],
)
def test_float32_on_every_family_of_backbones(name, backbone):
    net = build(name, backbone=backbone)
    fast = optimize(net)
    for size in SIZES:
        x = images(*size)
        assert relative_error(fast(x), net(x)) < 3 * TOLERANCE, size  # rounding grows with the depth of random weights


@pytest.mark.parametrize("norm", ["bn", "syncbn", "gn"])
def test_norms_are_folded_where_that_is_possible(norm):
    net = build("fcn", norm=norm)
    fast = optimize(net)
    x = images(64, 64)
    assert relative_error(fast(x), net(x)) < TOLERANCE
    left = operators(fast.symbol)
    assert "BatchNorm" not in left and "_contrib_SyncBatchNorm" not in left
    assert ("Convolution" not in left) and "_sg_mkldnn_conv" in left
    # else all is fused into the convolutions, residual sums and ReLUs, too
    assert ("mxnetseg_pointwise" in left) == (norm == "gn") and "Activation" not in left
    assert not any(name.endswith("running_mean") for name in fast.arrays)


def test_branches_become_one_convolution_and_the_network_stays_as_it_is():
    net = build.__wrapped__("ffnet", aux=True)
    x = images(64, 64)
    before, names = net(x).asnumpy(), list(net.collect_params())
    fast = optimize(net)
    np.testing.assert_array_equal(net(x).asnumpy(), before)
    assert list(net.collect_params()) == names and "reparameterized" not in net.spec
    folded = build.__wrapped__("ffnet", aux=True).reparameterize()
    count = operators(optimize(folded).symbol).count
    assert operators(fast.symbol).count("_sg_mkldnn_conv") == count("_sg_mkldnn_conv")
    with autograd.record():  # the network still trains
        loss = net(x)[0].sum()
    loss.backward()


def test_later_training_does_not_change_it():
    net = build.__wrapped__("fcn")
    x = images(64, 64)
    fast = optimize(net)
    before = fast(x).asnumpy()
    for parameter in net.collect_params().values():
        parameter.set_data(parameter.data() * 2)
    np.testing.assert_array_equal(fast(x).asnumpy(), before)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_threads_with_sizes_of_their_own_that_are_the_first_to_call_it_all_at_once(dtype):
    net = build("setr_naive", backbone="dgmn2_tiny")  # an operator of our own
    fast, alone = optimize(net, dtype), optimize(net, dtype)
    inputs = [images(*size, seed=i) for i, size in enumerate([(64, 64), (48, 80), (40, 33), (32, 32)])]
    calls = [(use, x) for use in ("__call__", "class_map", "coarse_logits") for x in inputs]
    results = together([lambda use=use, x=x: getattr(fast, use)(x).asnumpy() for use, x in calls])
    for (use, x), result in zip(calls, results):
        np.testing.assert_array_equal(result, getattr(alone, use)(x).asnumpy())


@pytest.mark.slow
def test_optimizing_in_several_threads_at_once():
    net = build("ffnet")  # branches that fold
    x = images(64, 64)
    expected = optimize(net)(x).asnumpy()
    for result in together([lambda: optimize(net)(x).asnumpy(), lambda: net(x).asnumpy()] * 3)[::2]:
        np.testing.assert_array_equal(result, expected)


def test_inside_record_it_infers_and_records_nothing():
    net = build("fcn")
    fast = optimize(net)
    x = images(64, 64)
    expected = fast(x).asnumpy()
    x.attach_grad()
    with autograd.record():
        out = fast(x)
        assert autograd.is_recording() and autograd.is_training()
    np.testing.assert_array_equal(out.asnumpy(), expected)
    with pytest.raises(mx.MXNetError):
        out.backward()


def test_two_cpu_contexts():
    net = build.__wrapped__("fcn")
    net.collect_params().reset_ctx([mx.cpu(0), mx.cpu(1)])
    fast = optimize(net)
    x = images(64, 64)
    for context in (mx.cpu(0), mx.cpu(1)):
        out = fast(x.as_in_context(context))
        assert out.context == context and relative_error(out, net(x.as_in_context(mx.cpu(0)))) < TOLERANCE
    with pytest.raises(MXNetSegError, match=r"optimized for cpu\(0\), cpu\(1\), the images are on cpu\(2\)"):
        fast(x.as_in_context(mx.cpu(2)))


def test_mistakes():
    net = build("fcn")
    with pytest.raises(MXNetSegError, match="dtype='fp16': must be one of float32, bfloat16, int8"):
        optimize(net, "fp16")
    with pytest.raises(MXNetSegError, match=r"size=\(0, 512\): must be the height and width"):
        optimize(net, size=(0, 512))
    with pytest.raises(MXNetSegError, match="has no values yet; initialize the network"):
        optimize(create_model("fcn", backbone="mobilenet_v2_0_25"))
    with pytest.raises(MXNetSegError, match=r"\(N, 3, H, W\)"):
        optimize(net)(mx.nd.zeros((3, 64, 64)))
    with pytest.raises(MXNetSegError, match=r"DeployedNetwork\(fcn on resnet18, float32\) can't be traced"):
        optimize(optimize(net))
    with pytest.raises(MXNetSegError, match="has no parameters to optimize: it is a function"):
        optimize(net.coarse_logits)
    with pytest.raises(MXNetSegError, match="this is a str"):
        optimize("fcn")


def test_images_that_a_kernel_does_not_fit_into_are_told():
    net = Conv2D(4, 7, in_channels=3)
    net.initialize()
    fast = optimize(net)
    with pytest.raises(MXNetSegError, match=r"can't take images \(1, 3, 5, 5\), which may be too small \(pad or enl"):
        fast.coarse_logits(images(5, 5))
    assert fast.coarse_logits(images(8, 9)).shape == (1, 4, 2, 3)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
@pytest.mark.parametrize("use", [optimize, lambda net: to_onnx(net, "net.onnx"), lambda net: to_mxnet(net, "net")])
def test_weights_that_are_not_finite_are_named(number, use, tmp_path):
    pytest.importorskip("onnxruntime")
    net = block()
    values = net.block.last.weight.data()
    values[0, 1] = number
    with pytest.raises(MXNetSegError, match="1 of the 40 numbers in block.*weight are NaN or infinite; take a checkp"):
        use(net)
    assert not list(tmp_path.iterdir())


def test_weights_without_a_shape_are_named():
    net = mx.gluon.nn.Conv2D(4, 3, padding=1)
    net.initialize()
    with pytest.raises(MXNetSegError, match="conv.*weight gets its shape from the first image; call the network once"):
        optimize(net)


@pytest.mark.parametrize("kind", ["max", "avg", "sum", "lp"])
def test_every_kind_of_pooling_in_every_type(kind):
    net = mx.gluon.nn.HybridSequential()
    net.add(mx.gluon.nn.Conv2D(4, 3, padding=1, in_channels=3), Pooled(kind))
    net.initialize(mx.init.Xavier())
    x = images(32, 48)
    for dtype, most in (("float32", TOLERANCE), ("bfloat16", 0.02), ("int8", 0.05)):
        assert relative_error(optimize(net, dtype, [x] if dtype == "int8" else None)(x), net(x)) < most


class Pooled(mx.gluon.HybridBlock):
    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def hybrid_forward(self, F, x):
        return F.Pooling(F.relu(x), kernel=(3, 3), pad=(1, 1), pool_type=self.kind, p_value=2)


def test_it_has_what_the_network_has_it_was_made_of():
    net = build.__wrapped__("fcn")
    net.record = object()
    fast = optimize(net)
    assert isinstance(fast, Network) and not isinstance(fast, GluonNetwork)
    assert (fast.spec, fast.record, fast.align_corners, fast.contexts) == (net.spec, net.record, True, [mx.cpu()])


def test_a_foreign_block():
    block = mx.gluon.nn.HybridSequential()
    block.add(mx.gluon.nn.Conv2D(4, 3, padding=1, in_channels=3), mx.gluon.nn.BatchNorm(in_channels=4))
    block.initialize()
    fast = optimize(block)
    assert (fast.spec, fast.record, fast.align_corners, fast.contexts) == ({}, None, False, [mx.cpu()])
    x = images(33, 40)
    assert relative_error(fast(x), block(x)) < TOLERANCE
    np.testing.assert_array_equal(fast.class_map(x).asnumpy(), as_network(block).class_map(x).asnumpy())
