"""From files of four channels of 12 bits to a trained network, its pictures, its score, and what is made of it."""

import logging

import mxnet as mx
import numpy as np
import pytest
from PIL import Image

import mxnetseg
from mxnetseg import deploy
from mxnetseg.config import ModelConfig, as_recipe
from mxnetseg.data import get_spec
from mxnetseg.engine import checkpoint
from mxnetseg.engine.build import build_network
from mxnetseg.engine.dryrun import dry_run
from mxnetseg.engine.first_layers import adapted
from mxnetseg.engine.origin import read_origin, with_record
from mxnetseg.engine.record import Feeding, NetworkSpec, Record
from mxnetseg.errors import MXNetSegError
from mxnetseg.export import to_mxnet, to_onnx
from mxnetseg.flops import count

tifffile = pytest.importorskip("tifffile")

CPU = [mx.cpu()]


def recipe_of(folder, **data):
    fed = dict(channels=4, range=[0, 4095], shown=[3, 0, 1], mean=[120, 110, 100, 90], std=[60, 50, 40, 30])
    return as_recipe(
        {
            "model": {"name": "bisenet", "backbone": "mobilenet_v2_0_5"},
            "data": {
                "name": "folder",
                "root": str(folder),
                "images": "images/{split}",
                "masks": "masks/{split}",
                "classes": ["low", "high"],
                "augment": {"crop": 64, "scale": [1, 1], "photometric": True},
                **fed,
                **data,
            },
            "optimizer": {"name": "adam", "lr": 0.003},
            "train": {"iterations": 100, "batch_size": 4, "workers": 0, "val_every": 100},
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pictures whose fourth channel alone, and in it the lower bits alone, tells the classes."""
    root, rng = tmp_path_factory.mktemp("bands"), np.random.default_rng(0)
    for split, number in (("train", 4), ("val", 2)):
        for index in range(number):
            mask = np.kron(rng.integers(0, 2, (4, 4)), np.ones((16, 16))).astype(np.uint8)
            image = rng.integers(0, 4096, (64, 64, 4)).astype(np.uint16)
            image[..., 3] = 1000 + 1500 * mask.astype(int) + rng.integers(0, 300, mask.shape)
            for kind in ("images", "masks"):
                (root / kind / split).mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(root / f"images/{split}/{index}.tif", image, photometric="rgb", extrasamples=[0])
            Image.fromarray(mask).save(root / f"masks/{split}/{index}.png")
    return root


@pytest.fixture
def fresh(folder):
    """A network that has learnt nothing, with its record."""
    recipe = recipe_of(folder)
    net = build_network(recipe, 2, CPU)
    net.record = Record(feeding=Feeding.of(recipe.data, get_spec(recipe.data)), recipe=recipe)
    return net


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    return mxnetseg.train(recipe_of(folder), "cpu", run_dir=out / "run", weights_dir=out / "weights")


@pytest.mark.slow
def test_the_fourth_channel_is_learnt(trained, folder):
    found = checkpoint.read(trained.best_path)
    assert found.record.feeding.channels == [0, 1, 2, 3] and found.record.feeding.range == (0, 4095)
    assert found.record.model.arguments()["in_channels"] == 4
    scores = mxnetseg.evaluate(trained.best_path, contexts="cpu", workers=0)
    assert scores.miou > 0.8


def test_predictor_takes_files_and_their_values(fresh, folder):
    predictor = mxnetseg.Predictor(fresh)
    path = folder / "images/val/0.tif"
    values = tifffile.imread(path)
    image = predictor.read(path)
    np.testing.assert_array_equal(image, values)
    np.testing.assert_array_equal(predictor(path), predictor(values))
    np.testing.assert_array_equal(predictor.picture(image), np.rint(values[..., [3, 0, 1]] * (255 / 4095)))
    with pytest.raises(MXNetSegError, match=r"an array \(H, W, 4\) of numbers; got shape \(64, 64, 3\)"):
        predictor(values[..., :3])
    Image.fromarray(np.zeros((64, 64, 4), np.uint8)).save(folder / "eight.png")
    with pytest.raises(MXNetSegError, match=r"eight\.png: it has 8 bits, but data\.range"):
        predictor(folder / "eight.png")


@pytest.mark.slow
def test_what_is_made_of_it(trained, folder, tmp_path):
    net = mxnetseg.load(str(trained.best_path))
    x = mx.nd.random.normal(shape=(1, 4, 64, 64))
    wanted = net(x).asnumpy()
    optimized = deploy.optimize(net, "float32", size=(64, 64))
    np.testing.assert_allclose(optimized(x).asnumpy(), wanted, rtol=1e-3, atol=1e-3)
    optimized.save(tmp_path / "kept.optimized")
    np.testing.assert_array_equal(
        mxnetseg.load(str(tmp_path / "kept.optimized")).class_map(x).asnumpy(), optimized.class_map(x).asnumpy()
    )
    first = count(mxnetseg.create_model("bisenet", "mobilenet_v2_0_5", num_classes=2), 64).parameters
    assert count(net, 64).parameters - first == 16 * 3 * 3 + 64 * 7 * 7  # two layers see the image
    images = np.stack([tifffile.imread(folder / "images/val/0.tif")]).astype(np.float32)
    fed = net.record.feeding
    plain = (np.clip(images * (255 / 4095), 0, 255) - fed.mean) / fed.std
    logits = net(mx.nd.array(plain.transpose(0, 3, 1, 2))).asnumpy()
    onnxruntime = pytest.importorskip("onnxruntime")
    to_onnx(net, tmp_path / "a.onnx", with_preprocessing=True)
    session = onnxruntime.InferenceSession(str(tmp_path / "a.onnx"))
    np.testing.assert_allclose(session.run(["logits"], {"image": images})[0], logits, rtol=1e-3, atol=1e-3)
    report = to_mxnet(net, tmp_path / "b", with_preprocessing=True)
    symbol = mx.sym.load(str(report.path))
    arrays = {k.split(":")[1]: v for k, v in mx.nd.load(str(next(tmp_path.glob("b*.params")))).items()}
    found = mx.nd.CachedOp(symbol)(*(mx.nd.array(images) if n == "data" else arrays[n] for n in symbol.list_inputs()))
    np.testing.assert_allclose(found.asnumpy(), logits, rtol=1e-3, atol=1e-3)


def test_dry_run(folder):
    assert np.isfinite(dry_run(recipe_of(folder), CPU).loss)


def test_channels_that_do_not_agree(folder):
    recipe = recipe_of(folder)
    wrong = recipe.model_copy(update={"model": recipe.model.model_copy(update={"in_channels": 3})})
    with pytest.raises(MXNetSegError, match=r"model\.in_channels is 3, but images have 4 channels"):
        build_network(wrong, 2, CPU)
    net = build_network(recipe, 2, CPU)
    with pytest.raises(MXNetSegError, match=r"images of 4 channels, \(N, 4, H, W\); got shape \(1, 3, 64, 64\)"):
        net(mx.nd.zeros((1, 3, 64, 64)))


def test_weights_for_rgb_are_made_to_fit(folder, tmp_path, caplog):
    three = recipe_of(folder, channels=None, mean=[0] * 3, std=[1] * 3, shown=None)
    old = build_network(three, 2, CPU)
    old.save_parameters(str(tmp_path / "rgb.params"))
    four = recipe_of(folder)
    four = four.model_copy(update={"model": four.model.model_copy(update={"init": str(tmp_path / "rgb.params")})})
    with caplog.at_level(logging.INFO):
        new = build_network(four, 2, CPU)
    assert "made of weights for RGB, for 4 channels" in caplog.text
    name = "backbone.layer1.0.weight"
    before, after = (net._collect_params_with_prefix()[name].data().asnumpy() for net in (old, new))
    np.testing.assert_allclose(after[:, :3], before * 0.75, rtol=1e-6)
    np.testing.assert_allclose(after[:, 3], before.mean(1) * 0.75, rtol=1e-5, atol=1e-8)
    grey = mx.nd.random.normal(shape=(1, 1, 64, 64))  # equal channels: the answer stays
    np.testing.assert_allclose(
        new(grey.repeat(4, axis=1)).asnumpy(), old(grey.repeat(3, axis=1)).asnumpy(), rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_first_layers(channels):
    net = mxnetseg.create_model("bisenet", "mobilenet_v2_0_5", num_classes=2, in_channels=channels)
    rng = np.random.default_rng(0)
    weights = {"layer1.0.weight": rng.normal(size=(16, 3, 3, 3)).astype(np.float32)}
    new = adapted(net, {**weights, "layer1.1.gamma": np.ones(16)}, "file", "backbone.")
    assert list(new) == list(weights)
    assert new["layer1.0.weight"].shape == (16, channels, 3, 3)
    np.testing.assert_allclose(new["layer1.0.weight"].sum(1), weights["layer1.0.weight"].sum(1), atol=1e-5)


def test_fine_tuning_from_rgb(folder, fresh, tmp_path):
    """model.from: what the record says of RGB is not for the other channels; what it says of these is taken."""
    three = recipe_of(folder, channels=None, range=None, mean=[1] * 3, std=[2] * 3, shown=None)
    old = build_network(three, 2, CPU)
    for net, recipe in ((old, three), (fresh, recipe_of(folder))):
        about = Record(feeding=Feeding.of(recipe.data, get_spec(recipe.data)), recipe=recipe)
        about = about.model_copy(update={"model": NetworkSpec(**net.spec)})
        checkpoint.write(tmp_path / f"{len(recipe.data.mean)}.params", checkpoint.weights(net), about)
    for number in (3, 4):
        recipe = recipe_of(folder, mean=[5] * 4)
        recipe = recipe.model_copy(update={"model": ModelConfig(**{"from": str(tmp_path / f"{number}.params")})})
        found = read_origin(recipe)
        recipe = with_record(recipe, found)
        assert list(recipe.data.mean) == [5] * 4 and recipe.data.range == (0, 4095) and recipe.model.in_channels is None
        net = build_network(recipe, 2, CPU, origin=found, classes=["low", "high"])
        assert net.spec["in_channels"] == 4
    del recipe, net
    bare = as_recipe(
        {"model": {"from": str(tmp_path / "4.params")}, "data": {"name": "folder"}, "train": {"epochs": 1}}
    )
    assert with_record(bare, read_origin(bare)).data.channels == [0, 1, 2, 3]
