"""Attention of all positions to all positions, without ever holding all of it."""

__all__ = ["attend"]


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
