"""Class maps of a huge picture: windows go through the network, and are blended where they overlap.

What is kept of a window is what the network gave for it, at the resolution it gave that: a 64th of the pixels, mostly.
Enlarging, softmax and averaging are left to `engine.blend`, for one cell of the result at a time. So memory is that of
one window's forward pass, of the logits of a row of windows, and of a cell's classes.
"""

import itertools
import math
from typing import Container, Dict, Iterable, Iterator, List, NamedTuple, Optional, Tuple

import numpy as np
from mxnet import nd

from ..ahead import ahead
from ..config.schema import EvalConfig
from ..data.files import ranged
from ..data.transforms import resize, scaled_size
from ..engine.blend import Blend, DeviceBlend, HostBlend
from ..engine.inference import windows
from ..network import channels_of
from ..ops.blend import Axis, resize_axis
from ..predictor import Predictor
from ..progress import progress_bar
from .picture import HugePicture

__all__ = ["CELL", "WINDOW", "Cell", "Side", "Tiling", "tiling"]

CELL = 256  # side of the result's tiles, each finished at once
WINDOW, OVERLAP = 512, 1 / 8  # side of the windows, and the share that two have in common, where nothing else is said
LOGITS = 256 << 20  # bytes of what the network gave that are kept
NO_CLASS = 255

Place = Tuple[int, int]


class Cell(NamedTuple):
    """A finished part of the result: its row and column among the cells, classes, and how sure the network is."""

    place: Place
    label: np.ndarray  # (h, w) uint8
    confidence: Optional[np.ndarray]  # (h, w) uint16, the greatest probability, 65535 for 1; where it was asked for


class View(NamedTuple):
    """What the network gave for a window at one scale, mirrored or not."""

    logits: nd.NDArray  # (C, h, w)
    height: int  # of what the network was given
    width: int
    mirrored: bool
    scale: float
    share: float  # of all views


class Side:
    """One side of a picture, and the windows along it.

    A window's weight falls off towards its ends over the pixels that it shares with the next one, as a squared sine;
    the weights of all windows at a pixel are made to add up to 1.
    """

    def __init__(self, size: int, window: int, stride: int):
        self.size, self.window, self.stride = size, min(window, size), stride
        self.starts = windows(size, self.window, stride)
        inside = np.arange(self.window)
        ramp = np.minimum(np.minimum(inside, inside[::-1]) + 1, window - stride + 1) / (window - stride + 1)
        self._weight = np.sin(np.pi / 2 * ramp) ** 2
        self._total = np.zeros(size)
        for start in self.starts:
            self._total[start : start + self.window] += self._weight

    def reaching(self, begin: int, end: int) -> List[int]:
        """Which windows have pixels from `begin` up to `end`."""
        return [i for i, start in enumerate(self.starts) if start < end and start + self.window > begin]

    def axis(self, index: int, begin: int, end: int, source: int, mirrored: bool, align_corners: bool) -> Axis:
        """How a view of window `index`, of `source` pixels, lands on the part [begin, end) of the picture."""
        start = self.starts[index]
        first, last = max(begin, start) - start, min(end, start + self.window) - start
        whole = resize_axis(source, self.window, align_corners)
        whole = whole.mirrored() if mirrored else whole
        weight = (self._weight[first:last] / self._total[start + first : start + last]).astype(np.float32)
        return Axis(source, start + first - begin, whole.index[:, first:last], whole.weight[:, first:last] * weight)


