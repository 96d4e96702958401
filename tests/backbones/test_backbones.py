"""Backbones that GluonCV has as well: gradients, sizes, and ImageNet weights from its store."""

import hashlib
import zipfile

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from mxnetseg import create_model
from mxnetseg.backbones import load_imagenet, store
from mxnetseg.errors import MXNetSegError
from mxnetseg.registry import BACKBONES


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
    net = create_model("fcn", backbone="resnest26")
    net.initialize()
    for size in ((64, 64), (65, 97)):
        with autograd.record():
            loss = net(batch(*size, n=2)).square().mean()
        loss.backward()
        assert np.isfinite(loss.asscalar())


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The folder that stored ImageNet weights are looked for in; nothing can be downloaded into it."""
    monkeypatch.setenv("MXNET_HOME", str(tmp_path))
    monkeypatch.setenv("MXNET_GLUON_REPO", (tmp_path / "no store").as_uri())
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


def stored(net, cache, monkeypatch):
    """Put weights for a backbone into the store's cache; returns them by our names, the file and its place."""
    store_name = BACKBONES[net.spec["backbone"]].store_name
    rng = np.random.RandomState(0)
    ours = net.backbone._collect_params_with_prefix()
    arrays = {name: mx.nd.array(rng.standard_normal(p.shape)) for name, p in ours.items()}
    file = cache / "weights"
    mx.nd.save(str(file), {net.backbone.stored_name(name): array for name, array in arrays.items()})
    sha1 = hashlib.sha1(file.read_bytes()).hexdigest()
    monkeypatch.setitem(store.SHA1, store_name, sha1)
    return arrays, file, cache / f"{store_name}-{sha1[:8]}.params"


@pytest.mark.parametrize("backbone", ["resnet18", "mobilenet_v2_0_25"])
def test_imagenet_weights_from_the_cache(backbone, cache, monkeypatch):
    net = create_model("fcn", backbone=backbone)
    net.initialize()
    net(batch(32, 32))
    arrays, file, place = stored(net, cache, monkeypatch)
    file.rename(place)
    assert load_imagenet(net) == len(arrays)
    for name, parameter in net.backbone._collect_params_with_prefix().items():
        np.testing.assert_array_equal(parameter.data().asnumpy(), arrays[name].asnumpy())


def test_a_damaged_file_in_the_cache_is_not_loaded(cache, monkeypatch):
    net = create_model("fcn", backbone="mobilenet_v2_0_25")
    net.initialize()
    net(batch(32, 32))
    _, file, place = stored(net, cache, monkeypatch)
    place.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(MXNetSegError, match="can't be had"):
        load_imagenet(net)


def test_imagenet_weights_are_downloaded_once(cache, monkeypatch):
    net = create_model("fcn", backbone="mobilenet_v2_0_25")
    net.initialize()
    net(batch(32, 32))
    _, file, place = stored(net, cache, monkeypatch)
    asked = []

    def download(url, path, retries):
        asked.append(url)
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(file, place.name)

    monkeypatch.setattr(store, "download", download)
    assert load_imagenet(net) and load_imagenet(net)
    assert len(asked) == 1 and asked[0].endswith(f"/gluon/models/{place.stem}.zip")
    assert place.read_bytes() == file.read_bytes()

    place.unlink()
    file.write_bytes(b"something else")
    with pytest.raises(MXNetSegError, match="holds another file"):
        load_imagenet(net)
    assert not place.exists()


def test_a_backbone_that_the_store_lacks():
    net = create_model("bisenet", backbone="xception39")
    with pytest.raises(MXNetSegError, match="no ImageNet weights for xception39"):
        load_imagenet(net)
