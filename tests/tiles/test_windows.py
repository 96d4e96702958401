"""Windows of a huge picture blended into one class map."""

import itertools

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import nn

from mxnetseg import Predictor, create_model
from mxnetseg.config.schema import EvalConfig
from mxnetseg.data.files import Reading
from mxnetseg.engine.record import Feeding, Record
from mxnetseg.tiles import windows
from mxnetseg.tiles.picture import HugePicture
from mxnetseg.tiles.windows import NO_CLASS, Side, predict_cells, tiling

tifffile = pytest.importorskip("tifffile")

RNG = np.random.RandomState(0)
IMAGE = np.kron(RNG.randint(0, 256, (30, 40, 3)), np.ones((10, 10, 1))).astype(np.uint8)  # 300 x 400


@pytest.fixture(autouse=True)
def small_cells(monkeypatch):
    monkeypatch.setattr(windows, "CELL", 64)


@pytest.fixture
def picture():
    tifffile.imwrite("a.tif", IMAGE, tile=(64, 64))
    with HugePicture("a.tif", Reading()) as opened:
        yield opened


def pointwise():
    """A network in which no pixel knows of another."""
    net = nn.HybridSequential()
    net.add(nn.Conv2D(7, 1, in_channels=3))
    net.initialize(mx.init.Normal(1))
    return net


def whole(picture, predictor, confidence=True, done=()):
    """The result of all cells, put together."""
    grid = tiling(picture.height, picture.width, predictor.config)
    label = np.full((picture.height, picture.width), 99, np.uint8)
    sure = np.zeros(label.shape, np.uint16)
    for cell in predict_cells(picture, predictor, grid, done, confidence=confidence, progress=False):
        top, left = (index * windows.CELL for index in cell.place)
        here = (slice(top, top + cell.label.shape[0]), slice(left, left + cell.label.shape[1]))
        label[here] = cell.label
        if confidence:
            sure[here] = cell.confidence
    return label, sure / 65535


def test_a_stride_without_a_crop_leaves_nothing_out():
    assert [(side.window, side.stride) for side in tiling(2000, 3000, EvalConfig(stride=600))] == 2 * [(512, 448)]


@pytest.mark.parametrize(
    "size, window, stride", [(1000, 100, 70), (900, 90, 90), (64, 64, 32), (50, 64, 32), (65, 64, 1)]
)
def test_the_weights_of_all_windows_add_up_to_one(size, window, stride):
    side = Side(size, window, stride)
    total = np.zeros(size)
    for begin in range(0, size, 37):
        end = min(begin + 37, size)
        for index in side.reaching(begin, end):
            axis = side.axis(index, begin, end, side.window, False, False)
            assert axis.weight.min() >= 0
            total[begin + axis.first : begin + axis.first + len(axis)] += axis.weight.sum(axis=0)
    np.testing.assert_allclose(total, 1, atol=1e-6)
    assert set(side.reaching(0, size)) == set(range(len(side.starts)))


@pytest.mark.parametrize(
    "config",
    [
        dict(crop=128),
        dict(crop=[100, 120], stride=[61, 77], batch_size=3),
        dict(crop=128, flip=True, average="logits", batch_size=4),
        dict(crop=512),
    ],
    ids=str,
)
def test_without_neighbours_it_is_what_the_whole_picture_gives(picture, config):
    net = pointwise()
    predictor = Predictor(net, config=EvalConfig(**config))
    label, sure = whole(picture, predictor)
    logits = net(predictor.preprocess(IMAGE[None], mx.cpu()))
    expected = mx.nd.softmax(logits, axis=1)[0].asnumpy()
    order = np.sort(expected, axis=0)
    clear = order[-1] - order[-2] > 1e-5
    assert clear.mean() > 0.99
    np.testing.assert_array_equal(label[clear], Predictor(net)(IMAGE)[clear])
    np.testing.assert_allclose(sure, expected.max(axis=0), atol=3e-5)


def test_scales(picture):
    net = pointwise()
    label, _ = whole(picture, Predictor(net, config=EvalConfig(crop=128, scales=[0.5, 1, 1.5], flip=True)))
    small = Predictor(net, config=EvalConfig(scales=[0.5, 1, 1.5], flip=True))(IMAGE)
    assert (label == small).mean() > 0.99


