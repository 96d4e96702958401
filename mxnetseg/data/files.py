"""Read images and masks, and say which file is at fault."""

import io
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from ..errors import MXNetSegError
from ..optional import check_installed
from ..saving import write_file

__all__ = ["read_image", "read_mask", "write_mask"]


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


def read_mask(path, key: str = "") -> np.ndarray:
    """(H, W) integer label values as they stand in the file.

    PNG (8 or 16 bit; palette PNGs keep their indices), .mat (MATLAB 5 to 7.2, the variable `key`, with dots for
    fields) or .txt (a row of integers per line; negative values, which mean unlabelled, become 255).

    Raises
    ------
    MXNetSegError
        The file is missing, damaged, or holds colours where label values are expected.
    """
    ending = Path(path).suffix.lower()
    values = {".mat": _mat, ".txt": _text}.get(ending, _picture)(path, key)
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


def _picture(path, key: str) -> np.ndarray:
    data = _bytes(path)
    ImageFile.LOAD_TRUNCATED_IMAGES = False  # importing GluonCV sets it, and half a mask would pass for a whole one
    try:
        with Image.open(io.BytesIO(data)) as mask:
            mask.load()  # NumPy 1.22 would take damage that it meets for no array at all
            return np.asarray(mask)
    except (UnidentifiedImageError, OSError, SyntaxError) as err:
        raise MXNetSegError(f"{path}: not a mask that can be read ({err}); replace it") from err


def _mat(path, key: str) -> np.ndarray:
    check_installed("scipy", f"{path}: a .mat file")
    from scipy.io import loadmat

    try:
        content = loadmat(io.BytesIO(_bytes(path)), squeeze_me=True, struct_as_record=False)
    except MXNetSegError:
        raise
    except Exception as err:  # scipy raises whatever the damage leads to
        raise MXNetSegError(f"{path}: not a .mat file that can be read ({err}); replace it") from err
    first, *fields = key.split(".")
    try:
        value = content[first]
        for name in fields:
            value = getattr(value, name)
        return np.atleast_2d(np.asarray(value)).astype(np.int32)
    except (KeyError, AttributeError, TypeError, ValueError) as err:
        there = ", ".join(name for name in content if not name.startswith("__"))
        raise MXNetSegError(f"{path}: no label values {key!r} in it (it holds {there}); is it another file?") from err


def _text(path, key: str) -> np.ndarray:
    try:
        rows = [np.array(line.split(), np.int32) for line in _bytes(path).decode("ascii").splitlines() if line.strip()]
        values = np.stack(rows)
    except (ValueError, OverflowError) as err:
        raise MXNetSegError(f"{path}: not rows of integers of one length ({err}); replace it") from err
    return np.where(values < 0, 255, values)


def _bytes(path) -> bytes:
    try:
        data = Path(path).read_bytes()
    except OSError as err:
        raise MXNetSegError(f"{path}: can't be read ({err.strerror or err})") from err
    if not data:
        raise MXNetSegError(f"{path}: the file is empty; replace it")
    return data
