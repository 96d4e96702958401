"""Boundary IoU's pixels and distances against plain NumPy, by their definitions."""

import numpy as np
import pytest

from mxnetseg.report.borders import boundary, distances, width_of
from mxnetseg.report.tally import Tally

from .made import maps


def eroded(mask, times):
    """A mask eroded by a 3x3 square so often, with nothing outside the image."""
    for _ in range(times):
        padded = np.pad(mask, 1)
        shifts = [padded[y : y + mask.shape[0], x : x + mask.shape[1]] for y in range(3) for x in range(3)]
        mask = np.logical_and.reduce(shifts)
    return mask


def reference(truth, prediction, share):
    """Boundary IoU of two masks as the paper's section 4 defines it, with d as a share of the diagonal."""
    width = max(1, int(round(share * np.sqrt(truth.shape[0] ** 2 + truth.shape[1] ** 2))))
    one, other = (mask & ~eroded(mask, width) for mask in (truth, prediction))
    return (one & other).sum(), (one | other).sum()


@pytest.mark.parametrize("shape", [(24, 32), (61, 47), (1, 9), (5, 120)])
def test_boundary_iou_is_that_of_cheng_et_al(shape):
    rng = np.random.RandomState(3)
    truth, prediction = (rng.randint(0, 3, (shape[0] // 6 + 1, shape[1] // 6 + 1)).astype(np.uint8) for _ in range(2))
    truth, prediction = (np.kron(m, np.ones((6, 6), np.uint8))[: shape[0], : shape[1]] for m in (truth, prediction))
    tally = Tally(3)
    tally.update(truth, prediction, np.ones(shape, np.float32))
    for place, share in enumerate((0.02, 0.005)):
        for index in range(3):
            expected = reference(truth == index, prediction == index, share)
            assert tuple(tally.arrays()["boundary"][0, place, index]) == expected, (share, index)


def test_both_end_where_the_truth_is_ignored():
    """What lies behind such pixels changes nothing, and their edge is a boundary of both."""
    rng = np.random.RandomState(0)
    truth, prediction, confidence = maps(rng)
    tally, other = Tally(3), Tally(3)
    tally.update(truth, prediction, confidence)
    other.update(truth, np.where(truth == 255, np.uint8(2), prediction), confidence)
    assert (tally.arrays()["boundary"] == other.arrays()["boundary"]).all()
    known = truth != 255
    for index in range(3):
        expected = reference((truth == index) & known, (prediction == index) & known, 0.02)
        assert tuple(tally.arrays()["boundary"][0, 0, index]) == expected


def test_widths():
    assert width_of((300, 400), 0.02) == 10 and width_of((3, 4), 0.02) == 1 and width_of((1024, 2048), 0.005) == 11


def test_boundary_at_the_edge_of_the_image():
    assert boundary(np.zeros((7, 7), np.uint8), 2).sum() == 49 - 9
    assert boundary(np.zeros((3, 3), np.uint8), 5).all()


def test_distances_are_those_of_a_king():
    rng = np.random.RandomState(1)
    values = np.kron(rng.randint(0, 3, (3, 4)), np.ones((7, 9))).astype(np.uint8)
    values[4, 5] = 255
    places = np.argwhere(np.ones_like(values, bool)).reshape(*values.shape, 2)
    found = distances(values)
    for y, x in places[::4, ::5].reshape(-1, 2):
        other = places[values != values[y, x]]
        assert found[y, x] == np.abs(other - (y, x)).max(1).min()
    assert np.isinf(distances(np.zeros((4, 4), np.uint8))).all()


def test_bands_hold_the_pixels_near_borders():
    """A border of two halves, and one mistake at a distance of three pixels from it."""
    truth = np.zeros((10, 20), np.uint8)
    truth[:, 10:] = 1
    prediction = truth.copy()
    prediction[5, 7] = 1
    tally = Tally(2)
    tally.update(truth, prediction, np.ones(truth.shape, np.float32))
    counts = tally.arrays()["bands"].cumsum(0)
    assert counts[0].tolist() == [[10, 10, 10], [10, 10, 10]]
    assert counts[1].tolist() == [[20, 20, 20], [20, 20, 20]]
    assert counts[2].tolist() == [[29, 30, 29], [30, 30, 31]]
    assert counts[-1].tolist() == [[99, 100, 99], [100, 100, 101]]
