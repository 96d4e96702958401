"""What a TIFF file is made of - strips or tiles - as small TIFF files, one for each.

A small file goes through the reader that any other picture goes through. So its values are the same, and whatever a
small picture is refused for, a part of a huge one is, too.
"""

import mmap
import os
import struct
import zlib
from typing import BinaryIO, Dict, List, Mapping, NamedTuple, Optional, Tuple

import numpy as np

from ..data.reading import Damaged, Header
from ..data.reading.header import unpack
from ..data.reading.strips import DEFLATES
from ..data.reading.tiff import (
    BITS,
    COMPRESSION,
    EXTRA,
    FORMAT,
    HEIGHT,
    PHOTOMETRIC,
    PLANAR,
    SAMPLES,
    SIZES,
    STRIP_BYTES,
    STRIPS,
    TILE_BYTES,
    TILES,
    WIDTH,
    Tags,
    directory,
    entries,
    tiff_header,
)

__all__ = ["NODATA", "Blocks", "Value"]

FILL_ORDER, ROWS_PER_STRIP, PREDICTOR, COLOURS, TILE_WIDTH, TILE_HEIGHT, JPEG_TABLES = 266, 278, 317, 320, 322, 323, 347
# what says how values are to be decoded; 529 to 532: of YCbCr
KEPT = (
    BITS,
    PHOTOMETRIC,
    FILL_ORDER,
    SAMPLES,
    PLANAR,
    PREDICTOR,
    COLOURS,
    EXTRA,
    FORMAT,
    JPEG_TABLES,
    *range(529, 533),
)
NODATA = 42113  # GDAL's, a number as text
PLAIN, YCBCR = 1, 6
SIDE = 512  # of the blocks that a picture without compression is cut into
WHOLE = 64 << 20  # bytes of a strip that is decoded at once; a larger one piece by piece, if that can be
PIECE = 4 << 20
CHUNK = 1 << 20


class Value(NamedTuple):
    """What an entry of a directory holds: type, number and bytes."""

    kind: int
    number: int
    content: bytes


