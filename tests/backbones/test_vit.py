"""The vision transformer's attention; SETR on it: tests/models/test_setr.py."""

import mxnet as mx
import numpy as np

from mxnetseg.backbones.vit import SelfAttention


def test_attention_equals_its_definition():
    tokens, channels, heads = 10, 12, 3
    layer = SelfAttention(channels, heads)
    layer.initialize(mx.init.Normal(0.5))
    x = np.random.RandomState(0).standard_normal((2, tokens, channels)).astype("float32")
    weight, bias = layer.qkv.weight.data().asnumpy(), layer.qkv.bias.data().asnumpy()
    q, k, v = ((x @ weight.T + bias).reshape(2, tokens, 3, heads, -1).transpose(2, 0, 3, 1, 4)).astype("float64")
    scores = np.exp(q @ k.transpose(0, 1, 3, 2) / np.sqrt(channels // heads))
    mixed = (scores / scores.sum(-1, keepdims=True) @ v).transpose(0, 2, 1, 3).reshape(2, tokens, channels)
    expected = mixed @ layer.project.weight.data().asnumpy().T + layer.project.bias.data().asnumpy()
    np.testing.assert_allclose(layer(mx.nd.array(x)).asnumpy(), expected, atol=1e-5)
