"""A huge TIFF picture, read by windows."""

import logging
from collections import OrderedDict
from pathlib import Path
from typing import Dict, Optional, Tuple, Type, Union

import numpy as np

from ..data.decoding import naming
from ..data.files import Reading, values_of
from ..data.reading import Damaged
from ..optional import check_installed
from ..saving import explained
from .blocks import Blocks, Value

__all__ = ["HugePicture"]

log = logging.getLogger(__name__)

LEAST, MOST = 64 << 20, 384 << 20  # bytes of decoded blocks that are kept
REMEDY = "save it in tiles: gdal_translate -co TILED=YES IN.tif OUT.tif"


class HugePicture:
    """A TIFF file of any size, of which only the windows that are asked for are decoded. A context: it is an open file.

    Parameters
    ----------
    path : str or Path
    reading : Reading
        The channels to take. `max_pixels` is a limit on its strips and tiles, not on the picture.
    rows : int
        Height of the windows that will be read, from the left to the right and from the top to the bottom: so much
        is kept as these need, up to 384 MB.

    Attributes
    ----------
    height, width : int
    values : dict of int to Value
        What its directory holds, by tag.
    order : str
        `struct`'s letter for the order of its bytes.
    nodata : float or None
        The value that GDAL's tag names for pixels that hold nothing.

    Raises
    ------
    MXNetSegError
        It is no TIFF file, damaged, of a kind that can't be read, or can't be read by windows.
    """

    def __init__(self, path: Union[str, Path], reading: Reading, rows: int = 512):
        check_installed("tifffile", f"{path}: pictures by windows")  # it writes the results
        self.path, self._reading = Path(path), reading
        self._kept: OrderedDict[Tuple[int, int], np.ndarray] = OrderedDict()
        self._bytes = 0  # of those
        with explained(path, "read"):
            self._file = open(path, "rb")  # noqa: SIM115
        with naming(path, "an image"):
            try:
                self._blocks = blocks = Blocks(self._file)
                self.height, self.width = blocks.header.height, blocks.header.width
                self.values: Dict[int, Value] = blocks.values
                self.order, self.nodata = blocks.order, blocks.nodata
                self._limit = self._needed(rows)
            except BaseException:
                self._file.close()
                raise

    def __enter__(self) -> "HugePicture":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], *_: object) -> None:
        self._file.close()

    def read(self, top: int, left: int, height: int, width: int) -> np.ndarray:
        """(height, width, channels) of the values in the file.

        Raises
        ------
        MXNetSegError
            It is damaged there.
        """
        high, wide = self._blocks.high, self._blocks.wide
        window: Optional[np.ndarray] = None
        for row in range(top // high, -(-(top + height) // high)):
            for column in range(left // wide, -(-(left + width) // wide)):
                block = self._block(row, column)
                if window is None:
                    window = np.empty((height, width, block.shape[2]), block.dtype)
                down, across = row * high - top, column * wide - left
                part = block[max(0, -down) : height - down, max(0, -across) : width - across]
                rows, columns = max(0, down), max(0, across)
                window[rows : rows + part.shape[0], columns : columns + part.shape[1]] = part
        assert window is not None  # a window is inside the picture
        return window

    def holds_nothing(self, window: np.ndarray) -> Optional[np.ndarray]:
        """Where all channels are GDAL's "no data", (h, w) bool; None where nothing is."""
        if self.nodata is None:
            return None
        nothing = np.isnan(window) if np.isnan(self.nodata) else window == self.nodata
        everywhere: np.ndarray = nothing.all(axis=2)
        return everywhere if everywhere.any() else None

    def _block(self, row: int, column: int) -> np.ndarray:
        found = self._kept.get((row, column))
        if found is not None:
            self._kept.move_to_end((row, column))
            return found
        with naming(self.path, "an image"):
            data = self._blocks.block(row, column)
        block = values_of(data, self.path, self._reading)
        self._kept[row, column] = block
        self._bytes += block.nbytes
        while self._bytes > self._limit and len(self._kept) > 1:
            self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return block

    def _needed(self, rows: int) -> int:
        """Bytes to keep, for blocks not to be decoded for every window anew."""
        blocks = self._blocks
        channels = 3 if self._reading.channels is None else len(self._reading.channels)
        line = blocks.wide * blocks.across * channels * max(1, blocks.header.bits // 8)
        band = (-(-rows // blocks.high) + 1) * blocks.high * line
        if band > MOST and blocks.across == 1 and blocks.down > 1:
            what = "is stored in strips over its whole width, of which too many would have to be kept"
            if blocks.streamed:
                raise Damaged(f"it {what}", REMEDY)
            log.warning("%s: %s, and will be read many times over; %s", self.path, what, REMEDY)
        return min(max(LEAST, band), MOST)
