"""Backbones whose last stages keep their size instead of halving it."""

import mxnet as mx
import numpy as np
import pytest

from mxnetseg import create_model
from tests.small import batch


@pytest.mark.parametrize(
    "backbone", ["densenet121", "mobilenet_v2_0_25", "resnest14", "resnet18", "xception39", "xception65"]
)
@pytest.mark.parametrize("stride", [8, 16, 32])
def test_output_stride(backbone, stride):
    net = create_model("fcn", backbone=backbone, output_stride=stride)
    net.initialize()
    sizes = [feature.shape[2] for feature in net.backbone(batch(128, 128))]
    assert sizes == [32, 16, max(128 // stride, 8), 128 // stride]
    assert [f.shape[1] for f in net.backbone(batch(64, 64))] == list(net.backbone.channels)


def test_dilation_keeps_what_a_feature_sees():
    """A dilated network equals the strided one where both have an output (no padding in sight)."""
    strided = create_model("fcn", backbone="mobilenet_v2_0_25", output_stride=32)
    strided.initialize(mx.init.Xavier())
    for stride in (8, 16):
        dilated = create_model("fcn", backbone="mobilenet_v2_0_25", output_stride=stride)
        dilated.initialize()
        ours = dilated._collect_params_with_prefix()
        for key, parameter in strided._collect_params_with_prefix().items():
            ours[key].set_data(parameter.data())
        x = batch(1024, 64)
        few = strided.backbone(x)[2].asnumpy()
        many = dilated.backbone(x)[2].asnumpy()
        step = many.shape[2] // few.shape[2]
        assert step == (2 if stride == 8 else 1)
        middle = slice(20, 44)
        np.testing.assert_allclose(many[:, :, ::step, ::step][:, :, middle, 2], few[:, :, middle, 2], atol=1e-4)
