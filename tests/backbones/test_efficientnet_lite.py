"""EfficientNet-Lite as a backbone; its features: tests/pretrained."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from mxnetseg import create_model, list_models
from mxnetseg.errors import MXNetSegError
from mxnetseg.registry import MODELS
from tests.small import SMALL, batch, build

LITE0 = "efficientnet_lite0"


def backbone(stride):
    """Its weights are the same at every stride."""
    net = create_model("fcn", backbone=LITE0, output_stride=stride).backbone
    net.initialize()
    rng = np.random.RandomState(0)
    for parameter in net.collect_params().values():
        scale = (2 / max(1, np.prod(parameter.shape[1:]))) ** 0.5
        kernel = len(parameter.shape) > 1
        values = rng.standard_normal(parameter.shape) * scale if kernel else rng.uniform(0.5, 1.5, parameter.shape)
        parameter.set_data(mx.nd.array(values))
    return net


def test_dilated_layers_compute_what_lies_between():
    """What a stride of 32 puts out is every second, or fourth, value of 16 and 8."""
    x = batch(64, 96)
    coarse, middle, fine = ([level.asnumpy() for level in backbone(stride)(x)] for stride in (32, 16, 8))
    assert [level.shape[2] for level in coarse] == [16, 8, 4, 2]
    assert [level.shape[2] for level in fine] == [16, 8, 8, 8]
    for inside, outside in (
        (middle[3][:, :, 1::2, 1::2], coarse[3]),
        (fine[2][:, :, 1::2, 1::2], coarse[2]),
        (fine[3][:, :, 3::4, 3::4], coarse[3]),
    ):
        np.testing.assert_allclose(inside, outside, atol=1e-4 * np.abs(outside).max())


def test_it_can_do_without_the_last_blocks():
    whole = backbone(32)
    levels = whole(batch(64, 96))
    net = create_model("fcn", backbone=LITE0, output_stride=32, backbone_options={"c4_blocks": 1}).backbone
    net.initialize()
    theirs, ours = (one._collect_params_with_prefix() for one in (whole, net))
    assert {name for name in theirs if name not in ours} == {name for name in theirs if net.leaves_out(name)}
    for name, parameter in ours.items():
        parameter.set_data(theirs[name].data())
    expected = [*levels[:3], whole.layer4[0](levels[2])]
    for level, same, channels in zip(net(batch(64, 96)), expected, net.channels):
        np.testing.assert_allclose(level.asnumpy(), same.asnumpy(), rtol=1e-5, atol=1e-5 * same.abs().max().asscalar())
        assert level.shape[1] == channels
    for count in (0, 6):
        with pytest.raises(MXNetSegError, match=f"c4_blocks {count}: c4 has 5 blocks"):
            create_model("fcn", backbone=LITE0, backbone_options={"c4_blocks": count})


def test_the_least_size_of_an_image():
    net = build("swiftnet_pr", backbone=LITE0)
    assert net(batch(64, 70)).shape == (1, 5, 64, 70)
    with pytest.raises(
        MXNetSegError, match=r"takes images of 64x64 pixels and more, because of its backbone; got .* 63,"
    ):
        net(batch(63, 70))  # it sees the half as well
    assert build("fcn", backbone=LITE0, output_stride=8)(batch(8, 9)).shape == (1, 5, 8, 9)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in list_models() if not MODELS[name].backbones])
def test_every_model_trains_on_it(name):
    net = build(name, backbone=LITE0, aux=True, **{k: v for k, v in SMALL.get(name, {}).items() if k != "backbone"})
    net.hybridize(static_alloc=True, static_shape=True)
    for size in ((64, 96), (97, 161)):
        with autograd.record():
            loss = sum(out.square().mean() for out in net(batch(*size, n=2)))
        loss.backward()
        assert np.isfinite(loss.asscalar())
    assert net(batch(97, 161)).shape == (1, 5, 97, 161)
