"""Where windows land: resizes, overlaps and mirror images as weighted sums of two pixels."""

import numpy as np
import pytest
from mxnet import nd

from mxnetseg.ops.blend import resize_axis


@pytest.mark.parametrize("source, target", [(7, 7), (5, 13), (13, 5), (1, 4), (4, 1), (1024, 37), (37, 1024)])
@pytest.mark.parametrize("align_corners", [False, True])
def test_a_resize_is_mxnets(source, target, align_corners):
    if (target, align_corners) == (1, False):
        pytest.skip("MXNet takes the first pixel there, PyTorch the middle")
    x = np.random.RandomState(0).rand(1, 1, source, 2).astype(np.float32)
    expected = nd.contrib.BilinearResize2D(nd.array(x), height=target, width=2, align_corners=align_corners).asnumpy()
    matrix = resize_axis(source, target, align_corners).matrix()
    np.testing.assert_allclose(matrix @ x[0, 0], expected[0, 0], atol=1e-6)


def test_a_single_target_is_the_middle():
    np.testing.assert_allclose(resize_axis(4, 1, False).matrix(), [[0, 0.5, 0.5, 0]])


@pytest.mark.parametrize("source, target", [(20, 20), (20, 47), (47, 20), (47, 3)])
@pytest.mark.parametrize("mirrored", [False, True])
def test_the_windows_shares_are_the_whole(source, target, mirrored):
    """What all windows give together is the resize of their average; a constant stays what it is."""
    whole = resize_axis(source, target, False)
    starts, size = [0, 5, 9, source - 8], 8
    starts = sorted({*starts, *range(9, source - 8, 6)})
    x = np.random.RandomState(1).rand(source).astype(np.float32)
    view = x[::-1] if mirrored else x
    together = np.zeros(target)
    for start in starts:
        axis = (whole.mirrored() if mirrored else whole).window(start, size, starts)
        if axis is None:
            continue
        assert axis.index.min() >= 0 and axis.index.max() < size
        together[axis.first : axis.first + len(axis)] += axis.matrix() @ view[start : start + size]
    np.testing.assert_allclose(together, whole.matrix() @ x, atol=1e-5)


def test_a_window_that_no_pixel_looks_into():
    assert resize_axis(1000, 2, False).window(0, 10, list(range(0, 1000, 10))) is None


def test_parts_are_slices():
    axis = resize_axis(50, 17, False)
    matrix = axis.matrix()
    for begin, end in [(0, 1), (3, 9), (16, 17)]:
        needed, part = axis.part(begin, end)
        assert part.first == begin and len(part) == end - begin
        np.testing.assert_array_equal(part.matrix(), matrix[begin:end, needed])
        assert np.count_nonzero(matrix[begin:end]) == np.count_nonzero(part.matrix())
