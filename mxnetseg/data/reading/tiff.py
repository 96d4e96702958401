"""TIFF files, and EXIF blocks, which are of the same form."""

import io
from typing import Any, Dict, List, NamedTuple, Tuple

import numpy as np

from ...errors import MXNetSegError
from ...optional import check_installed
from .header import Damaged, Header, unpack

__all__ = ["ORIENTATION", "Entry", "directory", "entries", "read_tiff", "tiff_header"]

# tags
SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 254, 256, 257, 258, 259, 262
STRIPS, ORIENTATION, SAMPLES, STRIP_BYTES, PLANAR = 273, 274, 277, 279, 284
TILES, TILE_BYTES, EXTRA, FORMAT = 324, 325, 338, 339

SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}  # bytes
FORMS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
MOST_ENTRIES, MOST_VALUES, MOST_PAGES = 512, 10_000_000, 10_000
JPEGS = (6, 7, 34892, 33003, 34712, 50001)
RGB, PALETTE = 2, 3

Tags = Dict[int, Tuple[int, ...]]


class Entry(NamedTuple):
    """A line of a directory: what it is about, the type and the number of its values, and where they are."""

    tag: int
    kind: int
    number: int
    place: int


def entries(data: Any, place: int = 0) -> Tuple[str, List[Entry], int]:
    """A directory (the first one for `place` 0) of a file's bytes, or of its `mmap`, as it is.

    `struct`'s letter for the order of bytes, the entries (those of unknown types left out), the place of the next one.

    Raises
    ------
    Damaged
        It lies outside `data`, or is too long. Where the values are is not looked at.
    """
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        raise Damaged("it is damaged")
    big = unpack(order + "H", data, 2)[0] == 43
    word, entry, width, inline = ("Q", 20, "Q", 8) if big else ("I", 12, "H", 4)
    if not place:
        (place,) = unpack(order + word, data, 8 if big else 4)
    (count,) = unpack(order + width, data, place)
    if count > MOST_ENTRIES:
        raise Damaged("it is damaged")
    place += 8 if big else 2
    found = []
    for at in range(place, place + count * entry, entry):
        tag, kind, number = unpack(order + "HH" + word, data, at)
        if kind not in SIZES:
            continue
        where = at + entry - inline
        if SIZES[kind] * number > inline:
            (where,) = unpack(order + word, data, where)
        found.append(Entry(tag, kind, number, where))
    return order, found, unpack(order + word, data, place + count * entry)[0]


def directory(data: Any, place: int = 0) -> Tuple[Tags, int]:
    """The whole numbers in a directory (the first one for `place` 0), by tag, and the place of the next one, or 0.

    Raises
    ------
    Damaged
        A place in it lies outside it.
    """
    order, found, following = entries(data, place)
    numbers = [one for one in found if one.kind in FORMS and one.number <= MOST_VALUES]
    return {tag: unpack(f"{order}{number}{FORMS[kind]}", data, at) for tag, kind, number, at in numbers}, following


def tiff_header(data: Any) -> Header:
    """The header of the first page; `pictures` counts the pages that are no smaller copies or masks of others."""
    tags, place = directory(data)
    seen, pictures = set(), 1
    while place and place not in seen:
        seen.add(place)
        page, place = directory(data, place)
        pictures += not page.get(SUBFILE, (0,))[0]
        if len(seen) > MOST_PAGES:
            raise Damaged("it holds too many pages")
    width, height = tags[WIDTH][0], tags[HEIGHT][0]
    samples = tags.get(SAMPLES, (1,))[0]
    bits, numbers = tags.get(BITS, (1,)), tags.get(FORMAT, (1,))
    for starts, counts in ((STRIPS, STRIP_BYTES), (TILES, TILE_BYTES)):
        if any(start + count > len(data) for start, count in zip(tags.get(starts, ()), tags.get(counts, ()))):
            raise Damaged("it is cut short")
    if len(set(bits)) > 1 or len(set(numbers)) > 1 or not {STRIPS, TILES} & set(tags) or not 0 < samples < 65536:
        raise Damaged("its header is damaged, or its channels are of different kinds")
    orientation = tags.get(ORIENTATION, (1,))[0]
    return Header(
        "TIFF",
        width,
        height,
        samples,
        bits[0],
        numbers={2: "i", 3: "f"}.get(numbers[0], "u"),
        alpha=tags.get(EXTRA, (0,))[-1] in (1, 2) and samples in (2, 4),
        palette=tags.get(PHOTOMETRIC, (1,))[0] == PALETTE,
        lossy=tags.get(COMPRESSION, (1,))[0] in JPEGS,
        orientation=orientation if 1 <= orientation <= 8 else 1,
        pictures=pictures,
    )


def opencv_reads(data: bytes) -> bool:
    """Whether OpenCV reads the first page as it is: grey or RGB in 8 or 16 bits or floats, interleaved, not turned."""
    tags, _ = directory(data)
    samples, bits = tags.get(SAMPLES, (1,))[0], tags.get(BITS, (1,))[0]
    kind = tags.get(FORMAT, (1,))[0]
    if bits <= 8 and kind == 1:  # colours of all kinds are made RGB
        plain = samples in (1, 3)
    else:
        plain = samples in (1, 3, 4) and (bits, kind) in ((16, 1), (32, 3))
        plain = plain and tags.get(PHOTOMETRIC, (1,))[0] in ((1,) if samples == 1 else (RGB,))
        plain = plain and not (samples == 4 and bits == 32)
    turned = tags.get(ORIENTATION, (1,))[0] != 1
    return plain and not turned and tags.get(PLANAR, (1,))[0] == 1


def read_tiff(data: bytes, title: str, header: Header) -> np.ndarray:
    """The first page as (H, W) or (H, W, channels), by tifffile.

    Raises
    ------
    MXNetSegError
        tifffile isn't installed.
    Damaged
        It can't read the file, or the values are not what the header says.
    """
    check_installed("tifffile", f"{title}: a TIFF file of a kind that OpenCV can't read")
    import tifffile

    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page = file.pages[0]
            values: np.ndarray = np.asarray(page.asarray(maxworkers=1))
            planes = values.ndim == 3 and values.shape[1:] == (header.height, header.width) and page.planarconfig == 2
    except MXNetSegError:
        raise
    except Exception as err:  # whatever the damage leads to
        raise Damaged(f"tifffile can't read it ({err or type(err).__name__})") from err
    values = np.moveaxis(values, 0, 2) if planes else values
    if values.shape[:2] != (header.height, header.width) or values.ndim > 3:
        raise Damaged(f"it holds an array of shape {values.shape}, not {header.height}x{header.width} pixels")
    return values
