"""Read images and masks, and say which file is at fault."""

import io
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from ..errors import MXNetSegError

__all__ = ["read_image", "read_mask"]


def read_image(path) -> np.ndarray:
    """(H, W, 3) uint8 RGB; grey and palette images become RGB, alpha is dropped.

    Raises
    ------
    MXNetSegError
        The file is missing, cut short, or no image that OpenCV reads.
    """
    data = _bytes(path)
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    # OpenCV fills what a cut-off JPEG lacks with grey; a whole one ends with its end-of-image mark
    cut = data[:2] == b"\xff\xd8" and b"\xff\xd9" not in data[-4096:]
    if image is None or cut:
        raise MXNetSegError(f"{path}: not an image that can be read (damaged or of an unknown kind); replace it")
    return image[:, :, ::-1]


def read_mask(path) -> np.ndarray:
    """(H, W) integer label values as they stand in the file (palette PNGs keep their indices).

    Raises
    ------
    MXNetSegError
        The file is missing, damaged, or holds colours where label values are expected.
    """
    data = _bytes(path)
    ImageFile.LOAD_TRUNCATED_IMAGES = False  # importing GluonCV sets it, and half a mask would pass for a whole one
    try:
        with Image.open(io.BytesIO(data)) as mask:
            values = np.asarray(mask)
    except (UnidentifiedImageError, OSError, SyntaxError) as err:
        raise MXNetSegError(f"{path}: not a mask that can be read ({err}); replace it") from err
    if values.ndim == 3:
        if (values[..., :1] != values[..., :3]).any():
            raise MXNetSegError(
                f"{path}: the mask holds colours, but label values are expected (one channel, each pixel the index "
                "of its class); convert it"
            )
        values = values[..., 0]
    if values.dtype == bool:
        values = values.astype(np.uint8)
    if values.size == 0:
        raise MXNetSegError(f"{path}: the mask is empty")
    return values


def _bytes(path) -> bytes:
    try:
        data = Path(path).read_bytes()
    except OSError as err:
        raise MXNetSegError(f"{path}: can't be read ({err.strerror or err})") from err
    if not data:
        raise MXNetSegError(f"{path}: the file is empty; replace it")
    return data
