"""sIoU of components against its definition over sets of pixels."""

import cv2
import numpy as np

from mxnetseg.report.components import SIDES, components, size_names

from .made import maps


def pieces(mask):
    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    return [set(map(tuple, np.argwhere(labels == number))) for number in range(1, count)]


def reference(truth, prediction, classes):
    """Chan et al. 2021, equation 3: |k and K'| / |(k or K') less other components|, K' being what touches k."""
    sums = np.zeros((classes, len(SIDES) + 1, 4))
    for index in range(classes):
        true, predicted = pieces(truth == index), pieces(prediction == index)

        def place(piece):
            return sum(len(piece) >= side * side for side in SIDES)

        for piece in true:
            touching = set().union(*(other for other in predicted if other & piece))
            others = set().union(*(other for other in true if other is not piece))
            siou = len(piece & touching) / len((piece | touching) - others)
            sums[index, place(piece)] += [1, siou, siou > 0.5, 0]
        for piece in predicted:
            sums[index, place(piece), 3] += not any(piece & other for other in true)
    return sums


def test_components_as_sets_of_pixels():
    rng = np.random.RandomState(0)
    for _ in range(4):
        truth, prediction, _ = maps(rng, (40, 40))
        prediction[truth == 255] = 255
        assert np.allclose(components(truth, prediction, 3), reference(truth, prediction, 3))


def test_one_prediction_over_two_components():
    """Each is measured without the other's pixels: 4 of 4 + 2 between them."""
    truth = np.full((2, 6), 255, np.uint8)
    truth[:, :2] = truth[:, 4:] = 1
    truth[:, 2:4] = 0
    prediction = np.ones((2, 6), np.uint8)
    found = components(truth, prediction, 2)
    assert found[1, 0].tolist() == [2, 2 * 4 / 8, 0, 0] and found[0, 0].tolist() == [1, 0, 0, 0]


def test_sizes():
    found = components(np.zeros((16, 16), np.uint8), np.zeros((16, 16), np.uint8), 1)
    assert found[0, size_names().index("16–32"), 0] == 1 and len(size_names()) == found.shape[1]
