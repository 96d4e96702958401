"""Read images and masks, and say which file is at fault."""

import contextlib
import io
import logging
import stat
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, List, Optional, Tuple

import cv2
import numpy as np
from PIL import BmpImagePlugin, GifImagePlugin, Image, ImageFile, TiffImagePlugin

from ..config.schema import MAX_PIXELS, DataConfig
from ..errors import MXNetSegError
from ..saving import write_file
from .reading import Damaged, Header, read_header
from .reading.header import PNG_PIXELS, png_chunks
from .reading.mat import read_mat
from .reading.npy import MAGIC, read_npy
from .reading.tiff import opencv_reads, read_tiff

__all__ = [
    "READING",
    "Reading",
    "colours_in",
    "ranged",
    "read_colour_mask",
    "read_header_of",
    "read_image",
    "read_mask",
    "read_values",
    "upright",
    "write_mask",
]

log = logging.getLogger(__name__)

PIXEL = 8  # bytes: a pixel that takes more counts as several
SOME = 1 << 24  # bytes that a file may have besides its pixels
# Pillow's readers by name: `Image.open` has a limit of its own, for the whole process
PILLOW = {
    "GIF": GifImagePlugin.GifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
}


@dataclass(frozen=True)
class Reading:
    """How images are read.

    Parameters
    ----------
    max_pixels : int
        Files that declare more are refused, before memory is taken for them.
    upright : bool
        Turn images as EXIF's orientation says; else they are as stored.
    channels : tuple of int, optional
        The channels to take of each file, counted from 0. None: red, green and blue, whatever the file has.
    range : (float, float), optional
        The values that become 0 and 255. None: the files hold 8 bits, and are taken as they are.
    """

    max_pixels: int = MAX_PIXELS
    upright: bool = True
    channels: Optional[Tuple[int, ...]] = None
    range: Optional[Tuple[float, float]] = None

    @classmethod
    def of(cls, data: DataConfig, upright: bool = True) -> "Reading":
        """As a recipe says; `upright` is for recipes that leave data.exif out."""
        channels = None if data.channels is None else tuple(data.channels)
        turned = upright if data.exif is None else data.exif == "upright"
        return cls(data.max_pixels, turned, channels, data.range)


READING = Reading()


def read_values(path, reading: Reading = READING) -> np.ndarray:
    """(H, W, channels) of the values in the file, whatever their type: `read_image` without `reading.range`.

    Raises
    ------
    MXNetSegError
        As `read_image`, but for the type of the values.
    """
    data = _bytes(path, reading.max_pixels)
    with _naming(path, "an image"):
        if data[:6] == MAGIC:
            header, values = Header("NPY", 0, 0), read_npy(data)
            _check_array(values, reading.max_pixels)
        else:
            header = _checked(data, reading.max_pixels)
            values = _decoded(data, str(path), header, colours=reading.channels is None)
        values = _channels(path, values, header, reading.channels)
        return upright(values, header.orientation) if reading.upright else values


def read_image(path, reading: Reading = READING) -> np.ndarray:
    """(H, W, 3) uint8 RGB, or what `reading` asks for: (H, W, channels), of float32 from 0 to 255 with a range.

    Grey and palette images become RGB; transparency is dropped, and a warning tells of the first file that has any.

    Raises
    ------
    MXNetSegError
        The file is missing, damaged, of an unknown kind, or larger than the limit; an animation; its values have more
        than 8 bits, and no range is given; it hasn't the channels.
    """
    return ranged(read_values(path, reading), reading.range, str(path))


def ranged(values: np.ndarray, limits: Optional[Tuple[float, float]], title: str = "the image") -> np.ndarray:
    """Values between `limits` as float32 from 0 to 255, those beyond cut off; without limits uint8, as they are.

    Raises
    ------
    MXNetSegError
        There are no limits, and the values are not uint8; they are uint8, and the limits are beyond; NaN.
    """
    if limits is None:
        if values.dtype == np.uint8:
            return values
        raise MXNetSegError(
            f"{title}: its values are {values.dtype}, from {values.min():g} to {values.max():g}, but images of 8 bits "
            "are expected; say which values become 0 and 255, data.range: [0, 4095] for example"
        )
    low, high = limits
    if values.dtype == np.uint8 and high > 255:
        raise MXNetSegError(f"{title}: it has 8 bits, but data.range is [{low:g}, {high:g}]; leave it out")
    scaled = values.astype(np.float32)
    if values.dtype.kind == "f" and not np.isfinite(scaled).all():
        wrong = int((~np.isfinite(scaled)).sum())
        raise MXNetSegError(f"{title}: {wrong} of its values are not finite (NaN); fill them")
    scaled -= np.float32(low)
    scaled *= np.float32(255 / (high - low))
    return np.clip(scaled, 0, 255, out=scaled)


