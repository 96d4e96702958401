"""Predictor: arrays, paths, lists; networks and checkpoints."""

import mxnet as mx
import numpy as np
import pytest

import mxnetseg
from mxnetseg.engine import checkpoint
from mxnetseg.engine.record import Feeding, NetworkSpec, Record
from mxnetseg.visual import save_png


def image(height, width, seed=0):
    return np.random.RandomState(seed).randint(0, 256, (height, width, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def net():
    np.random.seed(0)
    mx.random.seed(0)
    net = mxnetseg.create_model("fcn", "mobilenet_v2_0_25", num_classes=4)
    net.initialize(mx.init.Xavier(magnitude=4))
    return net


def test_arrays_paths_and_lists_of_any_sizes(net, tmp_path):
    predict = mxnetseg.Predictor(net)
    images = [image(40, 60), image(33, 47, 1), image(64, 32, 2)]
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path, one in zip(paths, images):
        save_png(path, one)
    maps = predict([images[0], paths[1], str(paths[2])])
    for one, path, got in zip(images, paths, maps):
        assert got.dtype == np.uint8 and got.shape == one.shape[:2] and got.max() < 4
        np.testing.assert_array_equal(got, predict(one))
        np.testing.assert_array_equal(got, predict(str(path)))
        x = (one - np.array([123.675, 116.28, 103.53])) / np.array([58.395, 57.12, 57.375])
        logits = net(mx.nd.array(x.transpose(2, 0, 1)[None])).asnumpy()[0]
        assert (got == logits.argmax(0)).mean() > 0.999
    assert predict([]) == []


def test_a_checkpoint_brings_everything_along(net, tmp_path):
    path = tmp_path / "net.params"
    record = Record(
        model=NetworkSpec(**net.spec),
        feeding=Feeding(
            classes=list("abcd"), palette=[(i, i, i) for i in range(4)], mean=(0, 0, 0), std=(255, 255, 255), base=80
        ),
        recipe={"eval": {"scales": [1.0, 0.5], "flip": True}},
    )
    checkpoint.write(path, checkpoint.weights(net), record)
    predict = mxnetseg.Predictor(path)
    assert predict.classes == list("abcd") and predict.palette.tolist() == [[i] * 3 for i in range(4)]
    assert predict.preprocess.std == (255, 255, 255) and predict.preprocess.base == 80
    assert predict.config.flip and predict(image(40, 60)).shape == (40, 60)


@pytest.mark.parametrize(
    "wrong, message",
    [
        (np.zeros((4, 4), np.uint8), r"\(H, W, 3\)"),
        (np.zeros((4, 4, 4), np.uint8), r"\(H, W, 3\)"),
        (np.zeros((4, 4, 3), np.float32), "float32.*uint8"),
        (np.zeros((0, 4, 3), np.uint8), r"\(0, 4, 3\)"),
        (3, "not a int"),
        ("none.png", "none.png: can't be read"),
    ],
)
def test_mistakes(net, wrong, message):
    with pytest.raises(mxnetseg.MXNetSegError, match=message):
        mxnetseg.Predictor(net)(wrong)
