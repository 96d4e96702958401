"""Deformable 3x3 sampling, and attention over its nine samples (DGMN2).

Zhang et al., "Dynamic Graph Message Passing Networks for Visual Recognition", TPAMI 2022; the sampler is that of
Dai et al., "Deformable Convolutional Networks", ICCV 2017.

sampling.h   the rule by which a map is sampled, for both
unfold.h, attention.h, samples.h
             C++, OpenMP
kernels.cu, unfold_kernels.h, attention_kernels.h, warp.h
             CUDA; gpu.h: how it is called
op.cc        MXNet's side of both
composed.py  the same from MXNet's own operators, where the library can't be had
"""

from ...errors import MXNetSegError
from ..inputs import array_of, check_shape, shielded
from ..library import serves
from . import composed

__all__ = ["deform_attention", "deform_unfold"]

WINDOW = 9  # samples of a 3x3 window, row by row


def deform_unfold(F, x, offset, *, padding: int = 1, dilation: int = 1, stride: int = 1):
    """Sample the 3x3 neighbourhood of every position at displaced places.

    Parameters
    ----------
    F : mx.nd or mx.sym
    x : (B, C, H, W)
    offset : (B, 18, Ho, Wo), pixels
        Displacement of sample t = 3*row + column: channel 2t along y, 2t+1 along x.
        Ho = (H + 2*padding - 2*dilation - 1) // stride + 1, Wo alike.

    Returns
    -------
    (B, C*9, Ho*Wo)
        Channel c*9 + t is sample t of channel c, taken at y = h*stride - padding + row*dilation + dy and x alike. Where
        -1 < y < H and -1 < x < W that is the bilinear mean of four pixels, those beyond the map being 0; elsewhere it
        is 0.

    Raises
    ------
    MXNetSegError
        Arrays of wrong shapes. A symbol's shapes are checked when they are inferred (MXNetError).

    Notes
    -----
    float32 and float64 on a CPU, float32 and float16 on a GPU. The gradient to an offset is the right-hand derivative
    at whole numbers, and 0 where a sample does not count.
    """
    attributes = dict(padding=padding, dilation=dilation, stride=stride)
    _check_attributes("deform_unfold", attributes)
    array = array_of(x)
    if array is not None:
        _check_unfold(x, offset, **attributes)
    if not serves(array):
        return composed.deform_unfold(F, x, offset, **attributes)
    return F.mxnetseg_deform_unfold(*shielded(x, offset), **attributes)


def deform_attention(F, q, k, v, offset, position, *, heads: int, scale: float, padding: int = 1, dilation: int = 1):
    """Attention of every pixel to nine displaced samples of its neighbourhood, in one pass.

    Parameters
    ----------
    F : mx.nd or mx.sym
    q, k, v : (B, H, W, heads*d)
    offset : (B, H, W, heads*18), pixels
        Of head i, sample t: channel 18*i + 2t along y, 18*i + 2t+1 along x; k and v share it.
    position : (B, H, W, heads*9)
        Added to the logits (not scaled).

    Returns
    -------
    (B, H, W, heads*d)
        Per pixel and head the sum of p_t v_t, where p = softmax over t of scale * <q, k_t> + position_t, and k_t
        and v_t are sampled as in `deform_unfold`.

    Notes
    -----
    Types and errors are those of `deform_unfold`. Unlike a composition this keeps no (B, heads, d, 9, H*W) arrays: its
    backward pass samples anew.
    """
    attributes = dict(heads=heads, padding=padding, dilation=dilation)
    _check_attributes("deform_attention", attributes)
    attributes["scale"] = float(scale)
    array = array_of(q)
    if array is not None:
        _check_attention(q, k, v, offset, position, heads)
    if not serves(array):
        return composed.deform_attention(F, q, k, v, offset, position, **attributes)
    return F.mxnetseg_deform_attention(*shielded(q, k, v, offset, position), **attributes)


def _check_attributes(name, attributes):
    least = {"padding": 0}
    for key, value in attributes.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < least.get(key, 1):
            raise MXNetSegError(f"{name}: {key}={value!r} must be a whole number, {least.get(key, 1)} or more")


def _check_unfold(x, offset, padding, dilation, stride):
    if len(x.shape) != 4:
        raise MXNetSegError(f"deform_unfold: x must be (B, C, H, W), not {x.shape}")
    sizes = [(size + 2 * padding - 2 * dilation - 1) // stride + 1 for size in x.shape[2:]]
    if min(*sizes, *x.shape) < 1:
        raise MXNetSegError(f"deform_unfold: x {x.shape} is smaller than the window; use a smaller dilation")
    check_shape("deform_unfold", "offset", offset, (x.shape[0], 2 * WINDOW, *sizes), f"x {x.shape}")


def _check_attention(q, k, v, offset, position, heads):
    name = "deform_attention"
    if len(q.shape) != 4 or min(q.shape) < 1 or q.shape[3] % heads:
        raise MXNetSegError(f"{name}: q must be (B, H, W, heads*d) with heads={heads}, not {q.shape}")
    because = f"q {q.shape} and heads={heads}"
    check_shape(name, "k", k, q.shape, because)
    check_shape(name, "v", v, q.shape, because)
    check_shape(name, "offset", offset, (*q.shape[:3], heads * 2 * WINDOW), because)
    check_shape(name, "position", position, (*q.shape[:3], heads * WINDOW), because)
