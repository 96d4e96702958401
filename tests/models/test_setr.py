"""SETR on a small ViT: the promises of test_segmentor.py, memory, position embeddings, where levels are taken."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from mxnetseg import create_model
from tests.small import SIZES, batch, check_gradients

NAMES = {"setr_mla": dict(width=16), "setr_naive": {}, "setr_pup": dict(width=16)}
VIT = dict(channels=16, depth=4, heads=4, crop_size=64)


def build(name, aux=True, **options):
    mx.random.seed(0)
    net = create_model(
        name, backbone="vit_base_16", num_classes=5, aux=aux, backbone_options={**VIT, **options}, **NAMES[name]
    )
    net.initialize(mx.init.Xavier())
    return net


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("static", [False, True])
def test_any_size_compiled_or_not_and_exported(name, static, tmp_path):
    net = build(name)
    expected = {size: net(batch(*size)).asnumpy() for size in set(SIZES)}
    net.hybridize(static_alloc=static, static_shape=static)
    net(batch(64, 64))
    net.export(str(tmp_path / "net"))
    loaded = mx.gluon.SymbolBlock.imports(
        str(tmp_path / "net-symbol.json"), ["data"], str(tmp_path / "net-0000.params")
    )
    for size in [*SIZES, (7, 12)]:
        out = net(batch(*size))
        assert out.shape == (1, 5, *size)
        np.testing.assert_allclose(loaded(batch(*size)).asnumpy(), out.asnumpy(), rtol=1e-4, atol=1e-5)
        if size in expected:
            np.testing.assert_allclose(out.asnumpy(), expected[size], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("static", [None, False, True])
@pytest.mark.parametrize("aux", [False, True])
def test_every_parameter_gets_a_gradient(name, static, aux):
    net = build(name, aux)
    if static is not None:
        net.hybridize(static_alloc=static, static_shape=static)
    for size in ((64, 96), (65, 97), (64, 96)):
        with autograd.record():
            outputs = net(batch(*size, n=2))
            outputs = outputs if aux else [outputs]
            loss = sum(out.square().mean() for out in outputs)
        loss.backward()
        assert len(outputs) == 1 + net.num_aux == (1 if not aux else 4 if name == "setr_naive" else 5)
    check_gradients(net)


def test_no_attention_map_holds_more_than_one_head():
    net = build("setr_naive", aux=False, heads=8)
    symbol = net(mx.sym.var("data")).get_internals()
    _, shapes, _ = symbol.infer_shape(data=(2, 3, 128, 128))
    tokens = (128 // 16) ** 2
    largest = [shape for shape in shapes if len(shape) > 1 and shape[-1] == shape[-2] == tokens]
    assert largest and all(np.prod(shape) == 2 * tokens**2 for shape in largest)


def test_position_embeddings_are_resized_only_when_they_must_be():
    net = build("setr_naive", crop_size=64)
    table = net.backbone.pos_embed.data()
    for block in (*net.backbone.blocks, net.backbone.patch_embed):  # leaves the positions alone
        for parameter in block.collect_params().values():
            parameter.set_data(parameter.data() * 0)
    net.backbone.norms._children.clear()
    same = net.backbone(batch(64, 64))[3].asnumpy()
    np.testing.assert_array_equal(same.reshape(16, 16).T, table.asnumpy()[0])
    position = table.transpose((0, 2, 1)).reshape((1, 16, 4, 4))
    other = net.backbone(batch(96, 130))[3]
    expected = mx.nd.contrib.BilinearResize2D(position, height=6, width=9, align_corners=False)
    np.testing.assert_allclose(other.asnumpy(), expected.asnumpy(), atol=1e-6)


@pytest.mark.parametrize(
    "name, backbone, blocks",
    [
        ("setr_pup", "vit_large_16", [10, 15, 20, 24]),
        ("setr_naive", "vit_large_16", [10, 15, 20, 24]),
        ("setr_mla", "vit_large_16", [6, 12, 18, 24]),
        ("setr_mla", "vit_base_16", [3, 6, 9, 12]),
    ],
)
def test_levels_come_from_the_published_depths(name, backbone, blocks):
    net = create_model(name, backbone=backbone, aux=True)
    assert net.backbone._taps == blocks
    assert net.backbone.pos_embed.shape == (1, 30 * 30, net.backbone.channels[0])
