"""Read masks, as label values or as colours, and write them."""

import io
import zlib
from pathlib import Path
from typing import Tuple

import numpy as np
from PIL import Image

from ..config.schema import MAX_PIXELS
from ..saving import write_file
from .decoding import PILLOW, PIXEL, by_pillow, bytes_of, check_array, checked, decoded, naming
from .reading import Damaged, Header
from .reading.header import png_chunks
from .reading.mat import read_mat
from .reading.npy import MAGIC, read_npy

__all__ = ["colours_in", "read_colour_mask", "read_mask", "write_mask"]


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
    data = bytes_of(path, max_pixels)
    alpha = False
    with naming(path, "a mask"):
        if ending == ".mat":
            values = np.atleast_2d(np.squeeze(read_mat(data, key, max_pixels * PIXEL)))
        elif ending == ".txt":
            values = _text(data)
        elif data[:6] == MAGIC:
            values = read_npy(data)
        else:
            header, values = _mask_picture(data, str(path), max_pixels)
            alpha = header.alpha
        check_array(values, max_pixels)
        return _labels(values, alpha)


def read_colour_mask(path, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a mask whose colours mean something; palettes become colours, transparency is dropped.

    Raises
    ------
    MXNetSegError
        As `read_mask`.
    """
    return colours_in(bytes_of(path, max_pixels), str(path), max_pixels)


def colours_in(data: bytes, title: str, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """`read_colour_mask` of what the file holds; `title` is for messages."""
    with naming(title, "a mask"):
        header = _not_lossy(checked(data, max_pixels))
        values = decoded(data, title, header, colours=True)
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


def _mask_picture(data: bytes, title: str, max_pixels: int) -> Tuple[Header, np.ndarray]:
    header = _not_lossy(checked(data, max_pixels))
    if header.bits > 8 and header.channels > 1:
        raise Damaged("it holds colours of 16 bits, but label values are expected (one channel)", "convert it")
    if header.kind == "GIF":  # each file's writer numbers colours anew: the colours are what means something
        return header, by_pillow(data, header, "RGB")
    if header.kind in PILLOW and header.bits <= 8 and header.channels <= 4:
        values = by_pillow(data, header)
        stretched = 1 < header.bits < 8 and not header.palette
    else:  # Pillow would take a PNG that lacks rows
        values = decoded(_grey_png(data) if header.palette else data, title, header, colours=False)
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


def _grey_png(data: bytes) -> bytes:
    """A PNG of palette indices as one of grey values, which are the indices."""
    head = b"IHDR" + data[16:25] + b"\0" + data[26:29]
    kept = [data[start:end] for name, start, end in png_chunks(data) if name in (b"IDAT", b"IEND")]
    return b"".join([data[:12], head, zlib.crc32(head).to_bytes(4, "big"), *kept])


def _not_lossy(header: Header) -> Header:
    if header.lossy:
        raise Damaged(f"{header.kind} changes values where it compresses", "save masks as PNG, from the original")
    return header
