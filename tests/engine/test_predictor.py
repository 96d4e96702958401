"""Predictor: arrays, paths, lists; networks and checkpoints; sizes and threads that come and go."""

import subprocess
import sys
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest

import mxnetseg
from mxnetseg.config.schema import EvalConfig
from mxnetseg.engine import checkpoint
from mxnetseg.engine.inference import Preprocess, class_probabilities, predict_images
from mxnetseg.engine.record import Feeding, NetworkSpec, Record
from mxnetseg.errors import MXNetSegError
from mxnetseg.ops.upsample import upsample_argmax
from mxnetseg.serve.worker import predict_together
from mxnetseg.visual import save_png

from ..threads import together
from .test_inference import agree

ROOT = Path(__file__).resolve().parents[2]
PREPROCESS = Preprocess()


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


@pytest.mark.parametrize(
    "dtype, settings",
    [
        (None, {}),
        pytest.param("float32", {"average": "logits", "base": 48}, marks=pytest.mark.slow),
        pytest.param(
            "bfloat16", {"crop": 36, "scales": [1.3], "flip": True, "average": "logits"}, marks=pytest.mark.slow
        ),
        pytest.param("int8", {"fit": (70, 50), "flip": True}, marks=pytest.mark.slow),
    ],
)
def test_probabilities_agree_with_class_maps(dtype, settings):
    net = mxnetseg.create_model("bisenet", "mobilenet_v2_0_25", num_classes=4, width=16, spatial_width=8)
    net.initialize(mx.init.Xavier(magnitude=4))
    images = [image(40, 60), image(33, 47, 1)]
    calibration = [PREPROCESS(image(48, 64, 2)[None], mx.cpu())] if dtype == "int8" else None
    predict = mxnetseg.Predictor(net, config=EvalConfig(**settings), dtype=dtype, calibration=calibration)
    found = predict.probabilities(images)
    for one, got, chosen in zip(images, found, predict(images)):
        assert got.shape == (4, *one.shape[:2]) and got.dtype == np.float32 and got.std() > 0.001
        agree(got, chosen)
        np.testing.assert_allclose(got.sum(0), 1, atol=1e-5)
    got = found[0]
    np.testing.assert_array_equal(predict.confidence(images[0]), got.max(0))
    np.testing.assert_allclose(predict.entropy(images[0]), -(got * np.log(got)).sum(0) / np.log(4), atol=1e-5)
    if not settings:
        logits = predict.net(predict.preprocess(images[0][None], mx.cpu())).asnumpy()[0].astype(np.float64)
        np.testing.assert_allclose(got, np.exp(logits) / np.exp(logits).sum(0), atol=1e-5)
        batch = predict.probabilities(np.stack([images[0], images[0][::-1]]))
        assert batch.shape == (2, 4, 40, 60) and predict.entropy(np.stack(images[:1] * 2)).shape == (2, 40, 60)
        np.testing.assert_allclose(batch[0], got, atol=1e-5)


def test_class_maps_are_the_same_with_and_without_probabilities(net):
    """To the pixel, where classes differ by no more than rounding too: half of these pixels are such."""

    class Undecided:
        spec, record, align_corners, contexts = {}, None, net.align_corners, net.contexts

        def coarse_logits(self, x):
            logits = net.coarse_logits(x) * 10
            return mx.nd.concat(logits, logits + 3e-7 * logits.abs(), dim=1)

        def __call__(self, x):
            raise AssertionError("the logits at full resolution are not needed")

        def class_map(self, x):
            shape = dict(height=x.shape[2], width=x.shape[3])
            return upsample_argmax(mx.nd, self.coarse_logits(x), **shape, align_corners=self.align_corners)

    batch = np.stack([image(40, 60), image(40, 60, 1)])
    for settings in ({}, {"flip": True}):
        predict = mxnetseg.Predictor(Undecided(), config=EvalConfig(**settings))
        plain = predict(batch)
        maps, probabilities = predict.certain(batch)
        np.testing.assert_array_equal(maps, plain)
        assert maps.dtype == np.uint8 and maps.shape == (2, 40, 60)
        np.testing.assert_array_equal(probabilities, predict.probabilities(batch))
        for one, expected in zip(batch, plain):
            alone = predict.certain(one)
            np.testing.assert_array_equal(alone[0], expected)
            assert alone[1].shape == (8, 40, 60)
            np.testing.assert_array_equal(predict.result(one, certain=True).class_map, expected)
        told = predict_together(predict, list(batch), confident=True)
        np.testing.assert_array_equal([one.class_map for one in told], plain)
    how = (Undecided(), batch, PREPROCESS, EvalConfig(), mx.cpu())
    decided = class_probabilities(*how).asnumpy().argmax(1)
    assert (predict_images(*how).asnumpy() != decided).any(), "no pixel where rounding decides"


