"""Resizing and global pooling that follow a tensor's size, so that no size is frozen into a network.

A resize is two matrix products, one per axis. They give what MXNet's and PyTorch's kernels give; the
backward pass of `contrib.BilinearResize2D` is slow on a CPU (docs/performance.md). Its forward pass is not: a graph
for inference alone (`inference_graph`) has the kernel. In training on a CPU a bilinear one is an operator of ours.
"""

from ..ops import resize, serves_training
from ..ops.inputs import array_of
from .inference import inference_constants, runs_forward_only

__all__ = ["bicubic_like", "enlarge_image", "global_average", "halve", "nearest_like", "resize_like", "shrink"]

MOST = 1024  # rows or columns that `shrink` makes


def resize_like(F, x, like, *, align_corners: bool, factor: int = 1, may_shrink: bool = False):
    """Resize `x` (N, C, h, w) bilinearly to `factor` times the H and W of `like`.

    `align_corners` has no default on purpose: MXNet's is True, most other toolkits' is False, and
    published weights depend on it. `may_shrink`: the result may be one pixel high or wide where `x` is more,
    which MXNet's kernel gets wrong without aligned corners.
    """
    if inference_constants() is not None and not (may_shrink and not align_corners):
        if factor == 1:
            return F.contrib.BilinearResize2D(x, like, mode="like", align_corners=align_corners)
        if like is x:
            scale = dict(scale_height=factor, scale_width=factor)
            return F.contrib.BilinearResize2D(x, **scale, mode="size", align_corners=align_corners)
    if not runs_forward_only() and serves_training(array_of(x)):
        return resize(F, x, like, align_corners=align_corners, factor=factor)
    rows = _bilinear(F, x, like, 2, align_corners, factor)
    columns = _bilinear(F, x, like, 3, align_corners, factor)
    return _resize(F, x, rows, columns)


def enlarge_image(F, x, times: float):
    """Resize images `x` (N, C, h, w) bilinearly, corners aligned, to `times` their size, rounded down.

    By MXNet's kernel: nobody asks for an image's gradient, which is what is slow.
    """
    if times == 1:
        return x
    return F.contrib.BilinearResize2D(x, scale_height=times, scale_width=times, mode="size", align_corners=True)


def halve(F, x):
    """Resize `x` (N, C, h, w) bilinearly, corners aligned, to half its size, rounded down; h and w are 2 or more."""
    odd = F.slice(x, begin=(None, None, 1, 1), end=(None, None, None, None), step=(None, None, 2, 2))
    return resize_like(F, x, odd, align_corners=True)


def nearest_like(F, x, like):
    """Resize `x` (N, C, h, w) to the H and W of `like`; target i takes source floor(i * h / H)."""
    return _resize(F, x, _nearest(F, x, like, 2), _nearest(F, x, like, 3))


def bicubic_like(F, x, like):
    """Resize `x` (N, C, h, w) bicubically (a = -0.75, pixel centres, edges repeated) to the H and W of `like`."""
    rows, columns = _bicubic(F, x, like, 2), _bicubic(F, x, like, 3)
    x = F.pad(x, mode="edge", pad_width=(0, 0, 0, 0, 2, 2, 2, 2))
    return _resize(F, x, rows, columns)


def global_average(F, x):
    """The mean over H and W, (N, C, 1, 1).

    Not `GlobalAvgPool2D`: the same values, but its backward pass is slow on a CPU (docs/performance.md).
    """
    return F.contrib.AdaptiveAvgPooling2D(x, output_size=1)


def shrink(F, x, factor: int):
    """Average `x` (N, C, h, w) over a grid of floor(h / factor) by floor(w / factor) windows, at least one.

    Windows are those of adaptive average pooling: they overlap where `factor` does not divide h or w.
    """
    return _resize(F, x, _windows(F, x, 2, factor), _windows(F, x, 3, factor))


def _resize(F, x, rows, columns):
    """(N, C, h, w), (H, h), (W, w) -> (N, C, H, W)."""
    rows, columns = F.stop_gradient(rows), F.stop_gradient(columns)
    x = F.dot(x, columns, transpose_b=True)  # (N, C, h, W)
    rows = F.broadcast_like(F.expand_dims(F.expand_dims(rows, 0), 0), x, lhs_axes=(0, 1), rhs_axes=(0, 1))
    return F.linalg.gemm2(rows, x)  # (N, C, H, W)