def test_a_network_sees_windows_and_their_overlaps_are_blended(picture):
    """Against the same with one probability per pixel and class, in NumPy."""
    np.random.seed(0)
    net = create_model("bisenet", "mobilenet_v2_0_25", 10, width=16, spatial_width=8)
    net.initialize(mx.init.Xavier(magnitude=4))
    predictor = Predictor(net, config=EvalConfig(crop=128, stride=96))
    label, sure = whole(picture, predictor)
    rows, columns = tiling(300, 400, predictor.config)
    assert rows.starts == [0, 96, 172] and columns.starts == [0, 96, 192, 272]
    ramp = np.sin(np.pi / 2 * np.minimum(np.minimum(np.arange(1, 129), np.arange(128, 0, -1)), 33) / 33) ** 2
    total, weights = np.zeros((10, 300, 400)), np.zeros((300, 400))
    alone = np.zeros((300, 400), np.uint8)
    for top, left in itertools.product(rows.starts, columns.starts):
        here = (slice(top, top + 128), slice(left, left + 128))
        logits = net(predictor.preprocess(IMAGE[here][None], mx.cpu()))
        total[(slice(None), *here)] += ramp[:, None] * ramp * mx.nd.softmax(logits, axis=1)[0].asnumpy()
        weights[here] += ramp[:, None] * ramp
        alone[here] += 1
    expected = total / weights
    order = np.sort(expected, axis=0)
    clear = order[-1] - order[-2] > 1e-4
    assert clear.mean() > 0.95 and len(np.unique(label)) > 2
    np.testing.assert_array_equal(label[clear], expected.argmax(axis=0)[clear])
    np.testing.assert_allclose(sure, expected.max(axis=0), atol=1e-4)
    assert (alone > 1).any()
    # where one window alone sees a pixel, it is what that window gives as a picture of its own
    own = Predictor(net)(np.ascontiguousarray(IMAGE[:128, :128]))
    assert (own[:96, :96] == label[:96, :96]).mean() > 0.999


def test_strips_give_the_same_where_memory_is_short(picture, monkeypatch):
    net = pointwise()
    config = EvalConfig(crop=128, stride=96)
    expected, _ = whole(picture, Predictor(net, config=config))
    calls = []
    predictor = Predictor(net, config=config)
    coarse = predictor.net.coarse_logits
    monkeypatch.setattr(predictor.net, "coarse_logits", lambda x: calls.append(len(x)) or coarse(x))
    np.testing.assert_array_equal(whole(picture, predictor)[0], expected)
    assert sum(calls) == 1 + 12  # one to see how large its logits are
    calls.clear()
    monkeypatch.setattr(windows, "LOGITS", 7 * 128 * 128 * 4 * 2 * 3)
    np.testing.assert_array_equal(whole(picture, predictor)[0], expected)
    assert sum(calls) > 1 + 12


def test_what_is_done_is_left_out(picture, monkeypatch):
    net = pointwise()
    predictor = Predictor(net, config=EvalConfig(crop=128, stride=96))
    full, _ = whole(picture, predictor)
    calls = []
    coarse = predictor.net.coarse_logits
    monkeypatch.setattr(predictor.net, "coarse_logits", lambda x: calls.append(len(x)) or coarse(x))
    done = [place for place in itertools.product(range(5), range(7)) if place not in [(4, 0), (4, 6)]]
    label, _ = whole(picture, predictor, done=done)
    np.testing.assert_array_equal(label[256:, :64], full[256:, :64])
    np.testing.assert_array_equal(label[256:, 384:], full[256:, 384:])
    assert (label[:256] == 99).all() and (label[256:, 64:384] == 99).all() and sum(calls) <= 1 + 3


def test_pixels_that_hold_nothing_have_no_class(monkeypatch):
    image = IMAGE.copy()
    image[:200, :150] = 0
    image[250, 350] = 0
    image[260, 300, 0] = 0  # in one channel alone: a value like others
    tifffile.imwrite("b.tif", image, tile=(64, 64), extratags=[(42113, 2, 2, "0", True)])
    net, seen = pointwise(), []
    predictor = Predictor(net, config=EvalConfig(crop=64, stride=64))
    coarse = predictor.net.coarse_logits
    monkeypatch.setattr(predictor.net, "coarse_logits", lambda x: seen.append(len(x)) or coarse(x))
    with HugePicture("b.tif", Reading()) as opened:
        label, sure = whole(opened, predictor)
    nothing = (image == 0).all(axis=2)
    np.testing.assert_array_equal(label == NO_CLASS, nothing)
    assert (sure[nothing] == 0).all() and (sure[~nothing] > 0).all()
    assert sum(seen) == 1 + 5 * 7 - 3 * 2  # windows that hold nothing are not predicted


def test_channels_and_ranges():
    """Four channels of 12 bits, of which the network takes three in another order."""
    values = RNG.randint(0, 4096, (150, 130, 4)).astype(np.uint16)
    tifffile.imwrite("c.tif", values, photometric="minisblack", planarconfig="contig", rowsperstrip=10)
    net = pointwise()
    feeding = Feeding(channels=[3, 0, 1], range=[0, 4095], mean=[100] * 3, std=[50] * 3)
    foreign = windows.Predictor(net).net
    foreign.record = Record(feeding=feeding)
    predictor = Predictor(foreign, config=EvalConfig(crop=64))
    with HugePicture("c.tif", predictor.reading) as opened:
        label, _ = whole(opened, predictor)
    assert (label == Predictor(foreign)("c.tif")).mean() > 0.999
