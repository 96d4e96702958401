"""Sampling a feature map at learned places."""

__all__ = ["warp"]


def warp(F, x, offsets):
    """Sample `x` (N, C, H, W) bilinearly at each pixel plus its offset; outside `x` there are zeros.

    `offsets` is (N, 2, H, W), in pixels: to the right, then down. As `GridGenerator` and `BilinearSampler`
    do, but a side of a single pixel, which the former divides by zero, is sampled where it is.
    """
    right, down = F.split(offsets, num_outputs=2, axis=1, squeeze_axis=True)  # (N, H, W)
    columns, last_column = _steps(F, x, 3)
    rows, last_row = _steps(F, x, 2)
    right = F.broadcast_add(right, F.reshape(columns, shape=(1, 1, -1)))
    down = F.broadcast_add(down, F.reshape(rows, shape=(1, -1, 1)))
    # from -1 at the centre of the first pixel to 1 at that of the last
    grid = (F.broadcast_div(2 * right, last_column) - 1, F.broadcast_div(2 * down, last_row) - 1)
    return F.BilinearSampler(x, F.stack(*grid, axis=1))


def _steps(F, x, axis):
    """0, 1, ... size - 1, and the last of them but not 0."""
    steps = F.contrib.arange_like(x, axis=axis)
    last = F.max(steps)
    return F.stop_gradient(steps), F.stop_gradient(F.broadcast_maximum(last, F.ones_like(last)))
