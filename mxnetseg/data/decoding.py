"""Bytes of a picture -> its values, within limits, and one error that names the file for whatever goes wrong."""

import contextlib
import io
import stat
from pathlib import Path
from typing import Iterator, Optional

import cv2
import numpy as np
from PIL import BmpImagePlugin, GifImagePlugin, ImageFile, TiffImagePlugin

from ..errors import MXNetSegError
from .reading import Damaged, Header, TooLarge, read_header
from .reading.header import PNG_PIXELS, png_chunks
from .reading.strips import check_strips
from .reading.tiff import opencv_reads, read_tiff

__all__ = ["PILLOW", "PIXEL", "by_pillow", "bytes_of", "check_array", "checked", "decoded", "naming"]

PIXEL = 8  # bytes: a pixel that takes more counts as several
SOME = 1 << 24  # bytes that a file may have besides its pixels
WHILE_DECODED = {"JPEG 2000": 32}  # bits of a value while it is decoded, where that is more than it has
# Pillow's readers by name: `Image.open` has a limit of its own, for the whole process
PILLOW = {
    "GIF": GifImagePlugin.GifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
}
TRUSTED = "if it is to be trusted, raise data.max_pixels (predict: --max-pixels)"


@contextlib.contextmanager
def naming(path, what: str) -> Iterator[None]:
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


def bytes_of(path, max_pixels: int) -> bytes:
    """What a file holds, unless it is empty, missing, or larger than any of that many pixels: MXNetSegError."""
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


def check_array(values: np.ndarray, max_pixels: int) -> None:
    """Raise Damaged unless an array can be a picture of at most that many pixels."""
    if values.size == 0:
        raise Damaged("it is empty")
    if values.ndim not in (2, 3):
        raise Damaged(f"it is an array of shape {str(values.shape)[:80]}")
    if values.nbytes > max_pixels * PIXEL:
        raise TooLarge(f"it is an array of shape {str(values.shape)[:80]}")
    if values.shape[0] * values.shape[1] > max_pixels:
        raise TooLarge(f"{values.shape[1]}x{values.shape[0]} pixels, but {_limit(max_pixels)}", TRUSTED)


def checked(data: bytes, max_pixels: int) -> Header:
    """The header of a picture that is not too large to decode."""
    header = read_header(data)
    count = header.width * header.height
    bits = max(header.bits, WHILE_DECODED.get(header.kind, 0))
    if count * max(1, -(-header.channels * bits // (8 * PIXEL))) > max_pixels:
        each = f" of {header.channels} x {bits} bits" if header.channels * bits > 8 * PIXEL else ""
        size = f"{header.width}x{header.height} (width x height), {count / 1e6:.4g} million pixels{each}"
        raise TooLarge(f"its header says {size}, but {_limit(max_pixels)}", TRUSTED)
    if header.pictures > 1:
        what = "pages" if header.kind == "TIFF" else "frames"
        raise Damaged(f"it holds several {what}", "save the one that is meant in a file of its own")
    return header


def decoded(data: bytes, title: str, header: Header, colours: bool) -> np.ndarray:
    """(H, W) or (H, W, channels) as stored; with `colours`, all but transparent pictures of 8 bits are (H, W, 3)."""
    if header.kind == "GIF":
        return by_pillow(data, header, "RGB")
    if header.kind == "TIFF":
        check_strips(data, header)
        if not opencv_reads(data):
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


def by_pillow(data: bytes, header: Header, mode: str = "") -> np.ndarray:
    """As Pillow decodes it, in one of its modes; (H, W) indices of a palette picture without."""
    if header.kind == "TIFF":
        check_strips(data, header)
    ImageFile.LOAD_TRUNCATED_IMAGES = False  # importing GluonCV sets it, and half a mask would pass for a whole one
    with PILLOW[header.kind](io.BytesIO(data)) as picture:
        picture.load()  # NumPy 1.22 would take damage that it meets for no array at all
        values: np.ndarray = np.asarray(picture.convert(mode) if mode else picture)
    if values.shape[:2] != (header.height, header.width):
        raise Damaged(f"it is {values.shape[1]}x{values.shape[0]}, but its header says {header.width}x{header.height}")
    return values
