"""Views added up at an image's size: the library's pass, NumPy's, and the same done step by step."""

import numpy as np
import pytest

from mxnetseg.ops.blend import add_view, composed, resize_axis

# classes, coarse -> view -> sum: larger, smaller, as they are, single rows and columns, more columns than one tile has
SIZES = (
    (5, (6, 9), (41, 65), (50, 70)),
    (19, (24, 33), (96, 130), (31, 47)),
    (3, (40, 30), (40, 30), (40, 30)),
    (150, (5, 70), (40, 560), (33, 400)),
    (2, (1, 7), (9, 50), (20, 1)),
    (4, (8, 1), (30, 3), (1, 40)),
    (1, (3, 3), (20, 20), (16, 50)),
)


def by_library(*args, **options):
    add_view(*args, **options)


def by_numpy(total, logits, rows, columns, *, align_corners, softmax):
    composed.add_view(total, logits, rows, columns, align_corners, softmax, 1)


@pytest.fixture(params=[by_library, by_numpy])
def add(operators, request):
    return request.param


def step_by_step(logits, rows, columns, shape, corners, softmax):
    """In float64, with matrices."""
    values = logits.astype(np.float64)
    for dimension, axis in ((1, rows), (2, columns)):
        enlarge = resize_axis(logits.shape[dimension], axis.source, corners).matrix()
        values = np.moveaxis(np.tensordot(enlarge, values, (1, dimension)), 0, dimension)
    if softmax:
        values = np.exp(values - values.max(0))
        values /= values.sum(0)
    total = np.zeros(shape)
    part = rows.matrix() @ values @ columns.matrix().T
    total[:, rows.first :, columns.first :][:, : len(rows), : len(columns)] = part
    return total


@pytest.mark.parametrize("softmax", [True, False])
@pytest.mark.parametrize("corners", [True, False])
@pytest.mark.parametrize("classes, coarse, view, size", SIZES)
def test_whole_views(add, classes, coarse, view, size, corners, softmax):
    rng = np.random.RandomState(0)
    logits = (3 * rng.standard_normal((classes, *coarse))).astype(np.float32)
    total = rng.rand(classes, *size).astype(np.float32)
    rows, columns = (resize_axis(*sides, False) for sides in zip(view, size))
    expected = total + step_by_step(logits, rows, columns.mirrored(), total.shape, corners, softmax)
    add(total, logits, rows, columns.mirrored(), align_corners=corners, softmax=softmax)
    np.testing.assert_allclose(total, expected, atol=1e-4 if not softmax else 1e-5)


@pytest.mark.parametrize("size", [(50, 1400), (170, 900)])
def test_windows(add, size):
    """Each where it belongs, nothing outside; what is averaged weighs 1 in all."""
    view, window, starts = (100, 1000), (60, 400), ([0, 30, 40], [0, 300, 600])
    rng = np.random.RandomState(1)
    rows, columns = (resize_axis(*sides, False) for sides in zip(view, size))
    total, expected = np.zeros((7, *size), np.float32), np.zeros((7, *size))
    for top in starts[0]:
        for left in starts[1]:
            logits = rng.standard_normal((7, 15, 50)).astype(np.float32)
            part = rows.window(top, window[0], starts[0]), columns.window(left, window[1], starts[1])
            add(total, logits, *part, align_corners=True, softmax=True)
            expected += step_by_step(logits, *part, total.shape, True, True)
    np.testing.assert_allclose(total, expected, atol=3e-6)
    np.testing.assert_allclose(total.sum(0), 1, atol=1e-5)


def test_logits_of_any_layout_and_size(operators):
    """A view of a larger array, in double precision, huge numbers among them."""
    logits = np.zeros((9, 20, 4))
    logits[3] = 1e4
    logits[5, 4:] = -1e30
    rows, columns = resize_axis(40, 13, False), resize_axis(30, 17, False)
    total = np.zeros((4, 13, 17), np.float32)
    add_view(total, logits.transpose(2, 0, 1)[:, :, ::2], rows, columns, align_corners=False, softmax=True)
    np.testing.assert_allclose(total.sum(0), 1, atol=1e-6)


def test_numpys_pieces(monkeypatch):
    """Cut small, by several threads."""
    rng = np.random.RandomState(3)
    logits = rng.standard_normal((4, 20, 30)).astype(np.float32)
    rows, columns = resize_axis(80, 61, False), resize_axis(120, 97, False)
    whole, pieces = (np.zeros((4, 61, 97), np.float32) for _ in range(2))
    composed.add_view(whole, logits, rows, columns, True, True, 1)
    monkeypatch.setattr(composed, "PIECE", 500)
    monkeypatch.setattr(composed, "WIDE", 16)
    composed.add_view(pieces, logits, rows, columns, True, True, 2)
    np.testing.assert_allclose(pieces, whole, atol=1e-6)
