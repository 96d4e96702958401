"""From an image to class probabilities: whole or by windows, over scales and mirror images."""

import itertools
import math
from dataclasses import dataclass
from typing import Callable, Dict, List, Optional, Sequence, Tuple, Union

import mxnet as mx
import numpy as np
from mxnet import nd

from ..config.schema import IMAGENET_MEAN, IMAGENET_STD, DataConfig, EvalConfig, Size
from ..data.transforms import normalize, resize, scaled_size
from ..network import Network
from ..ops.blend import resize_axis
from .blend import Blend, DeviceBlend, HostBlend
from .record import Feeding

__all__ = ["Preprocess", "class_probabilities", "predict_image", "windows"]


@dataclass(frozen=True)
class Preprocess:
    """How a network wants its images: mean and std per RGB channel on 0..255, and the size, of which one or none
    is given: the long side (base), or the sides to stay within (fit)."""

    mean: Sequence[float] = IMAGENET_MEAN
    std: Sequence[float] = IMAGENET_STD
    base: Optional[int] = None
    fit: Optional[Sequence[int]] = None
    range: Optional[Tuple[float, float]] = None  # values of files that are 0 and 255 here; None: they are uint8

    @classmethod
    def of(cls, feeding: Union[Feeding, DataConfig]) -> "Preprocess":
        """As a checkpoint's record or a recipe says."""
        return cls(feeding.mean, feeding.std, feeding.base, feeding.fit, feeding.range)

    def __call__(self, images: np.ndarray, context: mx.Context) -> nd.NDArray:
        """(N, H, W, C) uint8, or floats from 0 to 255 -> (N, C, H, W) float32 on `context`."""
        return nd.array(normalize(images, tuple(self.mean), tuple(self.std)), ctx=context)


def predict_image(
    net: Network, image: np.ndarray, preprocess: Preprocess, config: EvalConfig, context: mx.Context
) -> nd.NDArray:
    """(H, W, 3) uint8 RGB -> (H, W) uint8 class map, as an NDArray that may still be computing."""
    plain = not config.crop and not config.flip and list(config.scales) == [1.0]
    if plain and not config.multiple and _size(image, preprocess, config, 1.0) == image.shape[:2]:
        return net.class_map(preprocess(image[None], context))[0]
    scores = class_probabilities(net, image, preprocess, config, context)
    return nd.argmax(scores, axis=1)[0].astype("uint8")


def class_probabilities(
    net: Network, image: np.ndarray, preprocess: Preprocess, config: EvalConfig, context: mx.Context
) -> nd.NDArray:
    """(H, W, 3) uint8 RGB -> (1, C, H, W) float32: softmax, averaged over windows, scales and mirror images.

    `config.base` or `config.fit` (else those of `preprocess`) say what scale 1 is; the result has the image's own
    size. With `config.average` logits, windows are averaged and resized to the image before the softmax.

    Memory: one array of that size (with `average` logits one more per view), and one batch of windows.
    """
    height, width = image.shape[:2]
    total: Optional[Blend] = None
    for scale in config.scales:
        scaled = resize(image, *_size(image, preprocess, config, scale))
        if config.multiple:
            scaled = resize(scaled, *(-(-side // config.multiple) * config.multiple for side in scaled.shape[:2]))
        total = _add_scale(total, net, scaled, (height, width), preprocess, config, context)
    assert total is not None  # there is one scale at least
    return total.result()


def windows(size: int, window: int, stride: int) -> List[int]:
    """First pixels of the windows that cover `size` pixels; the last is shifted to end with the image."""
    if size <= window:
        return [0]
    count = math.ceil((size - window) / stride) + 1
    return [min(i * stride, size - window) for i in range(count)]


def _add_scale(
    total: Optional[Blend],
    net: Network,
    scaled: np.ndarray,
    size: Tuple[int, int],
    preprocess: Preprocess,
    config: EvalConfig,
    context: mx.Context,
) -> Blend:
    """Add the probabilities of a scaled image, resized to `size`, to `total`, or to a new blend; returns it."""
    on_cpu = context.device_type == "cpu"
    # on a CPU our own resize of coarse logits is faster than MXNet's
    forward: Callable[[nd.NDArray], nd.NDArray] = net.coarse_logits if on_cpu else net
    make: Callable[[int, int, int, mx.Context, bool], Blend] = HostBlend if on_cpu else DeviceBlend
    align_corners = net.align_corners  # logits are resized as the network resizes its own
    logits_first = config.average == "logits"
    share = 1 / (len(config.scales) * (2 if config.flip else 1))
    rows, columns = (resize_axis(*sides, logits_first and align_corners) for sides in zip(scaled.shape, size))
    if not logits_first:
        rows = rows.times(share)

    high, wide, tops, lefts = _grid(scaled, config)
    places = list(itertools.product((False, True) if config.flip else (False,), tops, lefts))
    sums: Dict[bool, Blend] = {}  # of logits, by view
    for first in range(0, len(places), config.batch_size):
        part = places[first : first + config.batch_size]
        views = [scaled[:, ::-1] if mirrored else scaled for mirrored, _, _ in part]
        cut = np.stack([view[top : top + high, left : left + wide] for view, (_, top, left) in zip(views, part)])
        for logits, (mirrored, top, left) in zip(forward(preprocess(cut, context)), part):
            if total is None:
                total = make(logits.shape[0], *size, context, align_corners)
            window_rows = rows.window(top, high, tops)
            window_columns = (columns.mirrored() if mirrored else columns).window(left, wide, lefts)
            if window_rows is None or window_columns is None:
                continue
            if logits_first:
                sums.setdefault(mirrored, total.empty()).add(logits, window_rows, window_columns)
            else:
                total.add(logits, window_rows, window_columns, softmax=True)
    assert total is not None  # there is one window at least
    for view in sums.values():
        total.add_softmax(view, share)
    return total


def _grid(image: np.ndarray, config: EvalConfig) -> Tuple[int, int, List[int], List[int]]:
    """Height and width of the windows, and the first rows and columns of them."""
    height, width = image.shape[:2]
    if not config.crop:
        return height, width, [0], [0]
    crop = _pair(config.crop)
    # a window never exceeds the image: networks take any size, so nothing has to be padded
    high, wide = min(crop[0], height), min(crop[1], width)
    stride = _pair(config.stride) if config.stride else (math.ceil(2 * crop[0] / 3), math.ceil(2 * crop[1] / 3))
    return high, wide, windows(height, high, stride[0]), windows(width, wide, stride[1])


def _size(image: np.ndarray, preprocess: Preprocess, config: EvalConfig, scale: float) -> Tuple[int, int]:
    height, width = image.shape[:2]
    if config.base or config.fit:
        return scaled_size(height, width, scale, config.base, config.fit)
    return scaled_size(height, width, scale, preprocess.base, preprocess.fit)


def _pair(size: Size) -> Tuple[int, int]:
    return (size, size) if isinstance(size, int) else size