class Tiling(NamedTuple):
    """The windows of a picture, and the cells of its result."""

    rows: Side
    columns: Side

    @property
    def cells(self) -> Place:
        """Rows and columns of cells."""
        return -(-self.rows.size // CELL), -(-self.columns.size // CELL)

    def windows(self, cells: Iterable[Place]) -> List[Place]:
        """The windows that some cells need: all of these rows and columns, row by row."""
        tops, lefts = ({place[axis] for place in cells} for axis in (0, 1))
        return [(row, column) for row in _reaching(self.rows, tops) for column in _reaching(self.columns, lefts)]


def _reaching(side: Side, cells: Iterable[int]) -> List[int]:
    return sorted({index for cell in cells for index in side.reaching(cell * CELL, (cell + 1) * CELL)})


def tiling(height: int, width: int, config: EvalConfig) -> Tiling:
    """Windows as `config.crop` and `config.stride` say; of 512 pixels, a step of seven eighths, where they don't.

    A stride without a crop has no effect, as in `class_probabilities`.
    """
    crop = config.crop or WINDOW
    sides = (crop, crop) if isinstance(crop, int) else crop
    steps = (config.crop and config.stride) or tuple(math.ceil(side * (1 - OVERLAP)) for side in sides)
    steps = (steps, steps) if isinstance(steps, int) else steps
    rows, columns = (Side(*one) for one in zip((height, width), sides, steps))
    return Tiling(rows, columns)


def predict_cells(
    picture: HugePicture,
    predictor: Predictor,
    grid: Tiling,
    done: Container[Place],
    *,
    confidence: bool = False,
    progress: bool = True,
) -> Iterator[Cell]:
    """The cells of the result but those in `done`, in no order to rely on, with confidences if these are wanted.

    Raises
    ------
    MXNetSegError
        The picture can't be read, or is of another kind than the network was trained on.
    """
    work = _Work(picture, predictor, grid)
    down, across = grid.cells
    width = work.cells_at_once()
    rows = [(row, range(first, min(first + width, across))) for first in range(0, across, width) for row in range(down)]
    todo = [[(row, column) for column in columns if (row, column) not in done] for row, columns in rows]
    total = sum(len(set(grid.windows(cells)) - set(grid.windows(before))) for before, cells in zip([[], *todo], todo))
    with progress_bar(total=total, unit="window", desc=picture.path.name, shown=progress) as bar:
        for cells in todo:
            for count in work.infer(grid.windows(cells)):
                bar.update(count)
            for place in cells:
                yield work.cell(place, confidence)


class _Work:
    """What the network gave for the windows that are needed now."""

    def __init__(self, picture: HugePicture, predictor: Predictor, grid: Tiling):
        self.picture, self.predictor, self.grid = picture, predictor, grid
        self.views: Dict[Place, List[View]] = {}  # by window; none where the picture holds nothing
        self.classes = 0

    def cells_at_once(self) -> int:
        """How many columns of cells are done from the top to the bottom, so that their logits are not too many.

        The windows between two of such strips are predicted twice.
        """
        rows, columns = self.grid
        channels = channels_of(self.predictor.net)
        views = self._infer(np.zeros((1, rows.window, columns.window, channels), np.uint8))[0]
        self.classes = views[0].logits.shape[0]
        size = sum(4 * view.logits.size for view in views) * len(_reaching(rows, [min(1, self.grid.cells[0] - 1)]))
        return max(1, int(LOGITS // size * columns.stride // CELL) - 1)

    def infer(self, needed: List[Place]) -> Iterator[int]:
        """Make `views` those of these windows; yields how many were predicted for it, some at a time."""
        self.views = {place: self.views[place] for place in needed if place in self.views}
        missing = [place for place in needed if place not in self.views]
        size = self.predictor.config.batch_size
        batches = [missing[first : first + size] for first in range(0, len(missing), size)]
        previous: List[List[View]] = []
        for batch, images in zip(batches, ahead(map(self._read, batches))):
            self.views.update((place, []) for place in batch)
            there = [(place, image) for place, image in zip(batch, images) if image is not None]
            if there:
                views = self._infer(np.stack([image for _, image in there]))
                self.views.update((place, found) for (place, _), found in zip(there, views))
                # one batch is queued while another is computed, and no more: each takes memory
                for view in itertools.chain(*previous):
                    view.logits.wait_to_read()
                previous = views
            yield len(batch)

    def cell(self, place: Place, with_confidence: bool) -> Cell:
        """One cell, of the windows that reach it."""
        top, left = (index * CELL for index in place)
        bottom, right = min(top + CELL, self.grid.rows.size), min(left + CELL, self.grid.columns.size)
        label = np.full((bottom - top, right - left), NO_CLASS, np.uint8)
        confidence = np.zeros(label.shape, np.uint16) if with_confidence else None
        views = [(window, view) for window in self.grid.windows([place]) for view in self.views[window]]
        if views:
            scores = self._blended(views, (top, bottom), (left, right))
            label = nd.argmax(scores, axis=1)[0].astype("uint8").asnumpy()
            if confidence is not None:
                confidence = np.rint(nd.max(scores, axis=1)[0].asnumpy().clip(0, 1) * 65535).astype(np.uint16)
        if views and self.picture.nodata is not None:
            nothing = self.picture.holds_nothing(self.picture.read(top, left, *label.shape))
            label = label if nothing is None else np.where(nothing, np.uint8(NO_CLASS), label)
            confidence = confidence if nothing is None or confidence is None else np.where(nothing, 0, confidence)
        return Cell(place, label, confidence)

    def _blended(self, views: List[Tuple[Place, View]], rows: Place, columns: Place) -> nd.NDArray:
        """(1, C, h, w): probabilities of a part of the picture, averaged over the windows' views."""
        net, context = self.predictor.net, self.predictor.context
        make = HostBlend if context.device_type == "cpu" else DeviceBlend
        total: Blend = make(self.classes, rows[1] - rows[0], columns[1] - columns[0], context, net.align_corners)
        logits_first = self.predictor.config.average == "logits"
        aligned = logits_first and net.align_corners
        sums: Dict[Tuple[float, bool], Blend] = {}  # of logits
        for (row, column), view in views:
            down = self.grid.rows.axis(row, *rows, view.height, False, aligned)
            across = self.grid.columns.axis(column, *columns, view.width, view.mirrored, aligned)
            if logits_first:
                sums.setdefault((view.scale, view.mirrored), total.empty()).add(view.logits, down, across)
            else:
                total.add(view.logits, down.times(view.share), across, softmax=True)
        for one in sums.values():
            total.add_softmax(one, views[0][1].share)
        return total.result()

    def _read(self, batch: List[Place]) -> List[Optional[np.ndarray]]:
        """Windows as the network is fed with them; None for one that holds nothing."""
        return [self._window(self.grid.rows.starts[row], self.grid.columns.starts[column]) for row, column in batch]

    def _window(self, top: int, left: int) -> Optional[np.ndarray]:
        window = self.picture.read(top, left, self.grid.rows.window, self.grid.columns.window)
        limits = self.predictor.reading.range
        nothing = self.picture.holds_nothing(window)
        if nothing is not None:
            if nothing.all():
                return None
            window[nothing] = 0 if limits is None else limits[0]
        return ranged(window, limits, str(self.picture.path))

    def _infer(self, images: np.ndarray) -> List[List[View]]:
        """The views of some windows (N, h, w, channels)."""
        config, context = self.predictor.config, self.predictor.context
        height, width = images.shape[1:3]
        views: List[List[View]] = [[] for _ in images]
        share = 1 / (len(config.scales) * (2 if config.flip else 1))
        for scale in config.scales:
            size = scaled_size(height, width, scale)
            if config.multiple:
                size = (
                    -(-size[0] // config.multiple) * config.multiple,
                    -(-size[1] // config.multiple) * config.multiple,
                )
            scaled = np.stack([resize(image, *size) for image in images])
            for mirrored in (False, True) if config.flip else (False,):
                batch = self.predictor.preprocess(scaled[:, :, ::-1] if mirrored else scaled, context)
                for found, logits in zip(views, self.predictor.net.coarse_logits(batch)):
                    found.append(View(logits, *size, mirrored, scale, share))
        return views
