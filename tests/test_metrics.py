"""Scores equal a naive reference exactly."""

import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mxnetseg.errors import MXNetSegError
from mxnetseg.metrics import ConfusionMatrix


def naive(pairs, classes, miou_classes):
    """PA, mAcc, mIoU, per-class IoU and accuracy, pixel by pixel in plain Python."""
    both = [(int(t), int(p)) for truth, prediction in pairs for t, p in zip(truth.ravel(), prediction.ravel())]
    both = [(t, p) for t, p in both if t != 255]
    iou, accuracy = [], []
    for c in range(classes):
        true = sum(t == c for t, _ in both)
        hit = sum(t == c and p == c for t, p in both)
        union = sum(t == c or p == c for t, p in both)
        iou.append(hit / union if union else None)
        accuracy.append(hit / true if true else None)

    def mean(values):
        values = [v for v in values if v is not None]
        return sum(values) / len(values) if values else None

    correct = sum(t == p for t, p in both)
    averaged = iou if miou_classes == "seen" else [i for i, a in zip(iou, accuracy) if a is not None]
    return correct / len(both) if both else None, mean(accuracy), mean(averaged), iou, accuracy


@st.composite
def class_maps(draw):
    classes = draw(st.integers(1, 9))
    values = st.one_of(st.integers(0, classes - 1), st.just(255))
    pairs = []
    for _ in range(draw(st.integers(1, 3))):
        shape = draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
        truth = draw(arrays(np.uint8, shape, elements=values))
        pairs.append((truth, draw(arrays(np.uint8, shape, elements=st.integers(0, classes - 1)))))
    return classes, pairs


@settings(max_examples=300, deadline=None)
@given(class_maps(), st.sampled_from(["seen", "truth"]))
def test_scores_equal_the_naive_reference_exactly(drawn, miou_classes):
    classes, pairs = drawn
    confusion = ConfusionMatrix(classes)
    for truth, prediction in pairs:
        confusion.update(truth, prediction)
    scores = confusion.scores([f"c{i}" for i in range(classes)], miou_classes)
    assert (scores.pa, scores.macc, scores.miou, scores.iou, scores.accuracy) == naive(pairs, classes, miou_classes)
    assert scores.absent == [f"c{i}" for i in range(classes) if scores.accuracy[i] is None]


@pytest.mark.parametrize("miou_classes, miou", [("seen", (0.5 + 1 + 0) / 3), ("truth", (0.5 + 1) / 2)])
def test_classes_that_the_truth_lacks(miou_classes, miou):
    """c is predicted, d is not. mmsegmentation 0.29.1 gives for these maps aAcc 2/3, mAcc 0.75 and mIoU 0.5; mIoU of
    torchmetrics 1.9.0 and of Cityscapes' evaluator is 0.5, too."""
    confusion = ConfusionMatrix(4)
    confusion.update(np.array([0, 0, 1, 255], np.uint8), np.array([0, 2, 1, 3], np.uint8))
    scores = confusion.scores(["a", "b", "c", "d"], miou_classes)
    assert (scores.pa, scores.macc, scores.miou) == (2 / 3, 0.75, miou)
    assert scores.iou == [0.5, 1, 0, None] and scores.accuracy == [0.5, 1, None, None]
    table, content = scores.table(), scores.to_dict()
    assert f"PA 66.67  mAcc 75.00  mIoU {100 * miou:.2f}\n" in table
    assert "neither in the truth nor predicted, left out of the means: d\n" in table
    how = {"seen": "0 in mIoU, left out of mAcc", "truth": "left out of the means"}[miou_classes]
    assert table.endswith(f"not in the truth, but predicted, {how}: c")
    assert content["absent"] == ["c", "d"] and content["only_predicted"] == ["c"]
    assert content["classes"]["c"] == {"iou": 0, "accuracy": None, "pixels": 0}
    assert content["miou_classes"] == miou_classes
    assert content["confusion"] == [[1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_counts_stay_exact_beyond_float_precision():
    confusion = ConfusionMatrix(2)
    confusion.matrix[:] = [[2**53, 1], [0, 3]]
    confusion.update(np.zeros(1, np.uint8), np.zeros(1, np.uint8))
    assert confusion.matrix.dtype == np.int64 and confusion.matrix[0, 0] == 2**53 + 1
    assert confusion.scores(["a", "b"]).pixels[0] == 2**53 + 2


def test_images_beyond_float_precision():
    """The histogram is float32, which is exact up to 2^24: larger images are counted in parts."""
    truth = np.zeros((4097, 4099), np.uint8)
    truth[0, :3] = 1, 255, 255
    confusion = ConfusionMatrix(2)
    confusion.update(truth, np.zeros_like(truth))
    assert confusion.matrix.tolist() == [[truth.size - 3, 0], [1, 0]] and truth.size > 2**24


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (7,), (2, 3, 4)])
def test_any_shape_and_layout(shape):
    truth = np.random.RandomState(0).randint(0, 4, shape).astype(np.uint8)
    confusion = ConfusionMatrix(4)
    confusion.update(truth.T[..., ::-1] if truth.ndim else truth, truth.T[..., ::-1] if truth.ndim else truth)
    assert confusion.matrix.tolist() == np.diag(np.bincount(truth.ravel(), minlength=4)).tolist()


def test_where_nothing_is_labelled_there_are_no_scores():
    confusion = ConfusionMatrix(2)
    confusion.update(np.full(3, 255, np.uint8), np.array([0, 1, 1], np.uint8))
    scores = confusion.scores(["a", "b"])
    assert (scores.pa, scores.macc, scores.miou) == (None, None, None) and scores.absent == ["a", "b"]
    assert "PA -  mAcc -  mIoU -" in scores.table()
    assert json.loads(json.dumps(scores.to_dict(), allow_nan=False))["miou"] is None


@pytest.mark.parametrize(
    "truth, prediction, message",
    [
        (np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8), "shape"),
        (np.zeros(2, np.int64), np.zeros(2, np.uint8), "uint8"),
        (np.array([3], np.uint8), np.array([0], np.uint8), "truth 3, prediction 0"),
        (np.array([0], np.uint8), np.array([255], np.uint8), "truth 0, prediction 255"),
    ],
)
def test_mistakes(truth, prediction, message):
    with pytest.raises(MXNetSegError, match=message):
        ConfusionMatrix(3).update(truth, prediction)


def test_memory_stays_flat():
    rng = np.random.RandomState(0)
    truth, prediction = rng.randint(0, 19, (2, 128, 256)).astype(np.uint8)
    confusion = ConfusionMatrix(19)
    tracemalloc.start()
    grown = []
    for _ in range(3):  # other threads of the process may keep something meanwhile; what leaks grows every time
        confusion.update(truth, prediction)
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(100):
            confusion.update(truth, prediction)
        grown.append(tracemalloc.get_traced_memory()[0] - before)
    tracemalloc.stop()
    assert min(grown) < 10_000


def test_a_truth_that_is_all_ignored_is_told():
    confusion = ConfusionMatrix(2)
    confusion.update(np.full((3, 4), 255, np.uint8), np.zeros((3, 4), np.uint8))
    table = confusion.scores(["a", "b"]).table()
    assert table.endswith("PA -  mAcc -  mIoU -\nall pixels of the truth are ignored: there is nothing to score")
