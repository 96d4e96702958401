"""Masks that hold colours."""

import io
from pathlib import Path
from typing import Union

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from ..errors import MXNetSegError

__all__ = ["read_colours"]


def read_colours(path: Union[str, Path]) -> np.ndarray:
    """(H, W) int32, 0xRRGGBB per pixel; palettes become the colours that they stand for, transparency is dropped."""
    ImageFile.LOAD_TRUNCATED_IMAGES = False  # importing GluonCV sets it, and half a mask would pass for a whole one
    try:
        with Image.open(io.BytesIO(Path(path).read_bytes())) as mask:
            mask.load()
            if mask.format in ("JPEG", "MPO"):
                raise MXNetSegError(f"{path}: a JPEG changes colours where it compresses; save masks as PNG")
            colours = np.asarray(mask.convert("RGB")).astype(np.int32)
    except (UnidentifiedImageError, OSError, SyntaxError) as err:
        raise MXNetSegError(f"{path}: not a mask that can be read ({err}); replace it") from err
    values: np.ndarray = colours[..., 0] << 16 | colours[..., 1] << 8 | colours[..., 2]
    return values
