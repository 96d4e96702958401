"""Regions of a mask as polygons along the edges of pixels, which `shapes` fills to the same pixels again."""

from typing import Iterator, List, NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageDraw

from .shapes import Polygon

__all__ = ["WITHIN", "Region", "regions"]

FINEST = 0.35  # pixels: below that hardly a corner is left out
WITHIN = 0.005  # pixels; more would let a tolerance of 0.7 take stairs for slopes
STEP = 0.85  # with which a tolerance that was too much is multiplied; halves would leave a third more corners
ASIDE = [(x, 0.43 * y) for x in (-1e-6, 1e-6) for y in (-1e-6, 1e-6)]  # pixels, to both sides of any edge


class Region(NamedTuple):
    """Pixels that hang together by their sides: the outer ring and those of the holes.

    `pixels` is how many it has. Rings are (N, 2) float64 corners x, y, without the first one again at the end. They
    touch at corners at most, and none touches itself, so this is a valid polygon for GeoJSON.
    """

    pixels: int
    outer: np.ndarray
    holes: List[np.ndarray]

    def one_ring(self) -> np.ndarray:
        """All rings as one, for formats without holes: into each hole and back along a vertical line of pixel edges.

        The line is a part of the ring twice, so that filling by the even-odd rule cancels it out.
        """
        ring = self.outer
        for hole in sorted(self.holes, key=lambda hole: (hole[:, 1].min(), hole[:, 0].min())):
            ring = _joined(ring, hole)
        return ring


def regions(inside: np.ndarray, tolerance: float = 0.0, least: float = 0.0, within: float = 0.0) -> Iterator[Region]:
    """The regions of an (H, W) bool mask.

    Parameters
    ----------
    tolerance : float
        Pixels by which outlines may be off, for fewer corners (Douglas-Peucker); 0: they are exact.
    least : float
        IoU that what outlines enclose has with the region at least: where it would be less, as it is with thin and
        small ones, that region's tolerance is made smaller until it is not.
    within : float
        Pixels by which right and lower edges are moved into the region (`WITHIN`). Programs that cut coordinates to
        whole numbers, and fill what the edges run through as well, as Pillow and OpenCV do, so get its own last pixels.
    """
    # regions that touch at a corner only are two: their common outline would cross itself
    count, parts, facts, _ = cv2.connectedComponentsWithStats(inside.astype(np.uint8), connectivity=4)
    for number in range(1, count):
        left, top, width, height = (int(value) for value in facts[number, :4])
        part = parts[top : top + height, left : left + width] == number
        # doubled, the contour's pixels tell on which side of them the edge is
        doubled = np.kron(part, np.ones((2, 2), np.uint8)).astype(np.uint8)
        found, order = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        rings = [_edges(contour[:, 0], within) for contour in found]
        outer = next(index for index, (_, _, _, parent) in enumerate(order[0]) if parent < 0)
        rings.insert(0, rings.pop(outer))
        exact = Region(int(facts[number, cv2.CC_STAT_AREA]), rings[0], rings[1:])
        region, allowed = _simpler(exact, tolerance), tolerance
        while allowed and _iou(region, part, within > 0) < least:
            allowed = STEP * allowed if STEP * allowed > FINEST else 0.0
            region = _simpler(exact, allowed)
        yield Region(region.pixels, region.outer + (left, top), [hole + (left, top) for hole in region.holes])


def _edges(contour: np.ndarray, within: float) -> np.ndarray:
    """A contour through the doubled pixels -> the corners of the pixels' edges, without those on straight lines."""
    ring = (contour + 1) // 2
    ring = ring[(ring != np.roll(ring, 1, axis=0)).any(1)]
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    kept = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    # of the two edges at a corner one is upright, the other level; OpenCV has the region to the left of both
    run, rise = (before + after)[kept].T
    corners: np.ndarray = ring[kept] - within * np.stack([rise < 0, run > 0], 1)
    return corners


def _simpler(region: Region, tolerance: float) -> Region:
    if not tolerance:
        return region
    outer, *holes = (
        cv2.approxPolyDP(ring.astype(np.float32)[:, None], tolerance, True)[:, 0].astype(np.float64)
        for ring in (region.outer, *region.holes)
    )
    kept = [fewer if len(fewer) > 2 else hole for fewer, hole in zip(holes, region.holes)]
    return Region(region.pixels, outer if len(outer) > 2 else region.outer, kept)


def _iou(region: Region, part: np.ndarray, cut: bool) -> float:
    """Of what the region's outlines enclose and the pixels it was made of.

    Programs that fill polygons differ on pixels whose centres an edge runs through: the least of all they may say. With
    `cut`, those that cut coordinates to whole numbers are among them: Pillow, with which LabelMe fills.
    """
    ring, found = region.one_ring(), 1.0
    patches = [Polygon(ring + aside).patch(*part.shape) for aside in ASIDE]
    filled = [(patch.inside, part[patch.window]) for patch in patches]
    if cut:
        height, width = part.shape
        whole = Image.new("1", (width, height))
        ImageDraw.Draw(whole).polygon([tuple(point) for point in ring.tolist()], fill=1, outline=1)
        filled.append((np.asarray(whole), part))
    for inside, there in filled:
        both = np.count_nonzero(inside & there)
        found = min(found, both / (np.count_nonzero(inside) + region.pixels - both))
    return found


def _joined(ring: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The ring with a detour to a hole inside it: straight up from the hole's top to the first edge."""
    start = np.lexsort((hole[:, 0], hole[:, 1]))[0]
    x, y = hole[start]
    run, rise = (np.roll(ring, -1, axis=0) - ring).T
    crossed = np.flatnonzero((run != 0) & (np.abs(2 * (x - ring[:, 0]) - run) <= np.abs(run)))
    heights = ring[crossed, 1] + (x - ring[crossed, 0]) / run[crossed] * rise[crossed]
    above = np.where(heights <= y, heights, -np.inf)
    if np.isfinite(above).any():
        edge, door = crossed[np.argmax(above)], [[x, above.max()]]
    else:  # simplified, a hole may stick out
        edge = np.argmin(np.abs(ring - hole[start]).sum(1))
        door = [ring[edge]]
    around = np.concatenate([hole[start:], hole[: start + 1]])
    return np.concatenate([ring[: edge + 1], door, around, door, ring[edge + 1 :]])
