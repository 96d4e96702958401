"""Confidence and entropy of probabilities."""

import numpy as np

from mxnetseg.certainty import confidence, entropy


def test_the_ends_and_what_is_between():
    columns = [[1, 0, 0], [1 / 3] * 3, [0.5, 0.5, 0], [0.7, 0.2, 0.1]]
    probabilities = np.array(columns, np.float32).T[:, None]  # (3, 1, 4)
    np.testing.assert_allclose(confidence(probabilities), [[1, 1 / 3, 0.5, 0.7]])
    nats = [0, np.log(3), np.log(2), -(0.7 * np.log(0.7) + 0.2 * np.log(0.2) + 0.1 * np.log(0.1))]
    got = entropy(probabilities)
    np.testing.assert_allclose(got * np.log(3), [nats], atol=1e-6)
    assert got.dtype == np.float32 and got.min() == 0 and got.max() <= 1
    batch = np.stack([probabilities, probabilities[:, :, ::-1]])
    np.testing.assert_array_equal(entropy(batch)[1], got[:, ::-1])
    np.testing.assert_array_equal(entropy(np.ones((1, 2, 2), np.float32)), np.zeros((2, 2)))
