"""Every number of a report against plain formulas over all pixels."""

import json

import numpy as np
import pytest
from scipy import stats

from mxnetseg.metrics import ConfusionMatrix
from mxnetseg.report.bootstrap import adjusted, interval, paired_p, resampled
from mxnetseg.report.numbers import numbers_of
from mxnetseg.report.rates import mean_iou
from mxnetseg.report.tally import Tally

from .made import maps, results


@pytest.fixture(scope="module")
def counted():
    """Maps of a few images, what was tallied of them, and a report's numbers of that."""
    rng = np.random.RandomState(0)
    each = [maps(rng) for _ in range(6)]
    made = results(pictures=False)
    tally = Tally(3)
    for one in each:
        tally.update(*one)
    made.arrays = tally.arrays()
    return each, made, numbers_of(made)


def flat(each):
    truth, prediction, confidence = (np.concatenate([one[i].ravel() for one in each]) for i in range(3))
    known = truth != 255
    return truth[known], prediction[known], confidence[known].astype(float)


def test_scores_by_class(counted):
    each, _, numbers = counted
    truth, prediction, _ = flat(each)
    for index, row in enumerate(numbers["per_class"]):
        t, p = truth == index, prediction == index
        expected = {
            "iou": (t & p).sum() / (t | p).sum(),
            "accuracy": (t & p).sum() / t.sum(),
            "precision": (t & p).sum() / p.sum(),
            "recall": (t & p).sum() / t.sum(),
            "dice": 2 * (t & p).sum() / (t.sum() + p.sum()),
        }
        assert {key: row[key]["value"] for key in expected} == pytest.approx(expected)
        assert row["pixels"] == t.sum() and row["predicted"] == p.sum() and row["images"] == 6
        assert all(row[key]["low"] <= row[key]["value"] <= row[key]["high"] for key in expected)
    assert numbers["scores"]["pa"]["value"] == pytest.approx((truth == prediction).mean())


def test_means_are_those_of_eval(counted):
    each, made, numbers = counted
    confusion = ConfusionMatrix(3)
    for truth, prediction, _ in each:
        confusion.update(truth, prediction)
    scores = confusion.scores(made.classes)
    assert numbers["confusion"] == confusion.matrix.tolist() and made.scores == scores
    found = numbers["scores"]
    assert (found["miou"]["value"], found["macc"]["value"]) == pytest.approx((scores.miou, scores.macc))
    for (truth, prediction, _), row in zip(each, numbers["images"]):
        single = ConfusionMatrix(3)
        single.update(truth, prediction)
        assert row["miou"] == pytest.approx(single.scores(made.classes).miou)
        assert row["pa"] == pytest.approx(single.scores(made.classes).pa)


def ece(right, confidence, bins=15):
    """Guo et al. 2017, equation 5."""
    total = 0.0
    for low in np.arange(bins) / bins:
        inside = (confidence >= low) & (confidence < low + 1 / bins)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return total


def test_calibration(counted):
    each, _, numbers = counted
    truth, prediction, confidence = flat(each)
    right = truth == prediction
    assert numbers["scores"]["ece"]["value"] == pytest.approx(ece(right, confidence))
    assert numbers["calibration"]["ece"] == pytest.approx(ece(right, confidence))
    assert sum(numbers["calibration"]["pixels"]) == len(truth)
    for index, row in enumerate(numbers["per_class"]):
        chosen = prediction == index
        assert row["ece"] == pytest.approx(ece(right[chosen], confidence[chosen]))
        assert row["confidence"] == pytest.approx(confidence[chosen].mean())
    for place in (0, 60, 90, 135, 149):
        above = confidence >= place / 150
        assert numbers["coverage"]["pixels"][place] == pytest.approx(above.mean())
        assert numbers["coverage"]["accuracy"][place] == pytest.approx(right[above].mean())
    for one, row in zip(each, numbers["images"]):
        truth, prediction, confidence = flat([one])
        wrong = truth != prediction
        assert row["confidence"] == pytest.approx(confidence.mean())
        assert row["sure_and_wrong"] == pytest.approx((wrong & (confidence >= 0.9)).mean())
        assert row["ece"] == pytest.approx(ece(~wrong, confidence))


