"""Both operators from MXNet's own: slower, but for any context, and without a compiler.

One call of `BilinearSampler` takes all nine samples, stacked along the height, from a map with a border of one
zero pixel, which gives the sampling rule of sampling.h. Gradients come from autograd. Sample positions pass
through `BilinearSampler`'s scale of -1 to 1 and are rounded there: to about 1e-7 of the map's size in float32;
where a position is a whole number its derivative may be the left-hand one.
"""

__all__ = ["deform_attention", "deform_unfold"]

WINDOW = 9  # samples of a 3x3 window, row by row


def deform_unfold(F, x, offset, *, padding=1, dilation=1, stride=1):
    """(B, C, H, W) and (B, 18, Ho, Wo), pixels -> (B, C*9, Ho*Wo); see `mxnetseg.ops.deform.deform_unfold`."""
    sampled = _sample(F, x, _grid(F, x, offset, padding, dilation, stride))  # (B, C, 9, Ho, Wo)
    return F.reshape(sampled, shape=(0, -3, -3))


def deform_attention(F, q, k, v, offset, position, *, heads, scale, padding=1, dilation=1):
    """(B, H, W, heads*d) three times, (B, H, W, heads*18), (B, H, W, heads*9) -> (B, H, W, heads*d)."""
    keys, values = _to_maps(F, k, heads), _to_maps(F, v, heads)
    grid = _grid(F, keys, _to_maps(F, offset, heads), padding, dilation, 1)
    query = F.expand_dims(_to_maps(F, q, heads), axis=2)  # (B*heads, d, 1, H, W)
    logits = scale * F.sum(F.broadcast_mul(query, _sample(F, keys, grid)), axis=1)
    p = F.softmax(logits + _to_maps(F, position, heads), axis=1)  # (B*heads, 9, H, W)
    out = F.sum(F.broadcast_mul(F.expand_dims(p, axis=1), _sample(F, values, grid)), axis=2)
    out = F.transpose(F.reshape(out, shape=(-4, -1, heads, 0, 0, 0)), axes=(0, 3, 4, 1, 2))  # (B, H, W, heads, d)
    return F.reshape(out, shape=(0, 0, 0, -3))


def _to_maps(F, array, heads):
    """(B, H, W, heads*n) -> (B*heads, n, H, W)"""
    array = F.reshape(array, shape=(0, 0, 0, -4, heads, -1))
    return F.reshape(F.transpose(array, axes=(0, 3, 4, 1, 2)), shape=(-3, 0, 0, 0))


def _grid(F, x, offset, padding, dilation, stride):
    """Positions of all samples in the padded map on the scale of -1 to 1, x before y: (B, 2, 9*Ho, Wo)."""
    sample = F.contrib.arange_like(F.slice_axis(offset, axis=1, begin=0, end=WINDOW), axis=1)
    row = F.floor(sample / 3)
    column = sample - 3 * row
    pairs = F.reshape(offset, shape=(0, -4, WINDOW, 2, 0, 0))  # (B, 9, 2, Ho, Wo)
    y, height = _along(F, x, offset, pairs, 2, 0, row * dilation - padding, stride)
    x, width = _along(F, x, offset, pairs, 3, 1, column * dilation - padding, stride)
    # a sample that does not count is sent far away: it gets no gradient either
    counts = _between(F, y, height) * _between(F, x, width)
    away = F.ones_like(y) * -9
    grid = [
        F.expand_dims(F.where(counts, F.broadcast_div(2 * (at + 1), size + 1) - 1, away), axis=1)
        for at, size in ((x, width), (y, height))
    ]
    return F.reshape(F.concat(*grid, dim=1), shape=(0, 0, -3, 0))


def _along(F, x, offset, pairs, axis, which, start, stride):
    """Positions (B, 9, Ho, Wo) along one axis of the map, and the map's size along it."""
    steps = F.contrib.arange_like(offset, axis=axis) * stride
    steps = F.reshape(steps, shape=(1, 1, -1, 1) if axis == 2 else (1, 1, 1, -1))
    at = F.squeeze(F.slice_axis(pairs, axis=2, begin=which, end=which + 1), axis=2)
    at = F.broadcast_add(F.broadcast_add(at, steps), F.reshape(start, shape=(1, -1, 1, 1)))
    size = F.reshape(F.max(F.contrib.arange_like(x, axis=axis)), shape=(1, 1, 1, 1)) + 1
    return at, size


def _between(F, at, size):
    return (at > -1) * F.broadcast_lesser(at, size)


def _sample(F, x, grid):
    """(B, C, H, W) at `grid` -> (B, C, 9, Ho, Wo)"""
    padded = F.pad(x, mode="constant", constant_value=0, pad_width=(0, 0, 0, 0, 1, 1, 1, 1))
    return F.reshape(F.BilinearSampler(padded, grid), shape=(0, 0, -4, WINDOW, -1, 0))
