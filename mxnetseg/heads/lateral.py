"""The top-down step of ladder-style decoders and feature pyramids."""

from mxnet.gluon import HybridBlock

from ..nn import ConvNormAct, resize_like

__all__ = ["LateralFusion"]


class LateralFusion(HybridBlock):
    """Add a coarse map to a finer one: (N, channels, h, w), (N, in_channels, H, W) -> (N, channels, H, W)."""

    def __init__(self, in_channels: int, channels: int):
        super().__init__()
        with self.name_scope():
            self.lateral = ConvNormAct(in_channels, channels)
            self.smooth = ConvNormAct(channels, channels, 3)

    def hybrid_forward(self, F, coarse, fine):
        return self.smooth(resize_like(F, coarse, fine, align_corners=True) + self.lateral(fine))