def read_mask(path, key: str = "", max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """(H, W) integer label values as they stand in the file.

    PNG (8 or 16 bit; palettes keep their indices), TIFF, BMP, GIF (of grey levels), lossless WebP, .npy, .mat (MATLAB
    5 to 7.2, the variable `key`, with dots for fields) or .txt (a row of integers per line; negative values, which mean
    unlabelled, become 255).

    Raises
    ------
    MXNetSegError
        The file is missing, damaged, larger than the limit, compressed so that values change (JPEG), or holds colours
        or fractions where label values are expected.
    """
    ending = Path(path).suffix.lower()
    data = _bytes(path, max_pixels)
    alpha = False
    with _naming(path, "a mask"):
        if ending == ".mat":
            values = np.atleast_2d(np.squeeze(read_mat(data, key, max_pixels * PIXEL)))
        elif ending == ".txt":
            values = _text(data)
        elif data[:6] == MAGIC:
            values = read_npy(data)
        else:
            header, values = _mask_picture(data, str(path), max_pixels)
            alpha = header.alpha
        _check_array(values, max_pixels)
        return _labels(values, alpha)


def read_colour_mask(path, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a mask whose colours mean something; palettes become colours, transparency is dropped.

    Raises
    ------
    MXNetSegError
        As `read_mask`.
    """
    return colours_in(_bytes(path, max_pixels), str(path), max_pixels)


def colours_in(data: bytes, title: str, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """`read_colour_mask` of what the file holds; `title` is for messages."""
    with _naming(title, "a mask"):
        header = _not_lossy(_checked(data, max_pixels))
        values = _decoded(data, title, header, colours=True)
        values = values[..., None] if values.ndim == 2 else values
        if values.dtype != np.uint8 or values.shape[2] > 4:
            raise Damaged(f"it holds {values.shape[2]} x {values.dtype}, but colours are 8-bit RGB", "convert it")
        return values[..., :3] if values.shape[2] >= 3 else np.repeat(values[..., :1], 3, 2)


def write_mask(path, values: np.ndarray, palette=None) -> None:
    """Write (H, W) uint8 label values as a PNG, with a palette for viewers; whole or not at all."""
    mask = Image.fromarray(np.ascontiguousarray(values, dtype=np.uint8), "P" if palette is not None else "L")
    if palette is not None:
        colours = np.zeros((256, 3), np.uint8)
        colours[: len(palette)] = palette
        mask.putpalette(colours.ravel().tolist())
    png = io.BytesIO()
    mask.save(png, "PNG", optimize=False)
    write_file(path, png.getvalue(), sync=False)


def read_header_of(path, max_pixels: int = MAX_PIXELS) -> Header:
    """What an image file says of itself; nothing is decoded.

    Raises
    ------
    MXNetSegError
        As `read_image`, for what can be told from the header.
    """
    data = _bytes(path, max_pixels)
    with _naming(path, "an image"):
        return _checked(data, max_pixels)


def upright(image: np.ndarray, orientation: int) -> np.ndarray:
    """An image (H, W) or (H, W, channels) as stored, turned and mirrored as EXIF's `orientation` (1 to 8) says."""
    if orientation >= 5:
        image = image.swapaxes(0, 1)
    down = orientation in (3, 4, 7, 8)
    across = orientation in (2, 3, 6, 7)
    return image[:: -1 if down else 1, :: -1 if across else 1]


@contextlib.contextmanager
def _naming(path, what: str) -> Iterator[None]:
    """A context in which whatever goes wrong becomes an MXNetSegError that names the file."""
    try:
        yield
    except MXNetSegError:
        raise
    except Damaged as err:
        raise MXNetSegError(
            f"{path}: {err}; {err.remedy}" if err.remedy else f"{path}: not {what} that can be read: {err}; replace it"
        ) from err
    except MemoryError as err:
        raise MXNetSegError(f"{path}: not enough memory to read it; make it smaller") from err
    except Exception as err:  # decoders raise whatever the damage leads to
        problem = (str(err).strip().splitlines() or [type(err).__name__])[-1]
        raise MXNetSegError(f"{path}: not {what} that can be read ({problem}); replace it") from err


def _bytes(path, max_pixels: int) -> bytes:
    try:
        facts = Path(path).stat()
        if not stat.S_ISREG(facts.st_mode):
            raise MXNetSegError(f"{path}: not a file")
        if facts.st_size > max_pixels * PIXEL + SOME:
            raise MXNetSegError(f"{path}: {facts.st_size / 1e9:.1f} GB, but {_limit(max_pixels)}; {TRUSTED}")
        data = Path(path).read_bytes()
    except (OSError, ValueError) as err:  # ValueError: a name with a zero in it
        raise MXNetSegError(f"{path}: can't be read ({getattr(err, 'strerror', None) or err})") from err
    if not data:
        raise MXNetSegError(f"{path}: the file is empty; replace it")
    return data


def _limit(max_pixels: int) -> str:
    return f"the limit is {max_pixels / 1e6:.4g} million pixels"


TRUSTED = "if it is to be trusted, raise data.max_pixels (predict: --max-pixels)"


def _check_array(values: np.ndarray, max_pixels: int) -> None:
    if values.size == 0:
        raise Damaged("it is empty")
    if values.ndim not in (2, 3) or values.nbytes > max_pixels * PIXEL:
        raise Damaged(f"it is an array of shape {str(values.shape)[:80]}")
    if values.shape[0] * values.shape[1] > max_pixels:
        raise Damaged(f"{values.shape[1]}x{values.shape[0]} pixels, but {_limit(max_pixels)}", TRUSTED)


def _checked(data: bytes, max_pixels: int) -> Header:
    """The header of a picture that is not too large to decode."""
    header = read_header(data)
    count = header.width * header.height
    if count * max(1, -(-header.channels * header.bits // (8 * PIXEL))) > max_pixels:
        each = f" of {header.channels} x {header.bits} bits" if header.channels * header.bits > 8 * PIXEL else ""
        size = f"{header.width}x{header.height} (width x height), {count / 1e6:.4g} million pixels{each}"
        raise Damaged(f"its header says {size}, but {_limit(max_pixels)}", TRUSTED)
    if header.pictures > 1:
        what = "pages" if header.kind == "TIFF" else "frames"
        raise Damaged(f"it holds several {what}", "save the one that is meant in a file of its own")
    return header


def _decoded(data: bytes, title: str, header: Header, colours: bool) -> np.ndarray:
    """(H, W) or (H, W, channels) as stored; with `colours`, all but transparent pictures of 8 bits are (H, W, 3)."""
    if header.kind == "GIF":
        return _by_pillow(data, header, "RGB")
    if header.kind == "TIFF" and not opencv_reads(data):
        return read_tiff(data, title, header)
    if header.kind == "PNG":
        data = _bare_png(data)
    plain = colours and header.bits <= 8 and not header.alpha
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION if plain else cv2.IMREAD_UNCHANGED
    values: Optional[np.ndarray] = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if values is None:
        raise Damaged("it is damaged")
    if values.shape[:2] != (header.height, header.width):
        raise Damaged(f"it is {values.shape[1]}x{values.shape[0]}, but its header says {header.width}x{header.height}")
    if values.ndim == 3 and values.shape[2] in (3, 4):  # OpenCV's order is blue, green, red
        return values[..., ::-1] if values.shape[2] == 3 else values[..., [2, 1, 0, 3]]
    return values


def _bare_png(data: bytes) -> bytes:
    """A PNG without texts, profiles and animation, which may inflate to anything."""
    kept = [data[start:end] for name, start, end in png_chunks(data) if name in PNG_PIXELS]
    return b"".join([data[:8], *kept])


def _grey_png(data: bytes) -> bytes:
    """A PNG of palette indices as one of grey values, which are the indices."""
    head = b"IHDR" + data[16:25] + b"\0" + data[26:29]
    kept = [data[start:end] for name, start, end in png_chunks(data) if name in (b"IDAT", b"IEND")]
    return b"".join([data[:12], head, zlib.crc32(head).to_bytes(4, "big"), *kept])


def _by_pillow(data: bytes, header: Header, mode: str = "") -> np.ndarray:
    ImageFile.LOAD_TRUNCATED_IMAGES = False  # importing GluonCV sets it, and half a mask would pass for a whole one
    with PILLOW[header.kind](io.BytesIO(data)) as picture:
        picture.load()  # NumPy 1.22 would take damage that it meets for no array at all
        values: np.ndarray = np.asarray(picture.convert(mode) if mode else picture)
    if values.shape[:2] != (header.height, header.width):
        raise Damaged(f"it is {values.shape[1]}x{values.shape[0]}, but its header says {header.width}x{header.height}")
    return values


def _channels(path, values: np.ndarray, header: Header, wanted: Optional[Tuple[int, ...]]) -> np.ndarray:
    """(H, W, channels): those that are wanted; None: red, green and blue."""
    values = values[..., None] if values.ndim == 2 else values
    count = values.shape[2]
    if wanted is not None:
        if max(wanted) >= count:
            raise Damaged(
                f"it has {count} channels, but data.channels is {list(wanted)}", "name channels that it has, from 0"
            )
        return values if wanted == tuple(range(count)) else values[..., list(wanted)]
    if count == 3:
        return values
    if count == 1:
        return np.repeat(values, 3, 2)
    if header.alpha and count in (2, 4):
        _tell_of_alpha(path, values[..., -1])
        return values[..., :3] if count == 4 else np.repeat(values[..., :1], 3, 2)
    raise Damaged(f"it has {count} channels", f"say which to take, data.channels: {list(range(count))} for example")


def _tell_of_alpha(path, alpha: np.ndarray) -> None:
    opaque = 1.0 if alpha.dtype.kind == "f" else np.iinfo(alpha.dtype).max
    if _told or alpha.min() >= opaque:
        return
    _told.append(path)
    log.warning(
        "%s: transparent pixels are taken as if they were not (others may follow; data.channels: [0, 1, 2, 3] takes "
        "transparency as a fourth channel)",
        path,
    )


_told: List[object] = []


def _not_lossy(header: Header) -> Header:
    if header.lossy:
        raise Damaged(f"{header.kind} changes values where it compresses", "save masks as PNG, from the original")
    return header


def _mask_picture(data: bytes, title: str, max_pixels: int) -> Tuple[Header, np.ndarray]:
    header = _not_lossy(_checked(data, max_pixels))
    if header.bits > 8 and header.channels > 1:
        raise Damaged("it holds colours of 16 bits, but label values are expected (one channel)", "convert it")
    if header.kind == "GIF":  # each file's writer numbers colours anew: the colours are what means something
        return header, _by_pillow(data, header, "RGB")
    if header.kind in PILLOW and header.bits <= 8 and header.channels <= 4:
        values = _by_pillow(data, header)
        stretched = 1 < header.bits < 8 and not header.palette
    else:  # Pillow would take a PNG that lacks rows
        values = _decoded(_grey_png(data) if header.palette else data, title, header, colours=False)
        stretched = header.bits < 8
    return header, values // (255 // ((1 << header.bits) - 1)) if stretched else values


def _labels(values: np.ndarray, alpha: bool) -> np.ndarray:
    """(H, W) integers, of what was read; `alpha`: the last channel, if there are several, is transparency."""
    if values.ndim == 3:
        count = values.shape[2] - (alpha and values.shape[2] in (2, 4))
        if (values[..., :1] != values[..., :count]).any():
            what = "the mask holds colours" if count == 3 else f"the mask has {count} channels"
            raise Damaged(
                f"{what}, but label values are expected (one channel, each pixel its class's index)",
                "say which colour is which class with data.colors (data.name: folder), or convert it",
            )
        values = values[..., 0]
    if values.dtype == bool:
        return values.astype(np.uint8)
    if values.dtype.kind == "f":
        whole = np.isfinite(values) & (values == np.rint(values)) & (np.abs(values) < 2**31)
        if not whole.all():
            raise Damaged(f"{int((~whole).sum())} of its values are no whole numbers (NaN, or fractions)", "convert it")
        values = values.astype(np.int32)
    return values


def _text(data: bytes) -> np.ndarray:
    try:
        rows = [np.array(line.split(), np.int64) for line in data.decode("ascii").splitlines() if line.strip()]
        values = np.stack(rows)
    except (ValueError, OverflowError) as err:
        raise Damaged(f"not rows of integers of one length ({err})") from err
    return np.where(values < 0, 255, values)
