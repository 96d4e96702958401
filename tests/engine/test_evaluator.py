"""Scoring and writing predictions of a whole split."""

import resource
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
from PIL import Image

from mxnetseg import create_model
from mxnetseg.config import DataConfig, EvalConfig
from mxnetseg.data import open_dataset
from mxnetseg.deploy.accuracy import compare
from mxnetseg.engine.checkpoint import Checkpoint
from mxnetseg.engine.evaluator import evaluate
from mxnetseg.engine.inference import Preprocess, predict_image
from mxnetseg.engine.ledger import maker_of
from mxnetseg.engine.predictions import write_predictions
from mxnetseg.engine.record import Record
from mxnetseg.errors import MXNetSegError
from mxnetseg.metrics import ConfusionMatrix
from mxnetseg.visual import colorize


def small_net(contexts=None):
    mx.random.seed(0)
    np.random.seed(0)
    net = create_model("fcn", "mobilenet_v2_0_25", num_classes=10)
    net.initialize(mx.init.Xavier(magnitude=4), ctx=contexts or mx.cpu())
    return net


@pytest.fixture
def val(streets):
    return open_dataset(DataConfig(name="streets", root=str(streets)), "val")


@pytest.mark.parametrize("contexts", [1, 2, 3])
@pytest.mark.parametrize("workers", [0, 1])
def test_scores_do_not_depend_on_contexts_or_workers(val, contexts, workers):
    contexts = [mx.cpu(i) for i in range(contexts)]
    confusion = ConfusionMatrix(10)
    net = small_net()
    for index in range(len(val)):
        sample = val.load(index)
        confusion.update(sample.label, predict_image(net, sample.image, Preprocess(), EvalConfig(), mx.cpu()).asnumpy())
    scores = evaluate(small_net(contexts), val, Preprocess(), EvalConfig(), contexts, workers, progress=False)
    assert scores == confusion.scores(val.classes)


def test_an_unlabelled_split_can_not_be_scored(streets):
    test = open_dataset(DataConfig(name="streets", root=str(streets)), "val", labelled=False)
    with pytest.raises(MXNetSegError, match="no labels to score against; predict it with --mode test"):
        evaluate(small_net(), test, Preprocess(), EvalConfig(), [mx.cpu()], progress=False)


def test_an_image_that_the_network_refuses_is_named(val, monkeypatch):
    def too_small(*args):
        raise MXNetSegError("the network can't take images of 2x2 pixels")

    monkeypatch.setattr("mxnetseg.engine.evaluator.predict_image", too_small)
    with pytest.raises(MXNetSegError, match=f"^{val.names[0]}: the network can't"):
        evaluate(small_net(), val, Preprocess(), EvalConfig(), [mx.cpu()], progress=False)


def test_int8_of_other_calibration_images_is_another_maker(val):
    found = Checkpoint(Path("a.params"), {}, Record(), "digest")
    images = [np.zeros((2, 3, 3), np.uint8), np.ones((2, 3, 3), np.uint8)]
    makers = [maker_of(found, EvalConfig(), "int8", given) for given in (images, images[:1], images[::-1], images)]
    assert len({maker.digest for maker in makers}) == 3 and makers[0] == makers[3]


@pytest.mark.parametrize("progress, count", [(False, 1), (True, 2)])
def test_scores_are_computed_for_the_bar_alone_and_at_the_end(streets, monkeypatch, progress, count):
    """The training split's ten images: the bar shows a score at the tenth."""
    original, calls = ConfusionMatrix.scores, []
    monkeypatch.setattr(ConfusionMatrix, "scores", lambda *args: calls.append(1) or original(*args))
    train = open_dataset(DataConfig(name="streets", root=str(streets)), "train")
    assert len(train) == 10
    assert evaluate(small_net(), train, Preprocess(), EvalConfig(), [mx.cpu()], progress=progress)
    assert len(calls) == count


