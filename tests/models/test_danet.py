"""DANet's attention in parts is the attention over all pixels, and holds less at a time."""

import re

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from mxnetseg import create_model
from mxnetseg.models.danet import PositionAttention


def attention(chunks):
    block = PositionAttention(16, chunks)
    mx.random.seed(0)
    block.initialize(mx.init.Xavier(magnitude=30))
    block.gate.set_data(mx.nd.ones(1))
    return block


def whole(block, x):
    """The formula of the paper, in NumPy."""
    query, key, value = (
        conv(x).reshape((0, 0, -1)).asnumpy().astype("float64") for conv in (block.query, block.key, block.value)
    )
    energy = np.einsum("ncq,nck->nqk", query, key)
    weights = np.exp(energy - energy.max(axis=2, keepdims=True))
    weights /= weights.sum(axis=2, keepdims=True)
    return np.einsum("nck,nqk->ncq", value, weights).reshape(x.shape) + x.asnumpy()


@pytest.mark.parametrize("hybridized", [False, True])
@pytest.mark.parametrize("chunks", [1, 2, 16])
def test_attention_in_parts_is_the_whole(chunks, hybridized):
    rng = np.random.RandomState(0)
    block, reference = attention(chunks), attention(1)
    if hybridized:
        block.hybridize(static_alloc=True, static_shape=True)
    for height, width in ((8, 12), (1, 1), (3, 5), (4, 4), (9, 7)):
        x = mx.nd.array(rng.standard_normal((2, 16, height, width)))
        weight = mx.nd.array(rng.standard_normal(x.shape))
        np.testing.assert_allclose(block(x).asnumpy(), whole(block, x), rtol=1e-4, atol=1e-4)
        gradients = []
        for net in (block, reference):
            x.attach_grad()
            with autograd.record():
                loss = (net(x) * weight).sum()
            loss.backward()
            gradients.append([x.grad.asnumpy(), *(p.grad().asnumpy() for p in net.collect_params().values())])
        for ours, expected in zip(*gradients):
            np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-3)


def test_no_map_of_all_pixels_by_all_pixels():
    """What MXNet sets aside for inference, with one part and with sixteen; the map of 64 x 64 pixels takes 64 MB."""
    planned = []
    for chunks in (1, 16):
        symbol = attention(chunks)(mx.sym.var("data"))
        executor = symbol.simple_bind(mx.cpu(), grad_req="null", data=(1, 16, 64, 64))
        planned.append(int(re.search(r"Total (\d+) MB allocated", executor.debug_str()).group(1)))
    assert planned[0] >= 64 and planned[1] <= 12


@pytest.mark.parametrize("stride", [8, 16])
def test_chunks_do_not_change_the_logits(stride):
    x = mx.nd.array(np.random.RandomState(0).standard_normal((1, 3, 97, 161)))
    outputs = []
    for chunks in (1, 16):
        mx.random.seed(0)
        net = create_model(
            "danet", backbone="mobilenet_v2_0_25", num_classes=5, output_stride=stride, aux=True, chunks=chunks
        )
        net.initialize(mx.init.Xavier())
        net.neck.position[1].gate.set_data(mx.nd.ones(1))
        outputs.append([out.asnumpy() for out in net.head_logits(x)])
    for ours, expected in zip(*outputs):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)
