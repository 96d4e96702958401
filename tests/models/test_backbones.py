"""Backbones as GluonCV has them: what they share with it, and what they must do beyond."""

import mxnet as mx
import numpy as np
import pytest
from gluoncv.model_zoo import get_model
from gluoncv.model_zoo.resnest import resnest14
from mxnet import autograd

from mxnetseg import create_model
from mxnetseg.backbones import imagenet, load_imagenet
from mxnetseg.backbones.resnet import ResNet
from mxnetseg.errors import MXNetSegError


def batch(height, width, n=1):
    return mx.nd.array(np.random.RandomState(1).standard_normal((n, 3, height, width)))


@pytest.mark.parametrize("backbone", ["densenet121", "resnest14", "xception39", "xception65"])
@pytest.mark.parametrize("norm", ["bn", "gn"])
def test_every_parameter_gets_a_gradient(backbone, norm):
    mx.random.seed(0)
    net = create_model("fcn", backbone=backbone, output_stride=16, norm=norm)
    net.initialize(mx.init.Xavier())
    net.hybridize()
    for size in ((64, 96), (65, 71)):
        with autograd.record():
            loss = net(batch(*size, n=2)).square().mean()
        loss.backward()
    for key, parameter in net._collect_params_with_prefix().items():
        if parameter.grad_req != "null":
            gradient = parameter.grad().asnumpy()
            assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0, key


def test_resnest_trains_at_any_size():
    """GluonCV's DropBlock, in all but the smallest, is made for one size."""
    net = create_model("fcn", backbone="resnest26")
    net.initialize()
    for size in ((64, 64), (65, 97)):
        with autograd.record():
            loss = net(batch(*size, n=2)).square().mean()
        loss.backward()
        assert np.isfinite(loss.asscalar())


@pytest.mark.parametrize("stride, dilation", [(8, 4), (16, 2)])
def test_resnest_is_dilated_as_gluoncv_does(stride, dilation):
    classifier = resnest14(dilation=dilation)
    classifier.initialize()
    theirs = ResNet(classifier, ())
    ours = create_model("fcn", backbone="resnest14", output_stride=stride).backbone
    ours.initialize()
    values = theirs._collect_params_with_prefix()
    for name, parameter in ours._collect_params_with_prefix().items():
        parameter.set_data(values[name].data())
    for one, other in zip(ours(batch(65, 97)), theirs(batch(65, 97))):
        np.testing.assert_array_equal(one.asnumpy(), other.asnumpy())


@pytest.mark.parametrize("backbone", ["densenet121", "mobilenet_v2_0_25", "resnest14", "resnet18", "xception65"])
def test_imagenet_weights_from_the_store(backbone, monkeypatch):
    stored = {}

    def fake(name, pretrained):
        assert pretrained
        stored["classifier"] = classifier = get_model(name)
        classifier.initialize(mx.init.Xavier())
        classifier(batch(224, 224))
        return classifier

    monkeypatch.setattr(imagenet, "get_model", fake)
    net = create_model("fcn", backbone=backbone)
    net.initialize()
    assert load_imagenet(net) == len(net.backbone._collect_params_with_prefix())
    first = next(iter(net.backbone._collect_params_with_prefix().values()))
    theirs = [p for p in stored["classifier"]._collect_params_with_prefix().values() if p.shape == first.shape]
    assert any((first.data() == p.data()).min().asscalar() for p in theirs)


def test_a_backbone_that_the_store_lacks():
    net = create_model("bisenet", backbone="xception39")
    with pytest.raises(MXNetSegError, match="no ImageNet weights for xception39"):
        load_imagenet(net)
