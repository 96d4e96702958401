"""Windows, scales and mirror images: averages of softmax probabilities, equal to a naive reference."""

import tracemalloc

import mxnet as mx
import numpy as np
import pytest
from mxnet import nd

from mxnetseg import create_model
from mxnetseg.config import EvalConfig
from mxnetseg.data.transforms import resize
from mxnetseg.engine import inference
from mxnetseg.engine.inference import Preprocess, class_probabilities, predict_image, predict_images, windows
from mxnetseg.network import ForeignNetwork
from mxnetseg.ops import blend as blend_operator

CPU = mx.cpu()
PREPROCESS = Preprocess()


@pytest.fixture(scope="module")
def net():
    mx.random.seed(0)
    np.random.seed(0)
    net = create_model("fcn", "mobilenet_v2_0_25", num_classes=4)
    net.initialize(mx.init.Xavier(magnitude=4))
    factor = 2 / net(PREPROCESS(image()[None], CPU)).asnumpy().std()
    return ForeignNetwork(lambda x: net(x) * factor)  # an untrained network is never sure; this one is


@pytest.fixture
def no_library(monkeypatch):
    monkeypatch.setattr(blend_operator, "serves", lambda **_: False)


@pytest.fixture(params=["in memory", "without the library", "on a context"])
def blend(request, monkeypatch):
    """A test runs as on a CPU, and as on a GPU."""
    if request.param == "without the library":
        request.getfixturevalue("no_library")
    elif request.param == "on a context":
        monkeypatch.setattr(inference, "HostBlend", inference.DeviceBlend)


def image(height=50, width=70, seed=0):
    return np.random.RandomState(seed).randint(0, 256, (height, width, 3)).astype(np.uint8)


def softmax(net, array):
    """(H, W, 3) uint8 -> (C, H, W) float64."""
    scores = net(PREPROCESS(array[None], CPU)).asnumpy()[0].astype(np.float64)
    scores = np.exp(scores - scores.max(0))
    return scores / scores.sum(0)


def enlarge(probabilities, height, width):
    array = nd.array(probabilities[None])
    return nd.contrib.BilinearResize2D(array, height=height, width=width, align_corners=False).asnumpy()[0]


def got(net, array, **config):
    return class_probabilities(net, array, PREPROCESS, EvalConfig(**config), CPU).asnumpy()[0]


@pytest.mark.parametrize(
    "size, window, stride, expected",
    [
        (10, 10, 5, [0]),
        (8, 10, 5, [0]),
        (11, 10, 5, [0, 1]),
        (20, 10, 5, [0, 5, 10]),
        (21, 10, 7, [0, 7, 11]),
    ],
)
def test_windows_stay_inside_and_cover_all(size, window, stride, expected):
    assert windows(size, window, stride) == expected


@pytest.mark.parametrize("size", range(1, 60, 7))
@pytest.mark.parametrize("window, stride", [(7, 1), (10, 7), (16, 16), (64, 40)])
def test_every_pixel_is_in_a_window(size, window, stride):
    starts = windows(size, window, stride)
    covered = {p for s in starts for p in range(s, s + min(window, size))}
    assert covered == set(range(size)) and len(set(starts)) == len(starts)


def test_one_scale_is_the_softmax(net):
    np.testing.assert_allclose(got(net, image()), softmax(net, image()), atol=1e-5)


def test_sliding_windows_average_where_they_overlap(net, blend):
    array = image()
    total, count = np.zeros((4, 50, 70)), np.zeros((50, 70))
    for top in (0, 18):
        for left in (0, 24, 38):
            total[:, top : top + 32, left : left + 32] += softmax(net, array[top : top + 32, left : left + 32])
            count[top : top + 32, left : left + 32] += 1
    for batch_size in (1, 4):
        out = got(net, array, crop=32, stride=[18, 24], batch_size=batch_size)
        np.testing.assert_allclose(out, total / count, atol=1e-5)


def test_a_window_larger_than_the_image_is_the_whole_image(net):
    np.testing.assert_allclose(got(net, image(), crop=[100, 200]), softmax(net, image()), atol=1e-5)
    np.testing.assert_allclose(got(net, image(), crop=[100, 70]), softmax(net, image()), atol=1e-5)


