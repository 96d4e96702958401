"""In plain NumPy, float64: what every other implementation is tested against."""

import numpy as np

__all__ = ["matrix", "resize", "upsample_argmax"]


def matrix(sources: int, targets: int, align_corners: bool) -> np.ndarray:
    """(targets, sources): bilinear interpolation along one axis."""
    steps = np.arange(targets)
    if align_corners:
        position = steps * (sources - 1) / max(targets - 1, 1)
    else:
        position = ((steps + 0.5) * sources / targets - 0.5).clip(0, sources - 1)
    return np.maximum(1 - np.abs(position[:, None] - np.arange(sources)), 0)


def resize(x, height, width, align_corners):
    """(N, C, h, w) -> (N, C, height, width)"""
    rows, columns = (matrix(s, t, align_corners) for s, t in zip(x.shape[2:], (height, width)))
    return np.einsum("yh,nchw,xw->ncyx", rows, np.asarray(x, np.float64), columns, optimize=True)


def upsample_argmax(logits, height, width, align_corners):
    """(N, C, h, w) -> (N, height, width) uint8"""
    return resize(logits, height, width, align_corners).argmax(1).astype(np.uint8)