def test_many_classes_and_full_confidence():
    """Class numbers times bins are beyond a byte; a confidence of 1 is in the last bin."""
    truth = np.arange(200, dtype=np.uint8).reshape(10, 20)
    tally = Tally(200)
    tally.update(truth, truth, np.ones(truth.shape, np.float32))
    found = tally.arrays()["confidence"]
    assert (found[:, -1, 0] == 1).all() and found[..., 0].sum() == 200


def test_what_is_taken_for_what(counted):
    _, made, numbers = counted
    matrix = made.matrix
    assert [pair["pixels"] for pair in numbers["confused"]] == sorted(
        (matrix[i, j] for i in range(3) for j in range(3) if i != j), reverse=True
    )
    for pair in numbers["confused"]:
        assert matrix[pair["truth"], pair["prediction"]] == pair["pixels"]
        assert pair["share"] == pytest.approx(pair["pixels"] / matrix[pair["truth"]].sum())


def test_nothing_to_score_is_no_number():
    """All ignored, and a class that is nowhere: None, and JSON takes it."""
    made = results(pictures=False)
    tally = Tally(3)
    tally.update(np.full((4, 4), 255, np.uint8), np.zeros((4, 4), np.uint8), np.ones((4, 4), np.float32))
    made.arrays, made.names = tally.arrays(), ["void"]
    numbers = json.loads(json.dumps(numbers_of(made), allow_nan=False))
    assert numbers["scores"]["miou"] == {"value": None, "low": None, "high": None}
    assert numbers["images"][0]["miou"] is None and numbers["images"][0]["worst_class"] is None
    assert set(numbers["calibration"]["accuracy"]) == {None} and numbers["confused"] == []


def test_the_bootstrap_is_that_of_scipy():
    rng = np.random.RandomState(0)
    right, pixels = rng.randint(20, 90, 40), np.full(40, 100)
    low, high = interval((lambda sums: sums[:, 0] / sums[:, 1])(resampled(np.stack([right, pixels], 1), 4000)))
    expected = stats.bootstrap(
        (right, pixels),
        lambda r, p, axis=-1: r.sum(axis) / p.sum(axis),
        paired=True,
        method="percentile",
        random_state=1,
    ).confidence_interval
    assert (low, high) == pytest.approx(expected, abs=0.005)


def test_the_paired_test_is_scipys_permutation_test():
    """Of ten images all 1024 ways to swap are few enough to be counted exactly."""
    rng = np.random.RandomState(2)
    one = np.stack([rng.randint(40, 80, 10), np.full(10, 100)], 1)
    other = one + np.stack([rng.randint(-4, 10, 10), np.zeros(10, int)], 1)

    def score(a, b, axis=-1):
        return b.mean(axis) - a.mean(axis)

    exact = stats.permutation_test((one[:, 0], other[:, 0]), score, permutation_type="samples", n_resamples=np.inf)
    found = paired_p(one, other, lambda sums: sums[..., 0] / sums[..., 1], 20000)
    assert found == pytest.approx(exact.pvalue, abs=0.012) and 0.01 < exact.pvalue < 0.9
    assert paired_p(one, one, lambda sums: sums[..., 0] / sums[..., 1]) == 1


def test_a_class_that_is_nowhere_has_no_test():
    counts = np.zeros((5, 2, 3), int)
    counts[:, 0] = [3, 5, 4]
    better = counts + [1, 0, 0]
    better[:, 1] = 0
    p = paired_p(counts, better, lambda sums: np.stack([mean_iou(sums[..., [c], :]) for c in range(2)], -1))
    assert np.isnan(p[1]) and p[0] < 0.2


def test_holm():
    assert adjusted([0.01, 0.04, float("nan"), 0.03])[:2] == pytest.approx([0.03, 0.06])
    assert np.isnan(adjusted([0.01, float("nan")])[1])
