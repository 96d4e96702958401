"""Attention of all tokens to all for training on a CPU, without the maps of it that MXNet's operators keep.

heads.h   C++ and OpenMP
op.cc     MXNet's operator
"""

from ..inputs import shielded

__all__ = ["self_attention"]


def self_attention(F, qkv, *, heads: int):
    """softmax(q k^T / sqrt(d)) v in each of `heads` heads of width d (arXiv:1706.03762).

    Callers ask `serves_training` first.

    Parameters
    ----------
    F : module
        mx.nd or mx.sym.
    qkv : NDArray or Symbol
        (N, L, 3 C), float32 or float64: queries, keys and values, each of all heads, one behind the other.

    Returns
    -------
    NDArray or Symbol
        (N, L, C).
    """
    return F.mxnetseg_self_attention(*shielded(qkv), heads=heads)
