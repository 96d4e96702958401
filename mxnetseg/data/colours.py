"""Masks that hold colours, or numbers of colours."""

import struct
from pathlib import Path
from typing import List, Union

import numpy as np

from ..config.schema import MAX_PIXELS
from .masks import read_colour_mask

__all__ = ["palette_of", "read_colours"]


def read_colours(path: Union[str, Path], max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """(H, W) int32, 0xRRGGBB per pixel; palettes become the colours that they stand for, transparency is dropped.

    Raises
    ------
    MXNetSegError
        As `files.read_mask`, but for colours.
    """
    colours = read_colour_mask(path, max_pixels).astype(np.int32)
    values: np.ndarray = colours[..., 0] << 16 | colours[..., 1] << 8 | colours[..., 2]
    return values


def palette_of(path: Union[str, Path]) -> List[int]:
    """0xRRGGBB for each number of a palette PNG; empty for all other files."""
    try:
        with open(path, "rb") as file:
            if file.read(8) != b"\x89PNG\r\n\x1a\n":
                return []
            while True:
                length, name = struct.unpack(">I4s", file.read(8))
                if name == b"PLTE":
                    colours = np.frombuffer(file.read(min(length, 768) // 3 * 3), np.uint8).reshape(-1, 3)
                    return [red << 16 | green << 8 | blue for red, green, blue in colours.tolist()]
                if name == b"IDAT" or name == b"IHDR" and file.read(10)[9:] != b"\x03":
                    return []
                file.seek(length + 4 - 10 * (name == b"IHDR"), 1)
    except (OSError, struct.error):
        return []
