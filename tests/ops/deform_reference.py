"""Both operators in plain NumPy, float64: what every other implementation is tested against.

Sampling rule: DGMN2 (Zhang et al., "Dynamic Graph Message Passing Networks for Visual Recognition", TPAMI 2022),
whose sampler is that of Deformable ConvNets (Dai et al., 2017). A position (y, x) counts when
-1 < y < H and -1 < x < W; there the bilinear mean of its four neighbours is taken, those beyond the map being 0.
"""

import numpy as np

__all__ = ["deform_attention", "deform_attention_backward", "deform_unfold", "deform_unfold_backward"]

WINDOW = 9  # samples of a 3x3 window, row by row


def deform_unfold(x, offset, *, padding=1, dilation=1, stride=1):
    """(B, C, H, W) and (B, 18, Ho, Wo), pixels -> (B, C*9, Ho*Wo); see `mxnetseg.ops.deform.deform_unfold`."""
    x, offset = _float64(x, offset)
    batch, channels, height, width = x.shape
    out = np.zeros((batch, channels, WINDOW, *offset.shape[2:]))
    for rows, columns, weight, _, _ in _corners(*_positions(offset, padding, dilation, stride), height, width):
        out += weight[:, None] * _gather(x, rows, columns)
    return out.reshape(batch, channels * WINDOW, -1)


def deform_unfold_backward(x, offset, grad, *, padding=1, dilation=1, stride=1):
    """Gradients of sum(grad * deform_unfold(x, offset)) to x and to offset."""
    x, offset, grad = _float64(x, offset, grad)
    batch, channels, height, width = x.shape
    grad = grad.reshape(batch, channels, WINDOW, *offset.shape[2:])
    grad_x, grad_offset = np.zeros_like(x), np.zeros_like(offset)
    image = np.arange(batch)[:, None, None, None]
    for rows, columns, weight, along_y, along_x in _corners(
        *_positions(offset, padding, dilation, stride), height, width
    ):
        for channel in range(channels):
            np.add.at(grad_x[:, channel], (image, rows, columns), weight * grad[:, channel])
        slope = (_gather(x, rows, columns) * grad).sum(1)
        grad_offset[:, 0::2] += along_y * slope
        grad_offset[:, 1::2] += along_x * slope
    return grad_x, grad_offset


def deform_attention(q, k, v, offset, position, *, heads, scale, padding=1, dilation=1):
    """(B, H, W, heads*d) three times, (B, H, W, heads*18), (B, H, W, heads*9) -> (B, H, W, heads*d)."""
    return _from_maps(_attend(q, k, v, offset, position, heads, scale, padding, dilation)["out"], heads)


def deform_attention_backward(q, k, v, offset, position, grad, *, heads, scale, padding=1, dilation=1):
    """Gradients of sum(grad * deform_attention(...)) to q, k, v, offset and position."""
    state = _attend(q, k, v, offset, position, heads, scale, padding, dilation)
    grad = _to_maps(grad, heads)[:, :, None]  # (B*heads, d, 1, H, W)
    p = state["p"]
    grad_p = (grad * state["sampled_v"]).sum(1)
    grad_logits = p * (grad_p - (p * grad_p).sum(1, keepdims=True))
    grad_sampled_k = scale * grad_logits[:, None] * state["q"][:, :, None]
    grad_sampled_v = p[:, None] * grad
    maps = {"q": scale * (grad_logits[:, None] * state["sampled_k"]).sum(2), "position": grad_logits, "offset": 0}
    for name, grad_sampled in (("k", grad_sampled_k), ("v", grad_sampled_v)):
        maps[name], grad_offset = deform_unfold_backward(
            state[name], state["offset"], grad_sampled, padding=padding, dilation=dilation
        )
        maps["offset"] = maps["offset"] + grad_offset
    return tuple(_from_maps(maps[name], heads) for name in ("q", "k", "v", "offset", "position"))


def _attend(q, k, v, offset, position, heads, scale, padding, dilation):
    q, k, v, offset, position = (_to_maps(array, heads) for array in (q, k, v, offset, position))
    shape = (*q.shape[:2], WINDOW, *q.shape[2:])
    sampled_k = deform_unfold(k, offset, padding=padding, dilation=dilation).reshape(shape)
    sampled_v = deform_unfold(v, offset, padding=padding, dilation=dilation).reshape(shape)
    logits = scale * (q[:, :, None] * sampled_k).sum(1) + position  # (B*heads, 9, H, W)
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    out = (p[:, None] * sampled_v).sum(2)
    return dict(q=q, k=k, v=v, offset=offset, sampled_k=sampled_k, sampled_v=sampled_v, p=p, out=out)


def _to_maps(array, heads):
    """(B, H, W, heads*n) -> (B*heads, n, H, W)"""
    batch, height, width, channels = array.shape
    array = np.asarray(array, np.float64).reshape(batch, height, width, heads, channels // heads)
    return array.transpose(0, 3, 4, 1, 2).reshape(batch * heads, channels // heads, height, width)


def _from_maps(array, heads):
    """(B*heads, n, H, W) -> (B, H, W, heads*n)"""
    array = array.reshape(-1, heads, *array.shape[1:]).transpose(0, 3, 4, 1, 2)
    return array.reshape(*array.shape[:3], -1)


def _positions(offset, padding, dilation, stride):
    """Rows and columns, (B, 9, Ho, Wo) each, that the samples are taken at."""
    sample = np.arange(WINDOW)[:, None, None]
    rows = np.arange(offset.shape[2])[:, None] * stride - padding + sample // 3 * dilation
    columns = np.arange(offset.shape[3]) * stride - padding + sample % 3 * dilation
    return rows + offset[:, 0::2], columns + offset[:, 1::2]


def _corners(y, x, height, width):
    """For each of the four neighbours: row, column, weight, and the weight's derivatives along y and x.

    The derivative is the right-hand one where y or x is a whole number, and 0 where the sample does not count.
    """
    counts = (y > -1) & (y < height) & (x > -1) & (x < width)
    y, x = np.where(counts, y, 0), np.where(counts, x, 0)
    top, left = np.floor(y).astype(int), np.floor(x).astype(int)
    for row, weight_y, sign_y in ((top, top + 1 - y, -1), (top + 1, y - top, 1)):
        for column, weight_x, sign_x in ((left, left + 1 - x, -1), (left + 1, x - left, 1)):
            there = counts & (row >= 0) & (row < height) & (column >= 0) & (column < width)
            yield (
                row.clip(0, height - 1),
                column.clip(0, width - 1),
                there * weight_y * weight_x,
                there * sign_y * weight_x,
                there * weight_y * sign_x,
            )


def _gather(x, rows, columns):
    """x (B, C, H, W) at rows and columns (B, 9, Ho, Wo) -> (B, C, 9, Ho, Wo)"""
    return np.stack([image[:, row, column] for image, row, column in zip(x, rows, columns)])


def _float64(*arrays):
    return (np.asarray(array, np.float64) for array in arrays)
