"""Self-attention: what MXNet's operators give, forward and backward, without the maps."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, nd

from mxnetseg import create_model, ops
from mxnetseg.nn import forward_only, self_attention

from .helpers import assert_close, run_forward_backward


def plain(F, qkv, *, heads):
    """One head after the other, as the formula says."""
    length, width = qkv.shape[1], qkv.shape[2] // 3
    results = []
    for head in range(heads):
        q, k, v = (
            F.slice_axis(
                qkv, axis=2, begin=i * width + head * width // heads, end=i * width + (head + 1) * width // heads
            )
            for i in range(3)
        )
        weights = F.softmax(F.batch_dot(q, k, transpose_b=True) * (width // heads) ** -0.5)
        assert weights.shape[1:] == (length, length)
        results.append(F.batch_dot(weights, v))
    return F.concat(*results, dim=2)


# lengths around a band of queries and a vector; widths of a head that are no whole vectors
@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-10), ("float32", 2e-5)])
@pytest.mark.parametrize(
    "shape, heads",
    [((1, 1, 4), 2), ((2, 5, 12), 3), ((2, 33, 32), 1), ((1, 100, 48), 2), ((3, 64, 130), 2), ((1, 70, 192), 3)],
)
def test_it_is_softmax_attention(operators, shape, heads, dtype, tolerance):
    rng = np.random.RandomState(0)
    qkv, grad = rng.standard_normal((*shape[:2], 3 * shape[2])) * 2, rng.standard_normal(shape)
    got, wanted = (
        run_forward_backward(lambda a, f=function: f(nd, a, heads=heads), [qkv], grad, dtype)
        for function in (ops.self_attention, plain)
    )
    assert_close(got, wanted, tolerance)


def test_large_scores_and_numbers_that_are_none(operators):
    qkv = np.random.RandomState(0).standard_normal((1, 40, 24)) * 300
    got, wanted = (
        run_forward_backward(lambda a, f=function: f(nd, a, heads=1), [qkv], np.ones((1, 40, 8)), "float64")
        for function in (ops.self_attention, plain)
    )
    assert_close(got, wanted, 1e-10)
    qkv[0, 3, 9] = np.nan  # of a key: every query sees it
    assert np.isnan(ops.self_attention(nd, nd.array(qkv), heads=1).asnumpy()).all()


def test_gradients_add_up(operators):
    qkv = nd.random.normal(shape=(2, 9, 12))
    gradients = []
    for function in (ops.self_attention, plain):
        qkv.attach_grad("add")
        for _ in range(2):
            with autograd.record():
                y = function(nd, qkv, heads=2) * nd.slice_axis(qkv, axis=2, begin=0, end=4)
            y.backward()
        gradients.append(qkv.grad.asnumpy())
    assert_close(gradients[:1], gradients[1:], 1e-4)


def test_shapes_that_do_not_fit(operators):
    with pytest.raises(mx.MXNetError, match=r"the last axis of qkv \(2, 4, 20\) must be a multiple of 3 x 2 heads"):
        ops.self_attention(nd, nd.ones((2, 4, 20)), heads=2).asnumpy()
    with pytest.raises(mx.MXNetError, match="qkv must have 3 axes"):
        ops.self_attention(nd, nd.ones((4, 12)), heads=2).asnumpy()
    with pytest.raises(mx.MXNetError, match="heads=0 must be a whole number, 1 or more"):
        nd.mxnetseg_self_attention(nd.ones((1, 4, 12)), heads=0).asnumpy()


def test_where_a_network_has_it(operators):
    """In graphs that learn, and nowhere else; both forms give the same."""
    qkv = nd.random.normal(shape=(2, 50, 96))

    def graph():
        return self_attention(mx.sym, mx.sym.var("qkv"), channels=32, heads=2).tojson()

    assert "mxnetseg_self_attention" in graph()
    with forward_only():
        assert "mxnetseg_self_attention" not in graph()
    with autograd.record():
        learns = self_attention(nd, qkv, channels=32, heads=2)
    rests = self_attention(nd, qkv, channels=32, heads=2)
    np.testing.assert_allclose(learns.asnumpy(), rests.asnumpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(rests.asnumpy(), plain(nd, qkv, heads=2).asnumpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_vit_trains_as_with_mxnets_operators(operators):
    net = create_model("setr_naive", backbone="vit_base_16", num_classes=5, aux=False)
    net.initialize()
    x = nd.random.normal(shape=(1, 3, 64, 80))
    gradients = []
    for plainly in (False, True):
        with forward_only(plainly):
            with autograd.record(train_mode=False):
                loss = net(x).square().mean()
            loss.backward()
        gradients.append(
            {key: p.grad().asnumpy() for key, p in net._collect_params_with_prefix().items() if p.grad_req != "null"}
        )
    for key, value in gradients[0].items():
        other = gradients[1][key]
        assert np.linalg.norm(value - other) <= 1e-4 * np.linalg.norm(other) + 1e-8, key
