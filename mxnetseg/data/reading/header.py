"""What the first bytes of a picture say of it: kind, size, channels, bits, orientation."""

import re
import struct
from typing import Any, Callable, Iterator, NamedTuple, Tuple

__all__ = ["PNG_PIXELS", "Damaged", "Header", "TooLarge", "Unknown", "png_chunks", "read_header", "unpack"]

KINDS = "PNG, JPEG, TIFF, BMP, GIF, WebP, PNM, PFM, JPEG 2000, Radiance HDR or Sun raster"
PNG_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")  # the parts that pixels depend on


class Damaged(Exception):
    """What is wrong with a file, for a message that names it, and what to do about that, but to replace it."""

    def __init__(self, what: str, remedy: str = ""):
        super().__init__(what)
        self.remedy = remedy


class TooLarge(Damaged):
    """It says that it has more pixels than there may be."""


class Unknown(Damaged):
    """It is a file of none of the kinds."""


class Header(NamedTuple):
    """What a picture says of itself; all but `kind` are its own words, nothing has been decoded.

    `channels` are the values of a pixel in the file (1 for a palette), `bits` those of a value, `orientation` is
    EXIF's, 1 (as stored) to 8. `lossy`: whether it was compressed so that values change.
    """

    kind: str
    width: int
    height: int
    channels: int = 3
    bits: int = 8
    numbers: str = "u"  # NumPy's letter: u unsigned, i signed, f floats
    alpha: bool = False  # the last channel is transparency
    palette: bool = False
    lossy: bool = False
    orientation: int = 1
    pictures: int = 1  # frames or pages


def read_header(data: bytes) -> Header:
    """The header of a file of `KINDS`, which are those that OpenCV reads, and TIFF's that tifffile does.

    Raises
    ------
    Damaged
        It is none of these, or ends or contradicts itself before its size is known.
    """
    for start, read in _KINDS:
        if re.match(start, data, re.DOTALL):
            try:
                header = read(data)
            except (KeyError, IndexError, ValueError, OverflowError) as err:
                raise Damaged("its header is damaged") from err
            if header.width < 1 or header.height < 1:
                raise Damaged(f"its header says {header.width}x{header.height} pixels")
            return header
    raise Unknown(f"not a {KINDS} file, whatever its name says")


def unpack(form: str, data: Any, place: int) -> Tuple[Any, ...]:
    """`struct.unpack_from`, for places inside `data`; Damaged otherwise."""
    if not 0 <= place <= len(data) - struct.calcsize(form):
        raise Damaged("it is cut short, or its header is damaged")
    return struct.unpack_from(form, data, place)


def png_chunks(data: bytes) -> Iterator[Tuple[bytes, int, int]]:
    """(type, start, end) of each chunk, start to end with its length and checksum; the last one is IEND."""
    place = 8
    while True:
        length, name = unpack(">I4s", data, place)
        end = place + 12 + length
        if end > len(data):
            raise Damaged("it is cut short")
        yield name, place, end
        if name == b"IEND":
            return
        place = end


def _png(data: bytes) -> Header:
    length, name, width, height, bits, colour = unpack(">I4sIIBB", data, 8)
    if name != b"IHDR" or length != 13 or colour not in (0, 2, 3, 4, 6) or bits not in (1, 2, 4, 8, 16):
        raise Damaged("its header is damaged")
    orientation, pictures = 1, 1
    for name, start, end in png_chunks(data):
        if name == b"eXIf":
            orientation = exif_orientation(data[start + 8 : end - 4])
        elif name == b"acTL":
            pictures = max(1, unpack(">I", data, start + 8)[0])
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    return Header(
        "PNG",
        width,
        height,
        channels,
        bits,
        alpha=colour in (4, 6),
        palette=colour == 3,
        orientation=orientation,
        pictures=pictures,
    )


