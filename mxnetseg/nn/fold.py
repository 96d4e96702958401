"""Sums of linear branches that become one convolution for deployment (RepVGG, Ding et al., 2021)."""

from typing import Tuple

import numpy as np
from mxnet import nd
from mxnet.gluon import HybridBlock, nn

from ..errors import MXNetSegError
from .conv import ConvNormAct, Kernel, conv2d
from .inference import inference_constants
from .init import FAN_IN
from .norm import BatchNorm, make_norm

__all__ = ["LinearSum", "NormConv"]


class NormConv(HybridBlock):
    """A norm, then a 1x1 convolution without bias: (N, C, H, W) -> (N, channels, H, W)."""

    def __init__(self, in_channels: int, channels: int):
        super().__init__()
        with self.name_scope():
            self.norm = make_norm(in_channels)
            self.conv = conv2d(in_channels, channels, bias=False)

    def hybrid_forward(self, F, x):
        return self.conv(self.norm(x))


class LinearSum(HybridBlock):
    """The sum of branches that are linear in inference: a convolution and a norm each, or the identity.

    (N, in_channels, H, W) -> (N, channels, H / stride, W / stride). `fold` makes it a single convolution
    of the largest kernel.

    Parameters
    ----------
    kernels : sequence of int or (int, int)
        One branch each: convolution, then norm.
    pointwise : bool
        Instead of `kernels`: a norm, then a 1x1 convolution (its published weights need that order), plus the identity.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *kernels: Kernel,
        stride: int = 1,
        groups: int = 1,
        pointwise: bool = False,
    ):
        super().__init__()
        self._shape = (in_channels, channels, stride, groups)
        sizes = [(k, k) if isinstance(k, int) else k for k in kernels] or [(1, 1)]
        self._kernel = tuple(max(size[axis] for size in sizes) for axis in (0, 1))
        self.identity = pointwise
        with self.name_scope():
            self.branches = nn.HybridSequential()
            if pointwise:
                self.branches.add(NormConv(in_channels, channels))
            for size in sizes if kernels else ():
                self.branches.add(
                    ConvNormAct(in_channels, channels, size, stride=stride, groups=groups, act=None, init=FAN_IN)
                )

    def hybrid_forward(self, F, x):
        branches = list(self.branches)
        if inference_constants() is not None and all(isinstance(getattr(b, "norm", None), BatchNorm) for b in branches):
            return self._as_one(F, x, branches, inference_constants())
        outputs = [branch(x) for branch in branches]
        total = x if self.identity else None
        for out in outputs:
            total = out if total is None else total + out
        return total

    def fold(self) -> None:
        """Become one convolution with a bias; the running statistics go into it.

        Raises
        ------
        MXNetSegError
            A norm that is not a batch norm: its statistics depend on the input.
        """
        branches = list(self.branches)
        if isinstance(branches[0], nn.Conv2D):
            return
        for branch in branches:
            if not isinstance(branch.norm, BatchNorm):
                raise MXNetSegError("only batch normalisation can be folded into convolutions (norm bn or syncbn)")
        in_channels, channels, stride, groups = self._shape
        with self.branches.name_scope():
            conv = conv2d(in_channels, channels, self._kernel, stride=stride, groups=groups)
        parameter = branches[0].conv.weight
        if parameter._data is not None:
            weight, bias = self._folded(branches)
            contexts = parameter.list_ctx()
            conv.initialize(ctx=contexts)
            conv.cast(parameter.dtype)
            conv.weight.set_data(nd.array(weight, dtype=parameter.dtype))
            conv.bias.set_data(nd.array(bias, dtype=parameter.dtype))
        self.branches._children.clear()
        self.branches.add(conv)
        self.identity = False

    def _as_one(self, F, x, branches, constants):
        """What `fold` makes of this, for one graph; the branches stay."""
        _, channels, stride, groups = self._shape
        weight, bias = (f"{self.prefix}folded_{kind}" for kind in ("weight", "bias"))
        constants.update(zip((weight, bias), (nd.array(a, dtype="float32") for a in self._folded(branches))))
        return F.Convolution(
            x,
            F.var(weight),
            F.var(bias),
            num_filter=channels,
            kernel=self._kernel,
            stride=(stride, stride),
            pad=tuple(k // 2 for k in self._kernel),
            num_group=groups,
        )

    def _folded(self, branches) -> Tuple[np.ndarray, np.ndarray]:
        in_channels, channels, _, groups = self._shape
        weight = np.zeros((channels, in_channels // groups, *self._kernel))
        bias = np.zeros(channels)
        middle = tuple(k // 2 for k in self._kernel)
        if self.identity:
            weight[np.arange(channels), np.arange(channels), middle[0], middle[1]] += 1
        for branch in branches:
            kernel = _numpy(branch.conv.weight)
            scale, shift = _affine(branch.norm)
            if isinstance(branch, NormConv):
                bias += kernel[:, :, 0, 0] @ shift
                kernel = kernel * scale[None, :, None, None]
            else:
                bias += shift
                kernel = kernel * scale[:, None, None, None]
            top, left = (middle[axis] - kernel.shape[2 + axis] // 2 for axis in (0, 1))
            weight[:, :, top : top + kernel.shape[2], left : left + kernel.shape[3]] += kernel
        return weight, bias


def _affine(norm) -> Tuple[np.ndarray, np.ndarray]:
    """Scale and shift per channel of a batch norm in inference."""
    deviation = np.sqrt(_numpy(norm.running_var) + norm._kwargs["eps"])
    scale = _numpy(norm.gamma) / deviation
    return scale, _numpy(norm.beta) - _numpy(norm.running_mean) * scale


def _numpy(parameter) -> np.ndarray:
    return parameter.data(parameter.list_ctx()[0]).asnumpy().astype(np.float64)