def _bilinear(F, x, like, axis, align_corners, factor):
    """The matrix (targets, sources) of linear interpolation along `axis`."""
    targets = _targets(F, like, axis, factor)
    sources = F.contrib.arange_like(x, axis=axis)
    last = F.max(sources)
    if align_corners:
        # a single target takes the first source
        scale = F.broadcast_div(last, F.broadcast_maximum(F.max(targets), F.ones_like(last)))
        position = F.broadcast_mul(targets, scale)
    else:
        position = F.relu(_centres(F, targets, sources))
        position = F.broadcast_minimum(position, last)
    return F.relu(1 - F.abs(_distance(F, position, sources)))


def _nearest(F, x, like, axis):
    targets = F.contrib.arange_like(like, axis=axis)
    sources = F.contrib.arange_like(x, axis=axis)
    # i * h and H are whole numbers: half a step keeps the quotient clear of rounding at whole results
    position = F.broadcast_mul(targets, F.max(sources) + 1) + 0.5
    position = F.floor(F.broadcast_div(position, F.max(targets) + 1))
    return F.relu(1 - F.abs(_distance(F, position, sources)))


def _bicubic(F, x, like, axis):
    """(targets, sources + 4): two repeated sources lie before the first and behind the last."""
    targets = F.contrib.arange_like(like, axis=axis)
    sources = F.contrib.arange_like(x, axis=axis)
    first = F.slice_axis(sources, axis=0, begin=0, end=1)
    end = first + F.reshape(F.max(sources), shape=(1,))
    padded = F.concat(first - 2, first - 1, sources, end + 1, end + 2, dim=0)
    distance = F.abs(_distance(F, _centres(F, targets, sources), padded))
    a = -0.75
    near = ((a + 2) * distance - (a + 3)) * F.square(distance) + 1
    far = a * (((distance - 5) * distance + 8) * distance - 4)
    return near * (distance <= 1) + far * (distance > 1) * (distance < 2)


def _windows(F, x, axis, factor):
    """The matrix (targets, sources) of adaptive average pooling along `axis`."""
    sources = F.contrib.arange_like(x, axis=axis)
    targets = F.contrib.arange_like(_floor_divided(F, sources, factor), axis=0)
    size, count = F.max(sources) + 1, F.max(targets) + 1
    # half a step, as above
    begin = F.floor(F.broadcast_div(F.broadcast_mul(targets, size) + 0.5, count))
    end = F.broadcast_add(F.broadcast_mul(targets + 1, size), count) - 0.5
    end = F.floor(F.broadcast_div(end, count))
    sources = F.expand_dims(sources, 0)
    begin, end = F.expand_dims(begin, 1), F.expand_dims(end, 1)
    inside = F.broadcast_greater_equal(sources, begin) * F.broadcast_lesser(sources, end)
    return F.broadcast_div(inside, end - begin)


def _floor_divided(F, steps, factor):
    """Of n steps, max(1, floor(n / factor)), whatever they hold; no operator may give an empty array on the way."""
    more = F.concat(steps, F.slice_axis(steps, axis=0, begin=0, end=1), dim=0)
    quotient = F.slice(more, begin=(None,), end=(None,), step=(factor,))  # q + 1 steps, q = floor(n / factor)
    many = F.slice_axis(F.tile(quotient, reps=(MOST,)), axis=0, begin=MOST - 1, end=None)  # MOST * q + 1
    return F.slice(many, begin=(None,), end=(None,), step=(MOST + 1,))  # 1 for q = 0, else q (up to MOST + 1)


def _targets(F, like, axis, factor):
    """0, 1, ... factor * size - 1."""
    steps = F.contrib.arange_like(like, axis=axis)
    if factor == 1:
        return steps
    return F.reshape(F.stack(*(steps * factor + i for i in range(factor)), axis=1), shape=(-1,))


def _centres(F, targets, sources):
    """Where the centres of the target pixels lie among the sources."""
    scale = F.broadcast_div(F.max(sources) + 1, F.max(targets) + 1)
    return F.broadcast_mul(targets + 0.5, scale) - 0.5


def _distance(F, position, sources):
    return F.broadcast_sub(F.expand_dims(position, 1), F.expand_dims(sources, 0))
