"""What annotators draw, as pixels: a pixel belongs to a shape if its centre lies inside.

Coordinates are in pixels, x to the right and y down, and (0, 0) is the upper left corner of the upper left pixel, whose
centre is (0.5, 0.5). A line that is crossed an even number of times leads outside (the even-odd rule), so a ring that
runs into a hole and back over the same edge leaves the hole out. cv2.fillPoly and Pillow draw the outline as well, half
a pixel too far; pycocotools rounds to fifths of pixels, and crashes on coordinates beyond its integers.
"""

import base64
from typing import Iterator, List, NamedTuple, Protocol, Sequence, Tuple, Union

import numpy as np

from ..config.schema import MAX_PIXELS
from ..data.masks import colours_in
from ..data.reading import Damaged, read_header
from ..errors import MXNetSegError
from ..optional import check_installed

__all__ = ["Bitmap", "Columns", "Patch", "Polygon", "Shape", "box", "ellipse", "line", "minus", "pixels", "union"]

EDGES = 1 << 20  # crossings that are held at once: a polygon of a million corners needs no more memory
ARC = 256  # corners of a circle


class Patch(NamedTuple):
    """A part of an image, and which of its pixels belong to a shape."""

    top: int
    left: int
    inside: np.ndarray  # (height, width) bool

    @property
    def window(self) -> Tuple[slice, slice]:
        """Its place in the image."""
        height, width = self.inside.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


class Polygon(NamedTuple):
    """A closed ring of corners, (N, 2) float64: x, y."""

    corners: np.ndarray

    def patch(self, height: int, width: int) -> Patch:
        """Its pixels in an image of that size; what lies beyond the image is cut off."""
        low, high = np.floor(self.corners.min(0)), np.ceil(self.corners.max(0))
        (left, top), (right, bottom) = np.clip([low, high], 0, [width, height]).astype(np.int64)
        toggles = np.zeros((max(bottom - top, 0) + 1, max(right - left, 0)), bool)
        for column, row in _crossings(self.corners, left, right, top, bottom):
            place, count = np.unique((row - top) * toggles.shape[1] + (column - left), return_counts=True)
            toggles.ravel()[place] ^= count % 2 == 1
        return Patch(int(top), int(left), np.logical_xor.accumulate(toggles[:-1], axis=0))


class Bitmap(NamedTuple):
    """Pixels as they are, their upper left corner at (left, top); what lies beyond the image is cut off.

    `runs` are lengths of pixels that are outside, inside, outside, ... row by row.
    """

    top: int
    left: int
    size: Tuple[int, int]  # height, width
    runs: np.ndarray

    def patch(self, height: int, width: int) -> Patch:
        """Its pixels in an image of that size."""
        rows, columns = self.size
        top, left = min(max(self.top, 0), height), min(max(self.left, 0), width)
        bottom, right = (
            min(max(end, 0), most) for end, most in ((self.top + rows, height), (self.left + columns, width))
        )
        inside = np.repeat(np.arange(len(self.runs)) % 2 == 1, self.runs).reshape(rows, columns)
        return Patch(top, left, inside[top - self.top : bottom - self.top, left - self.left : right - self.left])


class Columns(NamedTuple):
    """COCO's run lengths of a whole image, column by column: numbers, or packed into a string."""

    size: Tuple[int, int]  # height, width
    counts: Union[List[int], str]

    def patch(self, height: int, width: int) -> Patch:
        """Its pixels in an image of that size.

        Raises
        ------
        MXNetSegError
            They are of another size, or damaged; pycocotools is not installed.
        """
        if self.size != (height, width):
            raise MXNetSegError(
                f"run lengths of {self.size[1]}x{self.size[0]} in an image of {width}x{height} (width x height)"
            )
        check_installed("pycocotools", "reading COCO's run lengths")
        from pycocotools import mask

        try:
            counts = _unpacked(self.counts.encode("ascii")) if isinstance(self.counts, str) else self.counts
            if min(counts, default=0) < 0 or sum(counts) != height * width:  # pycocotools would leave pixels to chance
                raise ValueError(f"they fill {sum(counts)} of {height * width} pixels")
            packed = mask.frPyObjects(dict(size=self.size, counts=counts), height, width)
            return Patch(0, 0, mask.decode(packed).astype(bool))
        except (ValueError, OverflowError, TypeError) as err:
            raise MXNetSegError(f"run lengths that can't be read ({err})") from err


def _unpacked(text: bytes) -> List[int]:
    """The numbers in packed run lengths: five bits a character from 48 on, the sixth says that more follow; from the
    fourth number on, what is added to the last but one. Raises ValueError where they end within a number."""
    counts: List[int] = []
    value = shift = 0
    for character in text:
        bits = character - 48
        if not 0 <= bits < 64 or shift > 60:
            raise ValueError("characters that they can't hold")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (1 << shift) if bits & 16 else 0
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    if shift:
        raise ValueError("they are cut short")
    return counts


class Shape(Protocol):
    """What has pixels in an image of some size."""

    def patch(self, height: int, width: int) -> Patch: ...