def test_scales_and_flip_average_probabilities(net, blend):
    array, expected = image(), 0
    for scale in (0.5, 1.0, 1.5):
        scaled = resize(array, round(50 * scale), round(70 * scale))
        both = (softmax(net, scaled) + softmax(net, scaled[:, ::-1])[..., ::-1]) / 2
        expected = expected + enlarge(both, 50, 70) / 3
    out = got(net, array, scales=[0.5, 1.0, 1.5], flip=True)
    np.testing.assert_allclose(out, expected, atol=1e-5)
    np.testing.assert_allclose(out.sum(0), 1, atol=1e-5)


def test_everything_at_once(net):
    def slide(view):
        height, width = view.shape[:2]
        total, count = np.zeros((4, height, width)), np.zeros((height, width))
        for top in windows(height, 24, 16):
            for left in windows(width, 24, 16):
                part = slice(top, top + 24), slice(left, left + 24)
                total[(slice(None), *part)] += softmax(net, view[part])
                count[part] += 1
        return total / count

    array, expected = image(), 0
    for scale in (1.0, 2.0):
        scaled = resize(array, round(40 * scale * 5 / 7), round(40 * scale))
        both = (slide(scaled) + slide(scaled[:, ::-1])[..., ::-1]) / 2
        expected = expected + enlarge(both, 50, 70) / 2
    out = got(net, array, base=40, crop=24, stride=16, scales=[1.0, 2.0], flip=True)
    np.testing.assert_allclose(out, expected, atol=1e-5)


def test_the_shortcut_without_softmax_gives_the_same_classes(net):
    array = image()
    short = predict_image(net, array, PREPROCESS, EvalConfig(), CPU).asnumpy()
    assert short.dtype == np.uint8 and short.shape == (50, 70)
    assert (short == got(net, array).argmax(0)).mean() > 0.999


def test_large_logits_do_not_overflow(net):
    loud = ForeignNetwork(lambda x: net(x) * 1e5)
    out = class_probabilities(loud, image(), PREPROCESS, EvalConfig(scales=[0.5, 1.0], flip=True), CPU).asnumpy()
    assert np.isfinite(out).all()


def test_the_base_is_the_long_side_at_scale_one(net):
    sizes = []

    def seen(x):
        sizes.append(x.shape[2:])
        return net(x)

    spy = ForeignNetwork(seen)
    predict_image(spy, image(), Preprocess(base=140), EvalConfig(scales=[1.0, 0.5]), CPU)
    predict_image(spy, image(), Preprocess(base=140), EvalConfig(base=35), CPU)
    assert sizes == [(100, 140), (50, 70), (25, 35)]


def test_fit_and_multiple_give_the_originals_sizes(net):
    """AlignResize: keep the ratio within (long, short), then each side up to a multiple; scales multiply the sides."""
    seen = []

    def see(x):
        seen.append(x.asnumpy())
        return net(x)

    spy = ForeignNetwork(see)
    array = image()  # 50 x 70
    predict_image(spy, array, Preprocess(fit=(200, 60)), EvalConfig(multiple=32, scales=[1.0, 1.3]), CPU)
    assert [x.shape[2:] for x in seen] == [(64, 96), (96, 128)]  # 60x84 and 78x109 before
    expected = PREPROCESS(resize(resize(array, 60, 84), 64, 96)[None], CPU).asnumpy()
    np.testing.assert_array_equal(seen[0], expected)
    seen.clear()
    predict_image(spy, array, Preprocess(base=140), EvalConfig(fit=(70, 20), crop=16, stride=8), CPU)
    assert {x.shape[2:] for x in seen} == {(16, 16)} and len(seen) == 2 * 3  # 20x28
    assert got(net, array, fit=(200, 60), multiple=32).shape == (4, 50, 70)
    seen.clear()
    predict_image(spy, array[:48, :64], PREPROCESS, EvalConfig(multiple=16), CPU)
    assert seen[0].shape[2:] == (48, 64)