def _jpeg(data: bytes) -> Header:
    place, orientation, frame = 2, 1, None
    while True:
        place = data.index(b"\xff", place)  # decoders, too, pass over what is between segments
        while data[place] == 0xFF:
            place += 1
        marker, place = data[place], place + 1
        if marker == 0xDA:
            break
        if marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD8:
            continue
        (length,) = unpack(">H", data, place)
        if length < 2 or marker == 0xD9:
            raise Damaged("its header is damaged")
        if marker == 0xE1 and data[place + 2 : place + 8] == b"Exif\0\0":
            orientation = exif_orientation(data[place + 8 : place + length])
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            if frame is not None:
                raise Damaged("its header is damaged: it declares two sizes")
            frame = unpack(">BHHB", data, place + 2)
        place += length
    if frame is None:
        raise Damaged("its header is damaged: no size in it")
    if data.find(b"\xff\xd9", place) < 0:  # decoders fill what is missing with grey
        raise Damaged("it is cut short")
    bits, height, width, channels = frame
    return Header("JPEG", width, height, channels, bits, lossy=True, orientation=orientation)


def _bmp(data: bytes) -> Header:
    start, size = unpack("<II", data, 10)
    if size == 12:
        width, height, _, depth = unpack("<HHHH", data, 18)
        compression = 0
    else:
        width, height, _, depth, compression = unpack("<iiHHI", data, 18)
    height = abs(height)  # negative: the first row is the upper one
    if depth not in (1, 4, 8, 16, 24, 32):
        raise Damaged("its header is damaged")
    row = (width * depth + 31) // 32 * 4
    if compression in (0, 3) and start + row * height > len(data) and width > 0:
        raise Damaged(f"it is cut short: {len(data)} bytes, of {start + row * height} for {width}x{height} pixels")
    return Header("BMP", width, height, 1 if depth <= 8 else 3, palette=depth <= 8)


def _gif(data: bytes) -> Header:
    width, height, flags = unpack("<HHB", data, 6)
    place, pictures = 13 + _colours(flags), 0
    while data[place] != 0x3B:
        kind = data[place]
        if kind == 0x2C:
            left, top, wide, high, flags = unpack("<HHHHB", data, place + 1)
            width, height = max(width, left + wide), max(height, top + high)
            pictures += 1
            place += 11 + _colours(flags)
        elif kind == 0x21:
            place += 2
        else:
            raise Damaged("it is damaged")
        while data[place]:  # its parts, each behind its length
            place += 1 + data[place]
        place += 1
    if not pictures:
        raise Damaged("there is no picture in it")
    return Header("GIF", width, height, 1, palette=True, pictures=pictures)


