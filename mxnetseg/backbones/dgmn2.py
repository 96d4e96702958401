"""DGMN2: Dynamic Graph Message Passing Networks (Zhang et al., TPAMI 2022). https://arxiv.org/abs/2209.09760

Between the embeddings, maps are channels last: (N, H, W, C).
"""

from functools import partial
from typing import Sequence

import mxnet as mx
from mxnet.gluon import HybridBlock, nn

from ..nn import ConvNormAct, TransformerBlock, dense, drop_path, drop_path_rates, image_channels, resize_like
from ..nn.init import FAN_IN
from ..ops.deform import deform_attention
from ..registry import register_backbone
from .base import Backbone

__all__ = ["DGMN2"]

SAMPLES = 9  # 3x3 taps per pixel
IMAGE = 224  # side of the images that the position tables were made for


class RelativePosition(HybridBlock):
    """Position logits of the samples: queries (N, H, W, heads * d) -> (N, H, W, heads * 9).

    `height` and `width` are the sizes of the map that the tables were made for; they are resized
    linearly to any other.
    """

    def __init__(self, height: int, width: int, heads: int, head_channels: int):
        super().__init__()
        self._heads = heads
        self._head_channels = head_channels
        with self.name_scope():
            self.rel_height = _table(self, "rel_height", height, head_channels)
            self.rel_width = _table(self, "rel_width", width, head_channels)

    def hybrid_forward(self, F, q, rel_height, rel_width):
        by_width = self._logits(F, F.transpose(q, axes=(2, 0, 1, 3)), rel_width)  # (W, N, H, heads * 9)
        by_width = F.transpose(by_width, axes=(1, 2, 0, 3))
        by_height = self._logits(F, F.transpose(q, axes=(1, 0, 2, 3)), rel_height)  # (H, N, W, heads * 9)
        # the published weights were trained with a map that is resized from (W, H) to (H, W), not transposed
        by_height = F.transpose(by_height, axes=(1, 3, 2, 0))  # (N, heads * 9, W, H)
        by_height = resize_like(F, by_height, F.transpose(q, axes=(0, 3, 1, 2)), align_corners=False, may_shrink=True)
        return by_width + F.transpose(by_height, axes=(0, 2, 3, 1))

    def _logits(self, F, q, table):
        """Queries (L, N, M, C), ordered along the table's axis -> (L, N, M, heads * 9).

        At l, sample s takes row L - 1 - l + s of the table resized to L + 8 rows, although the samples
        have two dimensions: that is how the published weights were trained.
        """
        rows = F.contrib.arange_like(table, axis=0)
        along = F.contrib.arange_like(q, axis=0)
        last = F.max(along)
        taken = F.stack(*(F.broadcast_sub(last + s, along) for s in range(SAMPLES)), axis=1)  # (L, 9)
        scale = F.broadcast_div(F.max(rows) + 1, last + SAMPLES)
        position = F.relu(F.broadcast_mul(taken + 0.5, scale) - 0.5)
        position = F.expand_dims(F.broadcast_minimum(position, F.max(rows)), 2)  # (L, 9, 1)
        weights = F.relu(1 - F.abs(F.broadcast_sub(position, F.reshape(rows, shape=(1, 1, -1)))))
        embedding = F.dot(F.stop_gradient(weights), table)  # (L, 9, d)
        queries = F.reshape(q, shape=(0, -1, self._head_channels))  # (L, N * M * heads, d)
        logits = F.batch_dot(queries, embedding, transpose_b=True)
        logits = F.reshape(logits, shape=(0, -1, self._heads * SAMPLES))  # (L, N * M, heads * 9)
        return F.reshape_like(logits, q, lhs_begin=1, lhs_end=2, rhs_begin=1, rhs_end=3)


class Attention(HybridBlock):
    """Each pixel attends to nine pixels whose places depend on it (section 3.3): (N, H, W, C) -> the same."""

    def __init__(self, channels: int, heads: int, size: int):
        super().__init__()
        self._heads = heads
        self._scale = (channels // heads) ** -0.5
        with self.name_scope():
            self.qkv = dense(channels, 3 * channels)
            self.offset = dense(channels // heads, 2 * SAMPLES)
            self.position = RelativePosition(size, size, heads, channels // heads)
            self.project = dense(channels, channels)

    def hybrid_forward(self, F, x):
        q, k, v = F.split(self.qkv(x), num_outputs=3, axis=3)
        offset = self.offset(F.reshape(x, shape=(0, 0, 0, -4, self._heads, -1)))
        offset = F.reshape(offset, shape=(0, 0, 0, -3))  # (N, H, W, heads * 18)
        position = self.position(q)
        return self.project(deform_attention(F, q, k, v, offset, position, heads=self._heads, scale=self._scale))


class DGMN2(Backbone):
    """(N, 3, H, W) -> c1..c4 at strides 4, 8 and then up to `output_stride`.

    Parameters
    ----------
    depths : four ints
        Blocks by stage.
    output_stride : int
        8 under SETR's heads, 32 under a feature pyramid.
    drop_path_rate : float
        Of the last block; it grows evenly from 0 at the first. The published segmentation models use none.
    """

    align_corners = True  # what every published head on this backbone resizes with

    def __init__(self, depths: Sequence[int], output_stride: int, *, drop_path_rate: float = 0.0):
        super().__init__((64, 128, 320, 512))
        rates = iter(drop_path_rates(drop_path_rate, sum(depths)))
        with self.name_scope():
            self.embeds = nn.HybridSequential()
            self.stages = nn.HybridSequential()
            for i, (width, depth, ratio) in enumerate(zip(self.channels, depths, (8, 8, 4, 4))):
                embed = nn.HybridSequential()
                if i == 0:
                    embed.add(
                        _embed(image_channels(), width // 2, 2),
                        _embed(width // 2, width // 2, 1),
                        _embed(width // 2, width, 2),
                    )
                else:
                    embed.add(_embed(self.channels[i - 1], width, 2 if 4 << i <= output_stride else 1))
                self.embeds.add(embed)
                stage = nn.HybridSequential()
                # the tables follow a stride of 4, 8, 16, 32 whatever the stride here
                size = IMAGE // (4 << i)
                for _ in range(depth):
                    attention = Attention(width, width // 64, size)
                    stage.add(TransformerBlock(attention, width, ratio * width, drop=drop_path(next(rates))))
                self.stages.add(stage)

    def hybrid_forward(self, F, x):
        features = []
        for embed, stage in zip(self.embeds, self.stages):
            x = F.transpose(embed(x), axes=(0, 2, 3, 1))
            x = F.transpose(stage(x), axes=(0, 3, 1, 2))
            features.append(x)
        return tuple(features)


def _embed(in_channels: int, channels: int, stride: int) -> ConvNormAct:
    return ConvNormAct(in_channels, channels, 3, stride=stride, init=FAN_IN)


def _table(block, name: str, size: int, channels: int):
    shape = (size + SAMPLES - 1, channels)
    return block.params.get(name, shape=shape, init=mx.init.Normal(channels**-0.5))


for _name, _depths in (
    ("dgmn2_tiny", (2, 2, 2, 2)),
    ("dgmn2_small", (3, 4, 6, 3)),
    ("dgmn2_medium", (3, 4, 18, 3)),
    ("dgmn2_large", (3, 8, 27, 3)),
):
    register_backbone(_name)(partial(DGMN2, _depths))