class Blocks:
    """The blocks of an open TIFF file, its first page: `down` rows of `across`, `high` x `wide` pixels each.

    Those of the last row and column may be smaller, or be filled up.

    Attributes
    ----------
    header : Header
    values : dict of int to Value
        The small values of the directory, by tag; of georeference, among others.
    order : str
        `struct`'s letter for the order of bytes.
    nodata : float or None
        The value that GDAL's tag names for pixels that hold nothing.
    streamed : bool
        Whether blocks can only be had from the top to the bottom; going back begins anew.

    Raises
    ------
    Damaged
        The file is no TIFF file, damaged, turned, holds several pages, or its only strip can't be read in parts.
    """

    def __init__(self, file: BinaryIO):
        self._file = file
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if data[:4] not in (b"II*\0", b"II+\0", b"MM\0*", b"MM\0+"):
                raise Damaged("not a TIFF file", "only these can be read by windows")
            self.header: Header = _usable(tiff_header(data))
            tags, _ = directory(data)
            self.order, found, _ = entries(data)
            small = [one for one in found if SIZES[one.kind] * one.number <= 1 << 20]
            self.values: Dict[int, Value] = {
                tag: Value(kind, number, _bytes(data, place, SIZES[kind] * number))
                for tag, kind, number, place in small
            }
        self.nodata = _number(self.values.get(NODATA))
        self._cut(tags)

    def _cut(self, tags: Tags) -> None:
        header = self.header
        self._compression = tags.get(COMPRESSION, (PLAIN,))[0]
        planes = header.channels if tags.get(PLANAR, (1,))[0] == 2 else 1
        self._bits = header.bits * header.channels // planes  # of a pixel in a plane
        tiled = TILES in tags
        self._offsets, self._counts = tags[TILES if tiled else STRIPS], tags[TILE_BYTES if tiled else STRIP_BYTES]
        sides = (tags[TILE_HEIGHT][0], tags[TILE_WIDTH][0]) if tiled else (0, 0)
        self.high, self.wide = (
            sides if tiled else (min(tags.get(ROWS_PER_STRIP, (1 << 32,))[0], header.height), header.width)
        )
        if self.high < 1 or self.wide < 1:
            raise Damaged("its header is damaged")
        self._rows, self._column_blocks = self.high, -(-header.width // self.wide)
        self._per_plane = -(-header.height // self.high) * self._column_blocks
        if len(self._offsets) != self._per_plane * planes or len(self._counts) != len(self._offsets):
            raise Damaged("its header is damaged")
        self._firsts = range(0, len(self._offsets), self._per_plane)  # of each plane
        self.streamed, self._plain = False, False
        if not tiled and self._compression == PLAIN and tags.get(PHOTOMETRIC, (1,))[0] != YCBCR and not self._bits % 8:
            self._plain = all(self._is_one_run(first) for first in self._firsts)
        strip = self.high * self._line(self.wide)
        if self._plain:
            self.high, self.wide = min(SIDE, header.height), min(SIDE, header.width)
        elif strip > WHOLE and not tiled and self._compression in DEFLATES:
            self.high, self.streamed = max(1, PIECE // self._line(self.wide)), True
            self._streams: Dict[int, _Stream] = {}
        elif strip > 4 * WHOLE:
            kind = "tile" if tiled else "strip"
            what = (
                f"compressed (type {self._compression}) in one {kind} of {self.wide}x{self.high} pixels, which can't be"
            )
            raise Damaged(
                f"it is {what} read in parts", "save it in tiles: gdal_translate -co TILED=YES IN.tif OUT.tif"
            )
        self.down, self.across = -(-header.height // self.high), -(-header.width // self.wide)

    def block(self, row: int, column: int) -> bytes:
        """A block as a TIFF file of its own.

        Raises
        ------
        Damaged
        """
        height, width = self.high, self.wide
        if self._plain or self._column_blocks == 1 and self.wide == self.header.width:
            height = min(height, self.header.height - row * self.high)
        if self._plain:
            width = min(width, self.header.width - column * self.wide)
        compression, size = self._compression, height * self._line(width)
        if self._plain:
            parts = [self._cut_out(first, row, column, height, width) for first in self._firsts]
        elif self.streamed:
            parts = [self._inflated(first, row * self.high, height) for first in self._firsts]
        else:
            places = [first + row * self.across + column for first in self._firsts]
            parts = [self._stored(place, 2 * size + CHUNK) for place in places]
            if not all(parts):  # GDAL's way of leaving blocks out
                parts, compression = [self._empty(size)] * len(parts), PLAIN
            elif compression in DEFLATES:  # OpenCV would make nothing of damage
                parts = [zlib.compress(_inflated(part, size), 0) for part in parts]
        return _file(self.order, width, height, compression, self.values, parts)

    def _line(self, width: int) -> int:
        """Bytes of a row in a plane."""
        return -(-width * self._bits // 8)

    def _is_one_run(self, first: int) -> bool:
        """Whether the strips of a plane lie one behind the other, with nothing between them."""
        line, ends = self._line(self.header.width), self.header.height
        places = range(first, first + self._per_plane)
        sizes = [line * min(self.high, ends - index * self.high) for index in range(self._per_plane)]
        starts = self._offsets[first : first + self._per_plane]
        return all(self._counts[place] >= size for place, size in zip(places, sizes)) and all(
            before + size == start for before, size, start in zip(starts, sizes, starts[1:])
        )

    def _cut_out(self, first: int, row: int, column: int, height: int, width: int) -> bytes:
        line, pixel = self._line(self.header.width), self._bits // 8
        start = self._offsets[first] + row * self.high * line + column * self.wide * pixel
        return b"".join(self._read(start + index * line, width * pixel) for index in range(height))

    def _stored(self, place: int, most: int) -> bytes:
        if self._counts[place] > most:
            raise Damaged("its header is damaged")
        return self._read(self._offsets[place], self._counts[place])

    def _empty(self, size: int) -> bytes:
        if self.nodata is None or self.header.bits % 8:
            return bytes(size)
        kind = np.dtype(f"{self.order}{self.header.numbers}{self.header.bits // 8}")
        return np.full(size // kind.itemsize, self.nodata).astype(kind).tobytes()

    def _inflated(self, first: int, top: int, height: int) -> bytes:
        """Rows of a plane whose strips are too large to be decoded whole, as deflate again, but without compression."""
        line = self._line(self.wide)
        rows, done = [], 0
        while done < height:
            strip, begin = divmod(top + done, self._rows)
            count = min(height - done, self._rows - begin)
            stream = self._streams.get(first)
            if stream is None or (stream.strip, stream.place) != (strip, begin * line):
                if stream is None or stream.strip != strip or stream.place > begin * line:
                    stream = _Stream(self, first + strip, strip)
                    self._streams[first] = stream
                stream.skip(begin * line - stream.place)
            rows.append(stream.take(count * line))
            done += count
        return zlib.compress(b"".join(rows), 0)

    def _read(self, start: int, count: int) -> bytes:
        data = os.pread(self._file.fileno(), count, start)
        if len(data) != count:
            raise Damaged("it is cut short")
        return data


class _Stream:
    """A strip of deflate, from its begin to its end."""

    def __init__(self, blocks: Blocks, index: int, strip: int):
        self._blocks, self.strip, self.place = blocks, strip, 0
        self._next, self._left = blocks._offsets[index], blocks._counts[index]
        self._inflate = zlib.decompressobj()
        self._waiting = b""

    def take(self, count: int) -> bytes:
        parts, missing = [], count
        while missing:
            if not self._waiting and self._left:
                size = min(CHUNK, self._left)
                self._waiting = self._blocks._read(self._next, size)
                self._next, self._left = self._next + size, self._left - size
            try:
                part = self._inflate.decompress(self._waiting, missing)
            except zlib.error as err:
                raise Damaged(f"it is damaged ({err})") from err
            self._waiting = self._inflate.unconsumed_tail
            if not part and not self._waiting and not self._left:
                raise Damaged("it is cut short")
            parts.append(part)
            missing -= len(part)
        self.place += count
        return b"".join(parts)

    def skip(self, count: int) -> None:
        while count:
            step = min(count, PIECE)
            self.take(step)
            count -= step


def _usable(header: Header) -> Header:
    if header.width < 1 or header.height < 1:
        raise Damaged(f"its header says {header.width}x{header.height} pixels")
    if header.pictures > 1:
        raise Damaged("it holds several pages", "save the one that is meant in a file of its own")
    if header.orientation != 1:
        raise Damaged(f"it is stored turned (orientation {header.orientation})", "save it upright")
    return header


def _number(value: Optional[Value]) -> Optional[float]:
    try:
        return float(value.content.rstrip(b"\0 ")) if value else None
    except ValueError:
        return None


def _inflated(data: bytes, size: int) -> bytes:
    """Deflate of `size` bytes, or of more, which are left out: OpenCV and tifffile both leave them out."""
    try:
        content = zlib.decompressobj().decompress(data, size)
    except zlib.error as err:
        raise Damaged(f"it is damaged ({err})") from err
    if len(content) < size:
        raise Damaged("it is cut short")
    return content


def _bytes(data: "mmap.mmap", place: int, size: int) -> bytes:
    content: bytes = unpack(f"{size}s", data, place)[0]
    return content


def _file(
    order: str, width: int, height: int, compression: int, values: Mapping[int, Value], planes: List[bytes]
) -> bytes:
    """A TIFF file of one strip in each plane."""
    place = 8
    starts = []
    for plane in planes:
        starts.append(place)
        place += len(plane) + len(plane) % 2

    def numbers(*values: int) -> Value:
        return Value(4, len(values), struct.pack(f"{order}{len(values)}I", *values))

    tags: List[Tuple[int, Value]] = [(tag, values[tag]) for tag in KEPT if tag in values and values[tag].kind < 16]
    tags += [(WIDTH, numbers(width)), (HEIGHT, numbers(height)), (COMPRESSION, numbers(compression))]
    tags += [(STRIPS, numbers(*starts)), (STRIP_BYTES, numbers(*map(len, planes))), (ROWS_PER_STRIP, numbers(height))]
    lines, outside = [], b""
    behind = place + 2 + 12 * len(tags) + 4
    for tag, (kind, number, content) in sorted(tags):
        inline = content.ljust(4, b"\0")
        if len(content) > 4:
            inline = struct.pack(order + "I", behind + len(outside))
            outside += content + b"\0" * (len(content) % 2)
        lines.append(struct.pack(order + "HHI", tag, kind, number) + inline)
    start = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "I", place)
    body = b"".join(plane + b"\0" * (len(plane) % 2) for plane in planes)
    return b"".join([start, body, struct.pack(order + "H", len(tags)), *lines, bytes(4), outside])