def _colours(flags: int) -> int:
    """Bytes of a GIF's table of colours."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _webp(data: bytes) -> Header:
    (length,) = unpack("<I", data, 4)
    if 8 + length > len(data):
        raise Damaged("it is cut short")
    size, alpha, lossy, orientation, pictures = None, False, False, 1, 1
    place = 12
    while place + 8 <= 8 + length:
        name, count = unpack("<4sI", data, place)
        start = place + 8
        if name == b"VP8X":
            flags = data[start]
            wide, high = (int.from_bytes(data[start + i : start + i + 3], "little") + 1 for i in (4, 7))
            size, alpha, pictures = (wide, high), bool(flags & 0x10), 2 if flags & 0x02 else 1
        elif name == b"VP8 ":
            lossy = True
            size = size or tuple(side & 0x3FFF for side in unpack("<HH", data, start + 6))
        elif name == b"VP8L":
            (bits,) = unpack("<I", data, start + 1)
            size, alpha = size or ((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1), alpha or bool(bits >> 28 & 1)
        elif name == b"EXIF":
            orientation = exif_orientation(data[start : start + count])
        place = start + count + count % 2
    if size is None:
        raise Damaged("its header is damaged: no size in it")
    channels = 4 if alpha else 3
    return Header("WebP", *size, channels, alpha=alpha, lossy=lossy, orientation=orientation, pictures=pictures)


def _pnm(data: bytes) -> Header:
    number = rb"(?:\s|#[^\n]*\n)+(\d{1,9})"
    bare = data[1:2] in b"14"  # black and white: no greatest value
    found = re.match(rb"P[1-6]" + number * (2 if bare else 3), data[:4096])
    if not found:
        raise Damaged("its header is damaged")
    width, height, *most = map(int, found.groups())
    return Header("PNM", width, height, 3 if data[1:2] in b"36" else 1, 16 if most and most[0] > 255 else 8)


def _pam(data: bytes) -> Header:
    head = data[:4096].split(b"ENDHDR\n")[0]
    found = dict(re.findall(rb"^(WIDTH|HEIGHT|DEPTH|MAXVAL)\s+(\d{1,9})\s*$", head, re.MULTILINE))
    width, height, depth, most = (int(found[name]) for name in (b"WIDTH", b"HEIGHT", b"DEPTH", b"MAXVAL"))
    return Header("PNM", width, height, depth, 16 if most > 255 else 8, alpha=b"ALPHA" in head)


def _pfm(data: bytes) -> Header:
    found = re.match(rb"P([Ff])\s+(\d{1,9})\s+(\d{1,9})\s+(\S+)\s", data[:4096])
    if not found:
        raise Damaged("its header is damaged")
    return Header("PFM", int(found[2]), int(found[3]), 3 if found[1] == b"F" else 1, 32, "f")


def _radiance(data: bytes) -> Header:
    found = re.search(rb"\n\n-Y (\d{1,9}) \+X (\d{1,9})\n", data[:65536])  # OpenCV reads no other order of rows
    if not found:
        raise Damaged("its header is damaged")
    return Header("Radiance", int(found[2]), int(found[1]), 3, 32, "f", lossy=True)


def _sun(data: bytes) -> Header:
    width, height, depth = unpack(">III", data, 4)
    if depth not in (1, 8, 24, 32):
        raise Damaged("its header is damaged")
    return Header("Sun raster", width, height, 1 if depth <= 8 else 3, palette=depth <= 8)


def _jpeg2000(data: bytes) -> Header:
    place = data.index(b"\xff\x4f\xff\x51") + 4  # SIZ, the first marker of what holds the pixels
    right, lower, left, upper = unpack(">IIII", data, place + 4)
    (channels,) = unpack(">H", data, place + 36)
    sample = data[place + 38]
    numbers, bits = "i" if sample & 0x80 else "u", (sample & 0x7F) + 1
    if right <= left or lower <= upper or not channels:
        raise Damaged("its header is damaged")
    return Header("JPEG 2000", right - left, lower - upper, channels, bits, numbers, lossy=True)


def exif_orientation(data: bytes) -> int:
    """The orientation in an EXIF block, 1 to 8; 1 where there is none, or it can't be read."""
    from .tiff import ORIENTATION, directory

    data = data[6:] if data[:6] == b"Exif\0\0" else data
    try:
        found = directory(data)[0].get(ORIENTATION, (1,))[0]
    except (Damaged, IndexError):
        return 1  # what a picture is doesn't depend on it
    return int(found) if 1 <= found <= 8 else 1


def _tiff(data: bytes) -> Header:
    from .tiff import tiff_header

    return tiff_header(data)


_KINDS: Tuple[Tuple[bytes, Callable[[bytes], Header]], ...] = (
    (b"\x89PNG\r\n\x1a\n", _png),
    (b"\xff\xd8\xff", _jpeg),
    (b"BM", _bmp),
    (b"GIF8[79]a", _gif),
    (b"II[\x2a\x2b]\0|MM\0[\x2a\x2b]", _tiff),
    (b"RIFF....WEBP", _webp),
    (b"P[1-6]\\s", _pnm),
    (b"P7\\s", _pam),
    (b"P[Ff]\\s", _pfm),
    (b"#\\?(RADIANCE|RGBE)\\n", _radiance),
    (b"\x59\xa6\x6a\x95", _sun),
    (b"\0\0\0\x0cjP  |\xff\x4f\xff\x51", _jpeg2000),
)
