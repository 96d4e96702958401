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
from ..errors import MXNetSegError
from ..network import MOST_CLASSES, Network
from ..ops.blend import resize_axis
from ..ops.upsample import upsample_argmax
from .blend import Blend, DeviceBlend, HostBlend
from .record import Feeding

__all__ = ["Preprocess", "class_probabilities", "predict_certain", "predict_image", "predict_images", "windows"]

Forward = Callable[[nd.NDArray], nd.NDArray]  # (N, C, H, W) -> logits of that or a coarser size


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
    return predict_images(net, image[None], preprocess, config, context)[0]


def predict_images(
    net: Network, images: np.ndarray, preprocess: Preprocess, config: EvalConfig, context: mx.Context
) -> nd.NDArray:
    """(N, H, W, 3) uint8 RGB -> (N, H, W) uint8 class maps, as an NDArray that may still be computing."""
    if _is_plain(images, preprocess, config):
        return net.class_map(preprocess(images, context))
    return _greatest(class_probabilities(net, images, preprocess, config, context))


def predict_certain(
    net: Network, images: np.ndarray, preprocess: Preprocess, config: EvalConfig, context: mx.Context
) -> Tuple[nd.NDArray, nd.NDArray]:
    """What `predict_images` and `class_probabilities` give, equal ones too, of one pass through the network.

    Where two classes are as likely but for rounding, the maps are those of `predict_images`.
    """
    seen: List[nd.NDArray] = []

    def forward(x: nd.NDArray) -> nd.NDArray:
        seen[:] = [net.coarse_logits(x)]
        return seen[0]

    probabilities = class_probabilities(net, images, preprocess, config, context, forward)
    if not _is_plain(images, preprocess, config):
        return _greatest(probabilities), probabilities
    height, width = images.shape[1:3]
    maps = upsample_argmax(nd, seen[0], height=height, width=width, align_corners=net.align_corners)
    return maps, probabilities


