"""Bilinear resizing and global pooling that follow a tensor's size, so that no size is frozen into a network."""

__all__ = ["global_average", "resize_like"]


def resize_like(F, x, like, *, align_corners: bool):
    """Resize `x` (N, C, h, w) bilinearly to the H and W of `like`.

    `align_corners` has no default on purpose: MXNet's is True, most other toolkits' is False, and
    published weights depend on it.

    Two matrix products, one per axis, give what `contrib.BilinearResize2D` gives; its backward pass
    is slow on a CPU (docs/performance.md).
    """
    rows = _interpolation(F, x, like, 2, align_corners)  # (H, h)
    columns = _interpolation(F, x, like, 3, align_corners)  # (W, w)
    x = F.dot(x, columns, transpose_b=True)  # (N, C, h, W)
    rows = F.broadcast_like(F.expand_dims(F.expand_dims(rows, 0), 0), x, lhs_axes=(0, 1), rhs_axes=(0, 1))
    return F.linalg.gemm2(rows, x)  # (N, C, H, W)


def _interpolation(F, x, like, axis, align_corners):
    """The matrix (size of `like`, size of `x`) of linear interpolation along `axis`."""
    targets = F.contrib.arange_like(like, axis=axis)
    sources = F.contrib.arange_like(x, axis=axis)
    last = F.max(sources)
    if align_corners:
        # a single target takes the first source
        scale = F.broadcast_div(last, F.broadcast_maximum(F.max(targets), F.ones_like(last)))
        position = F.broadcast_mul(targets, scale)
    else:
        scale = F.broadcast_div(last + 1, F.max(targets) + 1)
        position = F.relu(F.broadcast_mul(targets + 0.5, scale) - 0.5)
        position = F.broadcast_minimum(position, last)
    distance = F.broadcast_sub(F.expand_dims(position, 1), F.expand_dims(sources, 0))
    return F.stop_gradient(F.relu(1 - F.abs(distance)))


def global_average(F, x):
    """The mean over H and W, (N, C, 1, 1).

    Not `GlobalAvgPool2D`: the same values, but its backward pass is slow on a CPU (docs/performance.md).
    """
    return F.contrib.AdaptiveAvgPooling2D(x, output_size=1)