def test_more_classes_than_a_map_can_tell_apart_are_an_error():
    predict = mxnetseg.Predictor(lambda x: mx.nd.zeros((x.shape[0], 257, *x.shape[2:])), config=EvalConfig(flip=True))
    with pytest.raises(MXNetSegError, match="257 classes do not fit a uint8 class map.*take the argmax of"):
        predict(image(8, 8))
    assert predict.probabilities(image(8, 8)).shape == (257, 8, 8)


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


@pytest.mark.slow
@pytest.mark.parametrize("hybridized", [False, True])
@pytest.mark.parametrize("config", [None, EvalConfig(scales=[1.0, 0.5], flip=True)], ids=["whole", "scales"])
def test_threads_that_are_the_first_to_use_it_all_at_once(hybridized, config):
    def predictor():
        mx.random.seed(0)
        np.random.seed(0)
        net = mxnetseg.create_model("bisenet", "mobilenet_v2_0_25", num_classes=4)
        net.initialize(mx.init.Xavier(magnitude=4))
        if hybridized:
            net.hybridize(static_alloc=True)
        return mxnetseg.Predictor(net, config=config)

    images = [image(*size, seed) for seed, size in enumerate([(64, 64), (48, 80), (40, 33)])]
    expected = [predictor()(one) for one in images]
    predict = predictor()
    for turn in together([lambda: [predict(one) for one in images], lambda: predict(images)] * 4):
        for got, wanted in zip(turn, expected):
            np.testing.assert_array_equal(got, wanted)


# prints how many MB more the process has after many sizes than after the first 50, then after 40 more threads
GROWTH = """
import ctypes
import gc
import sys

import numpy as np

import mxnetseg
from mxnet import autograd, nd
from tests.memory import memory
from tests.threads import together

kind, count, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


def megabytes():
    nd.waitall()
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    return memory("VmRSS") >> 20


def train(size):
    with autograd.record():
        loss = net(nd.zeros((2, 3, *size))).sum()
    loss.backward()
    loss.wait_to_read()


net = mxnetseg.create_model("bisenet", "mobilenet_v2_0_25", num_classes=19)
net.initialize()
if kind in ("hybridized", "training"):
    net.hybridize(static_alloc=True)
predict = mxnetseg.Predictor(net, dtype=kind if kind in ("float32", "bfloat16") else None)
use = train if kind == "training" else lambda size: predict(np.zeros((*size, 3), np.uint8))
rng = np.random.RandomState(0)
sizes = [tuple(rng.randint(32, 128, 2)) for _ in range(count)]
values = []
for part in (sizes[:50], sizes[50:]):
    if threads == 1:
        for size in part:
            use(size)
    else:
        together([lambda first=first: [use(size) for size in part[first::threads]] for first in range(threads)], 1000)
    values.append(megabytes())
for size in sizes[:40]:
    together([lambda: use(size)])
values.append(megabytes())
print(values[1] - values[0], values[2] - values[1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the memory of a process is read from Linux")
@pytest.mark.parametrize(
    "kind, count, threads",
    [
        pytest.param("hybridized", 250, 1, marks=pytest.mark.slow),
        *(
            pytest.param(kind, 854, threads, marks=pytest.mark.slow)
            for kind in ("plain", "hybridized", "float32", "bfloat16")
            for threads in (1, 8)
        ),
    ],
)
def test_neither_new_sizes_nor_new_threads_keep_memory(kind, count, threads):
    """Without limits it was 1.5 MB for each new size and 5 MB for each new thread."""
    sizes, more_threads = _growth(kind, count, threads)
    assert sizes < 120 and more_threads < 40


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the memory of a process is read from Linux")
def test_new_sizes_keep_no_memory_in_training():
    assert _growth("training", 600, 1)[0] < 300  # without a limit: 1800


def _growth(*arguments):
    command = [sys.executable, "-c", GROWTH, *map(str, arguments)]
    done = subprocess.run(command, cwd=str(ROOT), stdout=subprocess.PIPE, timeout=1000, check=True)
    return [int(number) for number in done.stdout.split()[-2:]]
