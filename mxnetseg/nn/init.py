"""The initial weights of published training recipes."""

import math

import mxnet as mx

__all__ = ["CLASSIFIER", "FAN_IN", "KAIMING", "TRUNCATED", "XAVIER", "TruncatedNormal", "fan_in_bias"]


@mx.init.register
class TruncatedNormal(mx.init.Initializer):
    """Normal values, drawn again where they lie beyond `limit`."""

    def __init__(self, sigma: float = 0.02, limit: float = 2.0):
        super().__init__(sigma=sigma, limit=limit)
        self._sigma = sigma
        self._limit = limit

    def _init_weight(self, _, array):
        values = mx.nd.random.normal(0, self._sigma, shape=array.shape)
        while True:
            outside = mx.nd.abs(values) > self._limit
            if not outside.sum().asscalar():
                break
            values = mx.nd.where(outside, mx.nd.random.normal(0, self._sigma, shape=array.shape), values)
        array[:] = values


# PyTorch's own of convolutions and linear layers: uniform within 1 / sqrt(fan in)
FAN_IN = mx.init.Xavier(rnd_type="uniform", factor_type="in", magnitude=1)
# Kaiming normal over the fan out: mmcv's ConvModule
KAIMING = mx.init.MSRAPrelu(factor_type="out", slope=0)
# mmsegmentation's feature pyramid
XAVIER = mx.init.Xavier(rnd_type="uniform", factor_type="avg", magnitude=3)
# mmsegmentation's last layer
CLASSIFIER = mx.init.Normal(0.01)
# linear layers of vision transformers
TRUNCATED = TruncatedNormal(0.02)


def fan_in_bias(in_channels: int, kernel: int = 1, groups: int = 1) -> mx.init.Initializer:
    """PyTorch's initial bias: uniform within 1 / sqrt(fan in of the weight)."""
    return mx.init.Uniform(1 / math.sqrt(in_channels // groups * kernel * kernel))
