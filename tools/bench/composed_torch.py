"""The operators of mxnetseg.ops composed from PyTorch's own, to compare speeds with."""

import torch
import torch.nn.functional as F

TAPS = 9


def deform_unfold(x, offset):
    """(B, C, H, W) and (B, 18, H, W), pixels -> (B, C, 9, H*W); padding 1."""
    return sample(x, grid_of(offset))


def deform_attention(q, k, v, offset, position, heads, scale):
    """(B, H, W, heads*d) three times, (B, H, W, heads*18), (B, H, W, heads*9) -> (B, H, W, heads*d); padding 1."""
    batch, height, width, _ = q.shape
    q, k, v, offset, position = (to_maps(array, heads) for array in (q, k, v, offset, position))
    grid = grid_of(offset)
    logits = scale * (q.flatten(2)[:, :, None] * sample(k, grid)).sum(1) + position.flatten(2)
    out = (logits.softmax(1)[:, None] * sample(v, grid)).sum(2)  # (B*heads, d, H*W)
    return out.reshape(batch, heads, -1, height, width).permute(0, 3, 4, 1, 2).reshape(batch, height, width, -1)


def to_maps(array, heads):
    """(B, H, W, heads*n) -> (B*heads, n, H, W)"""
    batch, height, width, _ = array.shape
    return (
        array.reshape(batch, height, width, heads, -1).permute(0, 3, 4, 1, 2).reshape(batch * heads, -1, height, width)
    )


def grid_of(offset):
    """Positions of all samples, (B, 9*H, W, 2), on the scale of -1 to 1."""
    batch, _, height, width = offset.shape
    y, x = offset.reshape(batch, TAPS, 2, height, width).unbind(2)
    tap = torch.arange(TAPS, device=offset.device).reshape(TAPS, 1, 1)
    y = y + torch.arange(height, device=offset.device).reshape(height, 1) - 1 + tap // 3
    x = x + torch.arange(width, device=offset.device) - 1 + tap % 3
    grid = torch.stack((x * (2 / max(width - 1, 1)) - 1, y * (2 / max(height - 1, 1)) - 1), dim=-1)
    return grid.reshape(batch, TAPS * height, width, 2)


def sample(x, grid):
    sampled = F.grid_sample(x, grid.to(x.dtype), mode="bilinear", padding_mode="zeros", align_corners=True)
    return sampled.reshape(*x.shape[:2], TAPS, -1)
