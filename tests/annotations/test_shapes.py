"""Which pixels a shape has, and outlines that lead back to them."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageDraw

from mxnetseg.annotations.outlines import WITHIN, regions
from mxnetseg.annotations.shapes import Bitmap, Columns, Patch, Polygon, box, ellipse, line, minus, union
from mxnetseg.errors import MXNetSegError

MASKS = st.tuples(st.integers(1, 12), st.integers(1, 12)).flatmap(lambda size: arrays(bool, size))


def drawn(shapes, size):
    """The pixels of the shapes together, on an empty image."""
    canvas = np.zeros(size, bool)
    for shape in shapes:
        patch = shape.patch(*size)
        canvas[patch.window] |= patch.inside
    return canvas


def by_definition(corners, size):
    """Pixels whose centre lies inside: for each, the edges that cross the ray upwards are counted one by one."""
    inside = np.zeros(size, bool)
    for row, column in np.ndindex(*size):
        x, y = column + 0.5, row + 0.5
        for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0)):
            if (x0 <= x) != (x1 <= x):
                inside[row, column] ^= y0 + (x - x0) * (y1 - y0) / (x1 - x0) <= y
    return inside


@given(st.lists(st.tuples(st.integers(-8, 40), st.integers(-8, 40)), min_size=3, max_size=9))
@settings(max_examples=40, deadline=None)
def test_a_pixel_is_inside_if_its_centre_is(points):
    corners = np.array(points, np.float64) / 4  # also on centres, beyond the image, and crossing itself
    assert (drawn([Polygon(corners)], (7, 8)) == by_definition(corners, (7, 8))).all()


@given(MASKS)
@settings(max_examples=100, deadline=None)
def test_outlines_lead_back_to_the_mask(mask):
    found = list(regions(mask))
    assert (drawn([Polygon(region.one_ring()) for region in found], mask.shape) == mask).all()
    whole = np.zeros(mask.shape, bool)
    for region in found:
        rings = [Polygon(ring).patch(*mask.shape) for ring in (region.outer, *region.holes)]
        patch = rings[0]
        for hole in rings[1:]:
            assert hole.inside.any()
            patch = minus(patch, hole)
        assert not (whole[patch.window] & patch.inside).any()
        whole[patch.window] |= patch.inside
        ring = region.one_ring()
        steps = np.abs(np.roll(ring, -1, axis=0) - ring)
        assert (steps.min(1) == 0).all() and (ring == np.rint(ring)).all()  # along edges of pixels
    assert (whole == mask).all()


@given(MASKS)
@settings(max_examples=50, deadline=None)
def test_pycocotools_reads_the_outlines_alike(mask):
    coco = pytest.importorskip("pycocotools.mask")
    rings = [region.one_ring().ravel().tolist() for region in regions(mask, within=WITHIN)]
    if rings:
        assert (drawn([Polygon(np.reshape(ring, (-1, 2))) for ring in rings], mask.shape) == mask).all()
        assert (coco.decode(coco.merge(coco.frPyObjects(rings, *mask.shape))) == mask).all()


@pytest.mark.parametrize("tolerance", [0.0, 1.0])
def test_programs_that_cut_coordinates_to_whole_numbers(tolerance):
    """LabelMe fills with Pillow, others with OpenCV; both also paint what the edges run through."""
    rows, columns = np.mgrid[:90, :120]
    mask = (np.hypot(rows - 45, columns - 60) < 40) & (np.hypot(rows - 40, columns - 65) > 9)
    mask &= (columns % 40 != 3) & ((rows + columns) % 50 > 2)  # thin gaps
    mask |= (np.abs(columns - 110) < 2) | (rows == 88)  # and thin things
    pillow, opencv = Image.new("1", mask.shape[::-1]), np.zeros(mask.shape, np.uint8)
    for region in regions(mask, tolerance, 0.99, WITHIN):
        ring = region.one_ring()
        ImageDraw.Draw(pillow).polygon([tuple(point) for point in ring.tolist()], fill=1, outline=1)
        cv2.fillPoly(opencv, [ring.astype(np.int32)], 1)
    for back in (np.asarray(pillow), opencv > 0):
        assert (back & mask).sum() / (back | mask).sum() >= (0.99 if tolerance else 1)


def test_a_ring_never_touches_itself():
    mask = np.array([[1, 0, 1], [0, 1, 0], [1, 1, 1], [1, 0, 1], [1, 1, 0]], bool)
    found = list(regions(mask))
    assert len(found) == 3 and sorted(len(region.holes) for region in found) == [0, 0, 1]
    for region in found:
        for ring in (region.outer, *region.holes):
            assert len(np.unique(ring, axis=0)) == len(ring)


@pytest.mark.parametrize("tolerance", [0.5, 1.0, 3.0])
def test_simpler_outlines(tolerance):
    rows, columns = np.mgrid[:60, :80]
    mask = (np.hypot(rows - 30, columns - 40) < 25) & (np.hypot(rows - 30, columns - 45) > 6)
    exact, simple = (sum(len(r.one_ring()) for r in regions(mask, t)) for t in (0, tolerance))
    back = drawn([Polygon(region.one_ring()) for region in regions(mask, tolerance)], mask.shape)
    assert simple < exact and (back & mask).sum() / (back | mask).sum() > 1 - tolerance / 10


@pytest.mark.parametrize("tolerance", [1.0, 5.0])
def test_simpler_outlines_whichever_side_an_edge_belongs_to(tolerance):
    """Programs differ on pixels whose centres an edge runs through."""
    rows, columns = np.mgrid[:60, :80]
    slanted = (rows + columns) % 40 < 20
    for exact, region in zip(regions(slanted), regions(slanted, tolerance, 0.99)):
        part = drawn([Polygon(exact.one_ring())], slanted.shape)
        for aside in ([1e-6, 0], [-1e-6, 0], [0, 1e-6], [0, -1e-6]):
            back = drawn([Polygon(region.one_ring() + aside)], slanted.shape)
            assert (back & part).sum() / (back | part).sum() >= 0.99


def test_shapes_that_are_no_polygons():
    size = (40, 60)
    rows, columns = np.mgrid[:40, :60] + 0.5
    assert drawn([box(2, 3, 5, 7)], size).sum() == 12
    assert (drawn([box(2, 3, 6, 7, 90)], size) == drawn([box(2, 3, 6, 7)], size)).all()
    turned = drawn([box(10, 15, 50, 25, 30)], size)
    assert turned[9:12, 14:18].any() and not turned[28:31, 14:18].any()  # clockwise, as it is seen
    disc = drawn([ellipse(20, 20, 10, 5)], size)
    assert (disc != (((columns - 20) / 10) ** 2 + ((rows - 20) / 5) ** 2 < 1)).sum() < 4
    thick = drawn(line(np.array([[5.0, 10.0], [50.0, 10.0]]), 4), size)
    assert thick[8:12, 5:50].all() and not thick[:8].any() and not thick[12:].any()
    assert not drawn([box(100, 100, 120, 120), box(-9, -9, -1, -1), Polygon(np.zeros((3, 2)))], size).any()


def test_run_lengths():
    runs = Bitmap(-1, 2, (3, 2), np.array([1, 2, 1, 2]))
    assert np.argwhere(drawn([runs], (4, 5))).tolist() == [[0, 2], [1, 2], [1, 3]]  # the first row is above the image
    pytest.importorskip("pycocotools")
    columns = Columns((2, 3), [1, 2, 3])
    assert drawn([columns], (2, 3)).astype(int).tolist() == [[0, 1, 0], [1, 0, 0]]
    for counts in ([1, 2], [1, 2, 400], [-1, 7], [2**40], "\u20ac", "OOOOOO"):
        with pytest.raises(MXNetSegError, match="run lengths"):
            Columns((2, 3), counts).patch(2, 3)
    with pytest.raises(MXNetSegError, match="90000x80000"):
        Columns((80_000, 90_000), "11").patch(2, 3)  # nothing is allocated


def test_patches_together():
    one, two = Patch(1, 1, np.ones((2, 2), bool)), Patch(2, 2, np.ones((2, 3), bool))
    assert union([one, two]).inside.astype(int).tolist() == [[1, 1, 0, 0], [1, 1, 1, 1], [0, 1, 1, 1]]
    left = minus(one, two)
    assert left.inside[:2, :2].astype(int).tolist() == [[1, 1], [1, 0]] and left.inside.sum() == 3
    assert one.inside.all()
