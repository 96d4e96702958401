"""In plain NumPy, float64: what every other implementation is tested against."""

import numpy as np

__all__ = ["matrix", "resize", "upsample_argmax", "upsample_cross_entropy", "upsample_taps"]


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


def upsample_cross_entropy(logits, labels, class_weights, align_corners, smoothing=0.0):
    """(N, C, h, w), (N, H, W), (256,) -> (N,), and the gradient of its sum to the logits, (N, C, h, w)"""
    labels = labels.astype(int)
    classes = logits.shape[1]
    full = resize(logits, *labels.shape[1:], align_corners)
    log_p = full - full.max(1, keepdims=True)
    log_p -= np.log(np.exp(log_p).sum(1, keepdims=True))
    weight = class_weights[labels]
    one_hot = np.moveaxis(np.eye(classes)[np.minimum(labels, classes - 1)], 3, 1)
    target = (1 - smoothing) * one_hot + smoothing / classes
    loss = -((target * log_p).sum(1) * weight).sum((1, 2))
    gradient = (np.exp(log_p) - target) * weight[:, None]
    rows, columns = (matrix(s, t, align_corners) for s, t in zip(logits.shape[2:], labels.shape[1:]))
    return loss, np.einsum("yh,ncyx,xw->nchw", rows, gradient, columns, optimize=True)


def upsample_taps(taps, base, kernel, align_corners, factor=0, add=True, relu=False):
    """(N, kernel * kernel * C, h, w), (N, C, H, W) or (C,) -> (N, C, H, W)"""
    base = np.asarray(base, np.float64)
    height, width = (factor * size for size in taps.shape[2:]) if factor else base.shape[2:]
    channels, radius = taps.shape[1] // kernel**2, kernel // 2
    total = base[None, :, None, None] if factor else base if add else 0
    large = resize(taps, height, width, align_corners)
    large = np.pad(large, ((0, 0), (0, 0), (radius, radius), (radius, radius)))
    for i in range(kernel):
        for j in range(kernel):
            first = (i * kernel + j) * channels
            total = total + large[:, first : first + channels, i : i + height, j : j + width]
    return np.maximum(total, 0) if relu else total
