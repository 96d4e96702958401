"""GluonCV's segmentation networks and ours answer the same, given GluonCV's parameters."""

import mxnet as mx
import numpy as np
import pytest

pytest.importorskip("gluoncv", reason="compares with GluonCV, which is not installed")
from gluoncv.model_zoo import get_deeplab, get_fcn, get_psp

import mxnetseg
from mxnetseg.cli import main

THEIRS = {"fcn": get_fcn, "pspnet": get_psp, "deeplabv3": get_deeplab}


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n == "pspnet" else pytest.mark.slow) for n in THEIRS])
def test_same_logits_after_the_command(name, tmp_path):
    mx.random.seed(0)
    theirs = THEIRS[name](dataset="citys", backbone="resnet50", pretrained_base=False, crop_size=64)
    theirs.initialize(mx.init.Xavier())
    x = mx.nd.random.normal(shape=(1, 3, 64, 64))
    with mx.autograd.record():  # moves the running statistics
        loss = sum(out.mean() for out in theirs(x))
    loss.backward()
    theirs.save_parameters(str(tmp_path / "gluoncv.params"))
    target = tmp_path / "ours.params"
    arguments = ["--from", str(tmp_path / "gluoncv.params"), "--to", str(target), "--data", "cityscapes"]
    assert main(["convert", "--model", name, "--backbone", "resnet50", *arguments]) == 0
    net = mxnetseg.load(str(target))
    expected = [out.asnumpy() for out in theirs(x)]
    with mx.autograd.record(train_mode=False):
        ours = [out.asnumpy() for out in net(x)]
    assert len(ours) == len(expected) == 2
    for out, wanted in zip(ours, expected):
        np.testing.assert_allclose(out, wanted, atol=1e-4 * np.abs(wanted).max())