def test_a_split_without_a_labelled_pixel_has_no_scores(own_folder, caplog):
    data = DataConfig(**own_folder, ignore=[0, 1, 2, 255], label_map={10: 0, 11: 1, 12: 2})
    dataset = open_dataset(data, "val")
    net = create_model("fcn", "mobilenet_v2_0_25", num_classes=3)
    net.initialize()
    assert evaluate(net, dataset, Preprocess(), EvalConfig(), [mx.cpu()], progress=False).miou is None
    assert "split 'val' of folder: all labels are ignored, so there is nothing to score" in caplog.text
    assert compare(net, net, dataset, Preprocess(), progress=False).lost is None


@pytest.mark.parametrize("miou_classes", ["seen", "truth"])
def test_the_recipe_says_which_classes_miou_averages(val, miou_classes):
    scores = evaluate(small_net(), val, Preprocess(), EvalConfig(miou_classes=miou_classes), [mx.cpu()], progress=False)
    assert scores.miou_classes == miou_classes


def test_it_can_be_stopped(val):
    assert evaluate(small_net(), val, Preprocess(), EvalConfig(), [mx.cpu()], progress=False, stop=lambda: True) is None


def test_predictions_are_written_and_nothing_is_overwritten(val, tmp_path):
    net, out = small_net(), tmp_path / "out"
    arguments = (net, val, Preprocess(), EvalConfig(), [mx.cpu()], out)
    assert write_predictions(*arguments, progress=False) == (4, 0, [])
    label = np.asarray(Image.open(out / "label" / "0001.png"))
    expected = predict_image(net, val.load(1).image, Preprocess(), EvalConfig(), mx.cpu()).asnumpy()
    np.testing.assert_array_equal(label, expected)
    np.testing.assert_array_equal(np.asarray(Image.open(out / "color" / "0001.png")), colorize(label, val.palette))
    (out / "label" / "0001.png").write_bytes(b"precious")
    with pytest.raises(MXNetSegError, match="is there already and 7 more; .*--overwrite"):
        write_predictions(*arguments, progress=False)
    assert (out / "label" / "0001.png").read_bytes() == b"precious"
    write_predictions(*arguments, overwrite=True, progress=False)
    np.testing.assert_array_equal(np.asarray(Image.open(out / "label" / "0001.png")), expected)


@pytest.mark.parametrize("ids", [(7, 11, 255), (2, 255, 458)])  # Pascal Context's go to 458
def test_label_ids_are_the_data_sets_own(own_folder, tmp_path, ids):
    data = DataConfig(**dict(own_folder, ignore=[0], label_map={value: i for i, value in enumerate(ids)}))
    dataset = open_dataset(data, "val", labelled=False)
    net = create_model("fcn", "mobilenet_v2_0_25", num_classes=3)
    net.initialize(mx.init.Xavier(magnitude=4))
    arguments = (net, dataset, Preprocess(), EvalConfig(), [mx.cpu()], tmp_path / "out")
    write_predictions(*arguments, label_ids=True, progress=False)
    for name in dataset.names:
        label, own = (np.asarray(Image.open(tmp_path / "out" / k / f"{name}.png")) for k in ("label", "label_ids"))
        np.testing.assert_array_equal(np.array(ids)[label], own)
        assert (own.dtype == np.uint8) == (max(ids) < 256)


def test_label_ids_need_a_map(val, tmp_path):
    with pytest.raises(MXNetSegError, match="--label-ids: streets has no ids"):
        write_predictions(small_net(), val, Preprocess(), EvalConfig(), [mx.cpu()], tmp_path / "out", label_ids=True)


def test_memory_stays_flat(val):
    net = small_net()
    net.hybridize(static_alloc=True)

    def peak(rounds):
        for _ in range(rounds):
            evaluate(net, val, Preprocess(), EvalConfig(scales=[0.5, 1.0], flip=True), [mx.cpu()], progress=False)
        mx.nd.waitall()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB

    before = peak(5)
    assert peak(20) - before < 20_000
