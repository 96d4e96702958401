"""Whatever the number of threads, of callers and of contexts: every operator gives the same bits."""

from concurrent.futures import ThreadPoolExecutor

import mxnet as mx
import numpy as np
from mxnet import nd

from mxnetseg import ops
from mxnetseg.ops.blend import add_view, resize_axis
from mxnetseg.ops.winograd import winograd_conv

from .helpers import finish, run, run_forward_backward


def results(context=None):
    """What all operators give, forward and backward, of sizes that every thread gets a part of."""
    rng = np.random.RandomState(0)

    def numbers(*shapes):
        return [rng.standard_normal(shape) for shape in shapes]

    def forward(function, *inputs):
        return [function(nd, *(nd.array(value, ctx=context) for value in inputs)).asnumpy()]

    def both(function, grad, *inputs):
        return run_forward_backward(lambda *arrays: function(nd, *arrays), inputs, grad, "float32", context)

    shape, (x, offset, grad) = (2, 24, 9), numbers((2, 9, 30, 17), (2, 18, 30, 17), (2, 81, 510))
    yield both(ops.deform_unfold, grad, x, offset)
    maps = numbers(*((*shape, channels) for channels in (80, 80, 80, 80, 36, 18)))
    yield both(lambda F, *a: ops.deform_attention(F, *a, heads=2, scale=0.2), *maps)
    logits, grad = numbers((2, 30, 40, 50), 2)
    labels = rng.randint(0, 35, (2, 121, 90))
    yield forward(lambda F, a: ops.upsample_argmax(F, a, height=301, width=203, align_corners=True), logits)
    yield both(
        lambda F, *a: ops.upsample_cross_entropy(F, *a, align_corners=True), grad, logits, labels, np.arange(256) % 3
    )
    taps, base = numbers((1, 27, 30, 20), (1, 3, 131, 77))
    yield forward(lambda F, *a: ops.upsample_taps(F, *a, kernel=3, align_corners=False), taps, base)
    x, weight, bias = numbers((2, 300, 33, 21), (3, 300, 9, 16), 41)
    yield forward(lambda F, *a: winograd_conv(F, *a, dilation=2), x, weight, bias)
    x, weight, bias, grad = numbers((2, 24, 33, 40), (24, 1, 5, 5), 24, (2, 24, 17, 20))
    sides = {"channels": 24, "kernel": (5, 5), "stride": (2, 2), "pad": (2, 2)}
    yield both(lambda F, *a: ops.depthwise(F, *a, **sides), grad, x, weight, bias)
    x, gamma, beta, grad = numbers((2, 300, 40), 40, 40, (2, 300, 40))
    yield both(lambda F, *a: ops.layer_norm(F, *a, epsilon=1e-6), grad, x, gamma, beta)
    qkv, grad = numbers((2, 150, 120), (2, 150, 40))
    yield both(lambda F, a: ops.self_attention(F, a, heads=2), grad, qkv)
    x, scale, grad = numbers((2, 24, 17, 20), (1, 24, 1, 1), (2, 24, 17, 20))
    yield both(ops.channel_scale, grad, x, scale)
    x, like, grad = numbers((2, 7, 17, 20), (1, 1, 34, 29), (2, 7, 34, 29))
    yield both(lambda F, *a: ops.resize(F, *a, align_corners=False), grad, x, like)
    total = np.zeros((11, 200, 1100), np.float32)
    rows, columns = resize_axis(300, 200, False), resize_axis(400, 1100, False)
    add_view(total, *numbers((11, 40, 50)), rows, columns, align_corners=True, softmax=True)
    yield [total]


def flat(context=None):
    return [array for arrays in results(context) for array in arrays]


def test_threads_callers_and_contexts_change_nothing(operators, tmp_path):
    path = str(tmp_path / "out.npz")
    code = f"from tests.ops.test_threads import flat, np; np.savez({path!r}, *flat())"
    other = run(code, OMP_NUM_THREADS="3")
    wanted = flat()
    with ThreadPoolExecutor(3) as pool:
        callers = list(pool.map(lambda index: flat(mx.cpu(index % 2)), range(3)))
    finish(other)
    for got in [*callers, list(np.load(path).values())]:
        assert len(got) == len(wanted)
        for one, first in zip(got, wanted):
            np.testing.assert_array_equal(one, first)
