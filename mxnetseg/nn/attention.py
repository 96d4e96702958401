"""Attention of all positions to all positions, without ever holding all of it."""

from .. import ops
from ..ops import serves_training
from ..ops.inputs import array_of
from .inference import runs_forward_only

__all__ = ["attend", "self_attention"]

PARTS = 4  # of the attention of a head


def self_attention(F, qkv, *, channels: int, heads: int):
    """Softmax attention of all tokens to all: (N, L, 3 channels) -> (N, L, channels).

    Queries, keys and values, each of all heads, lie one behind the other. One head is worked off after the other, each
    in `PARTS`; in training on a CPU it is an operator of ours.
    """
    if not runs_forward_only() and serves_training(array_of(qkv)):
        return ops.self_attention(F, qkv, heads=heads)
    pieces = list(F.split(F.transpose(qkv, axes=(0, 2, 1)), num_outputs=3 * heads, axis=1))  # each (N, d, L)
    queries, keys, values = (pieces[i * heads : (i + 1) * heads] for i in range(3))
    scale = (channels // heads) ** -0.5
    results = [attend(F, scale * q, k, v, parts=PARTS) for q, k, v in zip(queries, keys, values)]
    return F.transpose(F.concat(*results, dim=1), axes=(0, 2, 1))


def attend(F, query, key, value, *, parts: int):
    """Softmax attention: (N, d, L), (N, d, L), (N, C, L) -> (N, C, L). Queries come scaled.

    The queries are worked off in so many parts, one after the other, so that no more than 1 / `parts` of the (L, L)
    map of an image exists at a time in inference.
    """
    results = []
    for part in _cut(F, query, parts):
        if results:
            # nothing but order: MXNet would run all first products, then all that follows them
            part = F.broadcast_add(part, F.zeros_like(F.slice_axis(results[-1], axis=1, begin=0, end=1)))
        weights = F.softmax(F.batch_dot(part, key, transpose_a=True))  # (N, L / parts, L)
        results.append(F.batch_dot(value, weights, transpose_b=True))  # (N, C, L / parts)
    if parts == 1:
        return results[0]
    return F.slice_like(F.reshape(F.stack(*results, axis=3), shape=(0, 0, -1)), value, axes=(2,))


def _cut(F, query, parts):
    """Every `parts`-th query from the first on, from the second on, ...: all parts have ceil(L / parts)."""
    more = parts - 1
    if more:
        query = F.reshape(query, shape=(0, 0, 1, -1))  # F.pad takes four axes
        query = F.pad(query, mode="constant", pad_width=(0, 0, 0, 0, 0, 0, 0, more))
        query = F.reshape(query, shape=(0, 0, -1))
    for i in range(parts):
        yield F.slice(query, begin=(None, None, i), end=(None, None, i - more or None), step=(1, 1, parts))
