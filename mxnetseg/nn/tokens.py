"""Maps as sequences of pixels, and back, for layers that mix all positions."""

__all__ = ["to_map", "to_tokens"]


def to_tokens(F, x):
    """(N, C, h, w) -> (N, h * w, C)"""
    return F.transpose(F.reshape(x, shape=(0, 0, -1)), axes=(0, 2, 1))


def to_map(F, tokens, like):
    """(N, h * w, C) -> (N, C, h, w), with the h and w of `like` (N, any, h, w)."""
    # the transpose comes last: reshape_like's backward pass can't read the layout of a convolution's gradient
    like = F.transpose(like, axes=(0, 2, 3, 1))
    tokens = F.reshape_like(tokens, like, lhs_begin=1, lhs_end=2, rhs_begin=1, rhs_end=3)
    return F.transpose(tokens, axes=(0, 3, 1, 2))
