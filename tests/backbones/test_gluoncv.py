"""GluonCV's classifiers and our backbones are the same networks, and its stored weights fit."""

import hashlib

import mxnet as mx
import numpy as np
import pytest

pytest.importorskip("gluoncv", reason="compares with GluonCV, which is not installed")
from gluoncv.model_zoo import get_model
from gluoncv.model_zoo.model_store import _model_sha1

from mxnetseg import create_model
from mxnetseg.engine.imagenet import load_imagenet
from mxnetseg.pretrained import store
from mxnetseg.registry import BACKBONES

STORED = {name: entry.store_name for name, entry in BACKBONES.items() if entry.store_name}
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("resnet50", "xception65")]


def images(side):
    return mx.nd.array(np.random.RandomState(1).standard_normal((1, 3, side, side)))


def last_map(classifier, x):
    """What GluonCV's classifier puts out where our backbones end."""
    last = getattr(classifier, "avgpool", None)
    if last is None:
        last = next(
            child
            for child in classifier.features[13:]
            if isinstance(child, (mx.gluon.nn.AvgPool2D, mx.gluon.nn.Conv2D))
        )
    seen = []
    last.register_forward_pre_hook(lambda block, inputs: seen.append(inputs[0]))
    classifier(x)
    return seen[0].asnumpy()


def test_the_store_is_the_same():
    assert store.SHA1.keys() == set(STORED.values())
    assert store.SHA1.items() <= _model_sha1.items()


@pytest.mark.parametrize("backbone", STORED)
def test_parameters_have_the_same_names_and_shapes(backbone):
    ours = create_model("fcn", backbone=backbone).backbone
    theirs = get_model(STORED[backbone])
    structural, scoped = theirs._collect_params_with_prefix(), dict(theirs.collect_params())
    for name, parameter in ours._collect_params_with_prefix().items():
        their = structural[ours.stored_name(name)]
        assert scoped[theirs.prefix + parameter.name[len(ours.prefix) :]] is their  # the names in its oldest files
        # 0: theirs learns it from the first input
        assert [size for size, known in zip(parameter.shape, their.shape) if known] == [s for s in their.shape if s]


@pytest.mark.parametrize("backbone", ["densenet121", "mobilenet_v2_0_25", "resnest14", "resnet18", *SLOW])
@pytest.mark.parametrize("old", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["dotted names", "old names"])
def test_stored_weights_give_the_same_map(backbone, old, tmp_path, monkeypatch):
    mx.random.seed(0)
    name = STORED[backbone]
    theirs = get_model(name)
    theirs.initialize(mx.init.Xavier())
    x = images(224 if backbone == "densenet121" else 64)
    expected = last_map(theirs, x)
    (tmp_path / "models").mkdir()
    file = tmp_path / "models" / "weights"
    if old:
        theirs.collect_params().save(str(file), strip_prefix=theirs.prefix)
    else:
        theirs.save_parameters(str(file))
    sha1 = hashlib.sha1(file.read_bytes()).hexdigest()
    file.rename(tmp_path / "models" / f"{name}-{sha1[:8]}.params")
    monkeypatch.setitem(store.SHA1, name, sha1)
    monkeypatch.setenv("MXNET_HOME", str(tmp_path))
    net = create_model("fcn", backbone=backbone, output_stride=32)
    net.initialize()
    assert load_imagenet(net).arrays == len(net.backbone._collect_params_with_prefix())
    np.testing.assert_array_equal(net.backbone(x)[-1].asnumpy(), expected)


@pytest.mark.parametrize("backbone", ["resnest14", "resnet18", *SLOW[1:]])
@pytest.mark.parametrize("stride", [8, 16])
def test_dilated_as_theirs(backbone, stride):
    if backbone == "xception65":
        options = dict(output_stride=stride)
    elif backbone == "resnest14":
        options = dict(dilation=32 // stride)
    elif stride == 8:
        options = dict(dilated=True)
    else:
        return  # GluonCV's ResNet has strides 8 and 32 alone
    theirs = get_model(STORED[backbone], **options)
    theirs.initialize()
    expected = last_map(theirs, images(65))
    ours = create_model("fcn", backbone=backbone, output_stride=stride).backbone
    ours.initialize()
    values = theirs._collect_params_with_prefix()
    for name, parameter in ours._collect_params_with_prefix().items():
        parameter.set_data(values[name].data())
    np.testing.assert_array_equal(ours(images(65))[-1].asnumpy(), expected)