def class_probabilities(
    net: Network,
    images: np.ndarray,
    preprocess: Preprocess,
    config: EvalConfig,
    context: mx.Context,
    forward: Optional[Forward] = None,
) -> nd.NDArray:
    """(N, H, W, 3) uint8 RGB, or one image (H, W, 3), which is a batch of one -> (N, C, H, W) float32.

    They are softmax, averaged over windows, scales and mirror images. `config.base` or `config.fit` (else those of
    `preprocess`) say what scale 1 is; the result has the images' own size. With `config.average` logits, windows are
    averaged and resized to the image before the softmax. The greatest is at the class that `predict_images` gives, but
    for ties.

    All N go through the network at once, and so do `config.batch_size` windows of each; `forward` is called in its
    place where it is given.

    Memory: an array of that size (with `average` logits one more per view), twice that for a batch of several, and one
    batch of windows.
    """
    images = images[None] if images.ndim == 3 else images
    size = (images.shape[1], images.shape[2])
    totals: List[Blend] = []
    if forward is None:
        # on a CPU our own resize of coarse logits is faster than MXNet's
        forward = net.coarse_logits if context.device_type == "cpu" else net
    for scale in config.scales:
        height, width = _size(size, preprocess, config, scale)
        scaled = [resize(image, height, width) for image in images]
        if config.multiple:
            height, width = (-(-side // config.multiple) * config.multiple for side in (height, width))
            scaled = [resize(image, height, width) for image in scaled]
        totals = _add_scale(totals, forward, net.align_corners, scaled, size, preprocess, config, context)
    results = [total.result() for total in totals]
    return results[0] if len(results) == 1 else nd.concat(*results, dim=0)


def windows(size: int, window: int, stride: int) -> List[int]:
    """First pixels of the windows that cover `size` pixels; the last is shifted to end with the image."""
    if size <= window:
        return [0]
    count = math.ceil((size - window) / stride) + 1
    return [min(i * stride, size - window) for i in range(count)]


def _add_scale(
    totals: List[Blend],
    forward: Forward,
    align_corners: bool,
    scaled: Sequence[np.ndarray],
    size: Tuple[int, int],
    preprocess: Preprocess,
    config: EvalConfig,
    context: mx.Context,
) -> List[Blend]:
    """Add the probabilities of scaled images, resized to `size`, to `totals`, or to new blends where it is empty.

    Returns the blends, one for each image. Logits are resized as the network resizes its own (`align_corners`).
    """
    on_cpu = context.device_type == "cpu"
    make: Callable[[int, int, int, mx.Context, bool], Blend] = HostBlend if on_cpu else DeviceBlend
    logits_first = config.average == "logits"
    share = 1 / (len(config.scales) * (2 if config.flip else 1))
    sides = (scaled[0].shape[0], scaled[0].shape[1])
    rows, columns = (resize_axis(*pair, logits_first and align_corners) for pair in zip(sides, size))
    if not logits_first:
        rows = rows.times(share)

    high, wide, tops, lefts = _grid(sides, config)
    places = list(itertools.product((False, True) if config.flip else (False,), tops, lefts))
    sums: Dict[bool, List[Blend]] = {}  # of logits, by view
    for first in range(0, len(places), config.batch_size):
        part = places[first : first + config.batch_size]
        cuts = [
            (image[:, ::-1] if mirrored else image)[top : top + high, left : left + wide]
            for mirrored, top, left in part
            for image in scaled
        ]
        logits = forward(preprocess(np.stack(cuts), context))
        totals = totals or [make(logits.shape[1], *size, context, align_corners) for _ in scaled]
        for number, (mirrored, top, left) in enumerate(part):
            window_rows = rows.window(top, high, tops)
            window_columns = (columns.mirrored() if mirrored else columns).window(left, wide, lefts)
            if window_rows is None or window_columns is None:
                continue
            if logits_first and mirrored not in sums:
                sums[mirrored] = [total.empty() for total in totals]
            of_images = logits[number * len(scaled) : (number + 1) * len(scaled)]
            for blend, one in zip(sums[mirrored] if logits_first else totals, of_images):
                blend.add(one, window_rows, window_columns, softmax=not logits_first)
    for view in sums.values():
        for total, blend in zip(totals, view):
            total.add_softmax(blend, share)
    return totals


def _is_plain(images: np.ndarray, preprocess: Preprocess, config: EvalConfig) -> bool:
    """Whether images (N, H, W, C) go through the network as they are, once."""
    size = (images.shape[1], images.shape[2])
    views = config.crop or config.flip or list(config.scales) != [1.0]
    return not views and not config.multiple and _size(size, preprocess, config, 1.0) == size


def _greatest(probabilities: nd.NDArray) -> nd.NDArray:
    classes = probabilities.shape[1]
    if classes > MOST_CLASSES:
        raise MXNetSegError(
            f"{classes} classes do not fit a uint8 class map, at most {MOST_CLASSES} do; take the argmax of "
            "Predictor.probabilities instead"
        )
    return nd.argmax(probabilities, axis=1).astype("uint8")


def _grid(size: Tuple[int, int], config: EvalConfig) -> Tuple[int, int, List[int], List[int]]:
    """Height and width of the windows, and the first rows and columns of them."""
    height, width = size
    if not config.crop:
        return height, width, [0], [0]
    crop = _pair(config.crop)
    # a window never exceeds the image: networks take any size, so nothing has to be padded
    high, wide = min(crop[0], height), min(crop[1], width)
    stride = _pair(config.stride) if config.stride else (math.ceil(2 * crop[0] / 3), math.ceil(2 * crop[1] / 3))
    return high, wide, windows(height, high, stride[0]), windows(width, wide, stride[1])


def _size(size: Tuple[int, int], preprocess: Preprocess, config: EvalConfig, scale: float) -> Tuple[int, int]:
    base, fit = (config.base, config.fit) if config.base or config.fit else (preprocess.base, preprocess.fit)
    return scaled_size(*size, scale, base, fit)


def _pair(size: Size) -> Tuple[int, int]:
    return (size, size) if isinstance(size, int) else size