def test_logits_averaged_and_resized_before_the_softmax(net, blend):
    array = image()
    scaled = resize(array, 40, 56)
    total, count = np.zeros((4, 40, 56)), np.zeros((40, 56))
    for top in (0, 16):
        for left in (0, 16, 32):
            part = slice(top, top + 24), slice(left, left + 24)
            total[(slice(None), *part)] += net(PREPROCESS(scaled[part][None], CPU)).asnumpy()[0]
            count[part] += 1
    logits = enlarge(total / count, 50, 70).astype(np.float64)
    expected = np.exp(logits - logits.max(0))
    out = got(net, array, base=56, crop=24, stride=16, average="logits")
    np.testing.assert_allclose(out, expected / expected.sum(0), atol=1e-5)
    out = got(net, array, average="logits", scales=[1.0, 1.0], flip=True)
    np.testing.assert_allclose(out, got(net, array, flip=True), atol=1e-6)


@pytest.mark.parametrize("align_corners", [False, True])
def test_logits_are_resized_as_the_network_does(net, blend, align_corners):
    array = image()
    logits = net(PREPROCESS(resize(array, 40, 56)[None], CPU))
    logits = nd.contrib.BilinearResize2D(logits, height=50, width=70, align_corners=align_corners)
    np.testing.assert_allclose(
        got(ForeignNetwork(net, align_corners), array, base=56, average="logits"),
        nd.softmax(logits, axis=1)[0].asnumpy(),
        atol=1e-6,
    )


@pytest.mark.parametrize("average", ["probabilities", "logits"])
@pytest.mark.parametrize("model", ["fcn", "semantic_fpn"])  # corners aligned, and not
def test_a_network_gives_its_logits_at_their_own_resolution(model, average):
    net = create_model(model, "mobilenet_v2_0_25", num_classes=4)
    net.initialize(mx.init.Xavier(magnitude=4))
    factor = 2 / net(PREPROCESS(image()[None], CPU)).asnumpy().std()

    full_size = ForeignNetwork(lambda x: net(x) * factor, net.align_corners)
    own_size = ForeignNetwork(lambda x: net.coarse_logits(x) * factor, net.align_corners)
    config = dict(crop=[33, 40], stride=30, scales=[0.7, 1.3], flip=True, batch_size=4, average=average)
    full = got(full_size, image(), **config)
    assert full.std() > 0.01
    np.testing.assert_allclose(got(own_size, image(), **config), full, atol=1e-5)


@pytest.mark.parametrize("average, views", [("probabilities", 0), ("logits", 2)])
def test_memory_is_that_of_the_results_and_one_window(no_library, average, views):
    """Not of the classes at the size of a scale, which here would take 36 times as much as the result."""
    config = dict(crop=120, stride=120, scales=[6.0], flip=True, average=average)
    logits = nd.zeros((1, 4, 120, 120))
    result, window, scaled = 4 * 4 * 100 * 150, 4 * 4 * 120 * 120, 3 * 600 * 900
    constant = ForeignNetwork(lambda x: logits)
    got(constant, image(), **config)
    tracemalloc.start()
    got(constant, image(100, 150), **config)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < scaled + (2 + views) * result + 4 * window < 36 * result


def one_by_one(net, **settings):
    images = np.stack([image(24, 32, seed) for seed in range(2)])
    batch = class_probabilities(net, images, PREPROCESS, EvalConfig(**settings), CPU).asnumpy()
    maps = predict_images(net, images, PREPROCESS, EvalConfig(**settings), CPU).asnumpy()
    assert batch.shape == (2, 4, 24, 32) and batch.dtype == np.float32 and maps.dtype == np.uint8
    for one, alone, chosen in zip(images, batch, maps):
        np.testing.assert_allclose(alone, got(net, one, **settings), atol=1e-5)
        agree(alone, chosen)


def test_a_batch_is_its_images_one_by_one(net):
    one_by_one(net)
    one_by_one(net, base=40, crop=[30, 24], stride=16)


def test_a_batch_of_windows_and_mirror_images(net, blend):
    one_by_one(net, crop=[24, 20], flip=True, batch_size=3, average="logits")


def agree(probabilities, class_map):
    """The class map shows the greatest probability, or one that is as great but for rounding."""
    assert (class_map == probabilities.argmax(0)).mean() > 0.99
    shown = np.take_along_axis(probabilities, class_map[None].astype(int), 0)[0]
    np.testing.assert_allclose(shown, probabilities.max(0), atol=1e-5)
