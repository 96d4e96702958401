"""Read images, and say which file is at fault."""

import logging
from dataclasses import dataclass
from typing import List, Optional, Tuple

import numpy as np

from ..config.schema import MAX_PIXELS, DataConfig
from ..errors import MXNetSegError
from .decoding import bytes_of, check_array, checked, decoded, naming
from .reading import Damaged, Header
from .reading.npy import MAGIC, read_npy

__all__ = ["READING", "Reading", "ranged", "read_header_of", "read_image", "read_values", "upright", "values_of"]

log = logging.getLogger(__name__)


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
    return values_of(bytes_of(path, reading.max_pixels), path, reading)


def values_of(data: bytes, title, reading: Reading = READING) -> np.ndarray:
    """`read_values` of what a file holds; messages say `title`."""
    with naming(title, "an image"):
        if data[:6] == MAGIC:
            header, values = Header("NPY", 0, 0), read_npy(data)
            check_array(values, reading.max_pixels)
        else:
            header = checked(data, reading.max_pixels)
            values = decoded(data, str(title), header, colours=reading.channels is None)
        values = _channels(title, values, header, reading.channels)
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


def read_header_of(path, max_pixels: int = MAX_PIXELS) -> Header:
    """What an image file says of itself; nothing is decoded.

    Raises
    ------
    MXNetSegError
        As `read_image`, for what can be told from the header.
    """
    data = bytes_of(path, max_pixels)
    with naming(path, "an image"):
        return checked(data, max_pixels)


def upright(image: np.ndarray, orientation: int) -> np.ndarray:
    """An image (H, W) or (H, W, channels) as stored, turned and mirrored as EXIF's `orientation` (1 to 8) says."""
    if orientation >= 5:
        image = image.swapaxes(0, 1)
    down = orientation in (3, 4, 7, 8)
    across = orientation in (2, 3, 6, 7)
    return image[:: -1 if down else 1, :: -1 if across else 1]


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
