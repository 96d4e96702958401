"""SwiftNet's step beyond the paper."""

import numpy as np
import pytest
from mxnet import autograd, nd

from mxnetseg import create_model, deploy
from mxnetseg.errors import MXNetSegError
from mxnetseg.flops import count
from tests.small import batch, build, check_gradients


@pytest.mark.slow
@pytest.mark.parametrize("size", [pytest.param((64, 96), marks=pytest.mark.slow), (65, 129)])
def test_detail_reads_the_image_at_half_its_size(size):
    net = build("swiftnet", detail=8)
    x = batch(*size, n=3)  # of fewer the pyramid's norms leave nothing to learn from
    assert net.coarse_logits(x).shape == (3, 5, *(-(-side // 2) for side in size))
    with autograd.record():
        loss = (net(x) ** 2).mean()
    loss.backward()
    check_gradients(net)
    fast = deploy.optimize(net)
    np.testing.assert_allclose(fast(x).asnumpy(), net(x).asnumpy(), rtol=1e-3, atol=1e-4)


def test_without_detail_it_is_the_paper():
    plain, same = (create_model("swiftnet", num_classes=5, **options) for options in ({}, dict(detail=0)))
    assert list(plain._collect_params_with_prefix()) == list(same._collect_params_with_prefix())
    assert not any("stem" in name for name in plain._collect_params_with_prefix() if name.startswith("head"))
    finer = create_model("swiftnet", num_classes=5, detail=16)
    assert count(finer, (64, 64)).flops < count(plain, (64, 64)).flops  # narrow where there are most pixels


@pytest.mark.parametrize("size, detail", [((64, 96), 8), pytest.param((65, 97), 0, marks=pytest.mark.slow)])
def test_enlarge_is_the_network_on_a_larger_image(size, detail):
    net, plain = (build("swiftnet", detail=detail, **options) for options in (dict(enlarge=1.5), {}))
    for mine, same in zip(net.collect_params().values(), plain.collect_params().values()):
        mine.set_data(same.data())
    x = batch(*size, n=3)
    height, width = (int(1.5 * side) for side in size)
    larger = nd.contrib.BilinearResize2D(x, height=height, width=width, align_corners=True)
    wanted = plain.coarse_logits(larger)
    np.testing.assert_allclose(net.coarse_logits(x).asnumpy(), wanted.asnumpy(), rtol=1e-5, atol=1e-6)
    assert net(x).shape == (3, 5, *size)
    assert count(net, (64, 96)).flops == pytest.approx(count(plain, (96, 144)).flops, rel=0.01)
    fast = deploy.optimize(net)
    np.testing.assert_allclose(fast(x).asnumpy(), net(x).asnumpy(), rtol=1e-3, atol=1e-4)
    with autograd.record():
        loss = (net(x) ** 2).mean()
    loss.backward()
    check_gradients(net)


@pytest.mark.parametrize("enlarge", [0.5, 1.3, 5, True, "2", float("nan"), None])
def test_enlargements_that_there_are_not(enlarge):
    with pytest.raises(MXNetSegError, match="from 1 to 4 in eighths"):
        create_model("swiftnet", num_classes=5, enlarge=enlarge)
