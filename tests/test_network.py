"""What counts as a network, and foreign ones."""

import time

import mxnet as mx
import numpy as np
import pytest

from mxnetseg import create_model
from mxnetseg.errors import MXNetSegError
from mxnetseg.network import ForeignNetwork, GluonNetwork, Network, as_network

from .threads import together


def foreign(classes=4):
    block = mx.gluon.nn.HybridSequential()
    block.add(mx.gluon.nn.Conv2D(classes, 3, padding=1, in_channels=3), mx.gluon.nn.BatchNorm(in_channels=classes))
    return block


def images(height=12, width=9):
    return mx.nd.array(np.random.RandomState(0).standard_normal((2, 3, height, width)))


def test_a_network_is_taken_as_it_is():
    net = create_model("fcn", backbone="mobilenet_v2_0_25")
    net.initialize()
    assert as_network(net) is net and isinstance(net, GluonNetwork)
    block = foreign()
    block.initialize()
    wrapped = as_network(block)
    assert as_network(wrapped) is wrapped


def test_a_block_made_elsewhere():
    block = foreign()
    block.initialize(ctx=[mx.cpu(0), mx.cpu(1)])
    net = as_network(block)
    assert isinstance(net, ForeignNetwork) and isinstance(net, Network) and isinstance(net, GluonNetwork)
    assert (net.spec, net.record, net.align_corners) == ({}, None, False)
    assert net.contexts == [mx.cpu(0), mx.cpu(1)]
    x = images()
    logits = block(x).asnumpy()
    np.testing.assert_array_equal(net(x).asnumpy(), logits)
    np.testing.assert_array_equal(net.coarse_logits(x).asnumpy(), logits)
    classes = net.class_map(x).asnumpy()
    assert classes.dtype == np.uint8
    np.testing.assert_array_equal(classes, logits.argmax(axis=1))
    assert set(net.coarse_logits(mx.sym.var("data")).list_inputs()) == {"data", *net.collect_params()}


def test_a_function():
    net = as_network(lambda x: x * 2)
    x = images()
    np.testing.assert_array_equal(net(x).asnumpy(), 2 * x.asnumpy())
    assert net.contexts == [mx.cpu()]


def test_what_a_function_gives():
    x = images()
    for function, message in (
        (lambda x: None, r"gives None for images \(2, 3, 12, 9\); it has to give logits, \(N, num_classes, H, W\)"),
        (lambda x: x.asnumpy(), "gives a numpy.ndarray for images"),
        (lambda x: (x, x), "gives a tuple for images"),
        (lambda x: x[0], r"gives an array of shape \(3, 12, 9\)"),
    ):
        for call in (as_network(function), as_network(function).coarse_logits, as_network(function).class_map):
            with pytest.raises(MXNetSegError, match=message):
                call(x)
    with pytest.raises(MXNetSegError, match="gives logits of 3 classes, 10 are wanted"):
        ForeignNetwork(lambda x: x, num_classes=10).class_map(x)
    assert ForeignNetwork(lambda x: x, num_classes=3).class_map(x).shape == (2, 12, 9)


def test_smaller_logits_are_resized_for_the_class_map():
    x = images()
    coarse = as_network(lambda x: x[:, :, ::3, ::3])
    larger = mx.nd.contrib.BilinearResize2D(x[:, :, ::3, ::3], height=12, width=9, align_corners=False)
    np.testing.assert_array_equal(coarse.class_map(x).asnumpy(), larger.asnumpy().argmax(axis=1))


def test_threads_that_are_the_first_to_call_a_foreign_block_all_at_once():
    class Slow(mx.gluon.HybridBlock):
        def hybrid_forward(self, F, x):
            time.sleep(0.01)
            return x

    nets = []
    for _ in range(2):
        mx.random.seed(0)
        block = foreign()
        block.add(Slow())
        block.initialize(mx.init.Xavier())
        block.hybridize(static_alloc=True)
        nets.append(as_network(block))
    x = images()
    results = together([lambda: nets[0](x).asnumpy(), lambda: nets[0].coarse_logits(x).asnumpy()] * 4)
    for result in results:
        np.testing.assert_array_equal(result, nets[1](x).asnumpy())


def test_mistakes():
    with pytest.raises(MXNetSegError, match="a network is what mxnetseg.create_model.*this is a list"):
        as_network([])
    for net in (create_model("fcn", backbone="mobilenet_v2_0_25"), foreign()):
        with pytest.raises(MXNetSegError, match="has no values yet; initialize the network or load its weights"):
            as_network(net).contexts  # noqa: B018
    many = foreign(257)
    many.initialize()
    with pytest.raises(MXNetSegError, match="257 classes do not fit a uint8 class map"):
        as_network(many).class_map(images())