def _crossings(
    corners: np.ndarray, left: int, right: int, top: int, bottom: int
) -> Iterator[Tuple[np.ndarray, np.ndarray]]:
    """Where edges cross the middles of columns: the columns, and the first row whose centre is not above."""
    begin, end = corners, np.roll(corners, -1, axis=0)
    # both directions of an edge are computed alike, so that they cancel out to the last bit
    swapped = (begin[:, 0] > end[:, 0])[:, None]
    begin, end = np.where(swapped, end, begin), np.where(swapped, begin, end)
    first = np.clip(np.ceil(begin[:, 0] - 0.5), left, right).astype(np.int64)
    count = np.clip(np.ceil(end[:, 0] - 0.5), left, right).astype(np.int64) - first
    crossing = np.flatnonzero(count)
    for part in _parts(crossing, count[crossing]):
        many = count[part]
        edge = np.repeat(part, many)
        column = first[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(many) - many, many)
        run, rise = (end[edge] - begin[edge]).T
        y = begin[edge, 1] + (column + 0.5 - begin[edge, 0]) * rise / run  # exact where it can be: divided last
        yield column, np.clip(np.ceil(y - 0.5), top, bottom).astype(np.int64)


def _parts(edges: np.ndarray, counts: np.ndarray) -> List[np.ndarray]:
    """The edges in parts of no more than about EDGES crossings."""
    ends = np.flatnonzero(np.diff(np.cumsum(counts) // EDGES)) + 1
    return np.split(edges, ends) if len(edges) else []


def box(left: float, top: float, right: float, bottom: float, turned: float = 0.0) -> Polygon:
    """A rectangle, turned by degrees (clockwise, as it is seen) about its middle."""
    middle = np.array([left + right, top + bottom]) / 2
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float64)
    return Polygon(_turn(corners, middle, turned))


def ellipse(x: float, y: float, across: float, down: float, turned: float = 0.0) -> Polygon:
    """An ellipse about (x, y) with these radii, turned by degrees, as a polygon of 256 corners."""
    angle = np.arange(ARC) * (2 * np.pi / ARC)
    middle = np.array([x, y], np.float64)
    return Polygon(_turn(middle + np.stack([across * np.cos(angle), down * np.sin(angle)], 1), middle, turned))


def line(points: np.ndarray, thickness: float) -> List[Polygon]:
    """A line through points (N, 2), that thick, with round ends."""
    radius = thickness / 2
    shapes = [ellipse(x, y, radius, radius) for x, y in points]
    for begin, end in zip(points[:-1], points[1:]):
        along = end - begin
        length = np.hypot(*along)
        if length > 0:
            side = np.array([-along[1], along[0]]) * (radius / length)
            shapes.append(Polygon(np.array([begin + side, end + side, end - side, begin - side])))
    return shapes


def pixels(png: str, top: int, left: int, most: int, max_pixels: int = MAX_PIXELS) -> Bitmap:
    """A bitmap from a PNG in base64, as LabelMe has it, of no more than `most` pixels.

    Raises
    ------
    MXNetSegError
        It is none, or larger.
    """
    try:
        data = base64.b64decode(png, validate=True)
        header = read_header(data)
    except (ValueError, Damaged) as err:
        raise MXNetSegError(f"the mask is no PNG in base64 that can be read ({err})") from err
    if header.width * header.height > most:
        raise MXNetSegError(f"a mask of {header.width}x{header.height} is larger than its image")
    inside = colours_in(data, "the mask", max_pixels).any(2)
    height, width = inside.shape
    return Bitmap(top, left, (height, width), _runs(inside))


def _runs(inside: np.ndarray) -> np.ndarray:
    """Run lengths, row by row, beginning with those outside."""
    flat = np.concatenate([[False], inside.ravel()])
    ends = np.flatnonzero(flat[1:] != flat[:-1])
    runs: np.ndarray = np.diff(np.concatenate([[0], ends, [inside.size]]))
    return runs


def _turn(corners: np.ndarray, middle: np.ndarray, degrees: float) -> np.ndarray:
    if not degrees:
        return corners
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turned: np.ndarray = (corners - middle) @ np.array([[cos, sin], [-sin, cos]]) + middle
    return turned


def union(patches: Sequence[Patch]) -> Patch:
    """The pixels of all of them."""
    if len(patches) == 1:
        return patches[0]
    top, left = min(patch.top for patch in patches), min(patch.left for patch in patches)
    bottom = max(patch.top + patch.inside.shape[0] for patch in patches)
    right = max(patch.left + patch.inside.shape[1] for patch in patches)
    inside = np.zeros((bottom - top, right - left), bool)
    for patch in patches:
        rows, columns = patch.inside.shape
        inside[patch.top - top :, patch.left - left :][:rows, :columns] |= patch.inside
    return Patch(top, left, inside)


def minus(patch: Patch, cut: Patch) -> Patch:
    """The pixels of `patch` that are not those of `cut`."""
    both = union([patch, cut])
    rows, columns = cut.inside.shape
    both.inside[cut.top - both.top :, cut.left - both.left :][:rows, :columns] &= ~cut.inside
    return both
