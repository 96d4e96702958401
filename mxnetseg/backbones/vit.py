"""ViT: An Image is Worth 16x16 Words (Dosovitskiy et al., ICLR 2021). https://arxiv.org/abs/2010.11929

Without the class token, as SETR uses it.
"""

from functools import partial
from typing import Collection, Sequence

from mxnet.gluon import HybridBlock, nn

from ..nn import (
    TransformerBlock,
    dense,
    image_channels,
    layer_norm,
    resize_like,
    self_attention,
    to_map,
    to_tokens,
)
from ..nn.init import FAN_IN, TRUNCATED, fan_in_bias
from ..registry import register_backbone
from .base import Backbone
from .levels import drop_levels

__all__ = ["VisionTransformer"]

PATCH = 16


class SelfAttention(HybridBlock):
    """Every token attends to all tokens: (N, L, channels) -> the same."""

    def __init__(self, channels: int, heads: int):
        super().__init__()
        self._channels, self._heads = channels, heads
        with self.name_scope():
            self.qkv = dense(channels, 3 * channels)
            self.project = dense(channels, channels)

    def hybrid_forward(self, F, x):
        return self.project(self_attention(F, self.qkv(x), channels=self._channels, heads=self._heads))


class VisionTransformer(Backbone):
    """(N, 3, H, W) -> c1..c4, all of stride 16 and width `channels`, from four depths.

    The image is padded with zeros below and to the right to whole patches.

    Parameters
    ----------
    channels, depth, heads : int
        Width, number of blocks, attention heads.
    crop_size : int
        Side of the images that the position embeddings are for; they are resized bilinearly to any other.
    dropout : float
        Behind every linear layer but queries, keys and values.
    """

    isotropic = True

    def __init__(self, channels: int, depth: int, heads: int, *, crop_size: int = 480, dropout: float = 0.1):
        super().__init__((channels,) * 4)
        self._side = -(-crop_size // PATCH)
        with self.name_scope():
            self.pos_embed = self.params.get("pos_embed", shape=(1, self._side**2, channels), init=TRUNCATED)
            self.patch_embed = nn.Conv2D(
                channels,
                PATCH,
                PATCH,
                in_channels=image_channels(),
                weight_initializer=FAN_IN,
                bias_initializer=fan_in_bias(image_channels(), PATCH),
            )
            self.blocks = nn.HybridSequential()
            for _ in range(depth):
                attention = SelfAttention(channels, heads)
                block = TransformerBlock(attention, channels, 4 * channels, drop=nn.Dropout(dropout), dropout=dropout)
                self.blocks.add(block)
            self.norms = nn.HybridSequential()
            self.norms.add(*(layer_norm(channels) for _ in self.channels))
        self.tap((1, 2, 3, 4), of=4)

    def tap(self, depths: Sequence[int], *, of: int) -> None:
        """In a network of another depth, behind the nearest blocks."""
        blocks = len(self.blocks)
        self._taps = [max(1, (2 * depth * blocks + of) // (2 * of)) for depth in depths]

    def keep(self, levels: Collection[str]) -> None:
        drop_levels(self.norms, levels)

    def hybrid_forward(self, F, x, pos_embed):
        x = F.pad(x, mode="constant", constant_value=0, pad_width=(0, 0, 0, 0, 0, PATCH - 1, 0, PATCH - 1))
        patches = self.patch_embed(x)  # (N, C, h, w)
        position = F.reshape(F.transpose(pos_embed, axes=(0, 2, 1)), shape=(0, 0, self._side, self._side))
        position = resize_like(F, position, patches, align_corners=False, may_shrink=True)
        depths = [to_tokens(F, F.broadcast_add(patches, position))]  # (N, h * w, C)
        for block in self.blocks:
            depths.append(block(depths[-1]))
        features = [depths[tap] for tap in self._taps]
        for level, norm in self.norms._children.items():
            features[int(level)] = norm(features[int(level)])
        return tuple(to_map(F, x, patches) for x in features)


for _name, _channels, _depth, _heads in (("vit_base_16", 768, 12, 12), ("vit_large_16", 1024, 24, 16)):
    _build = partial(VisionTransformer, channels=_channels, depth=_depth, heads=_heads)
    register_backbone(_name, output_strides=(PATCH,))(_build)
