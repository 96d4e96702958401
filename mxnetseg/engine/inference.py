"""From an image to class probabilities: whole or by windows, over scales and mirror images."""

import math
from typing import List, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np
from mxnet import nd

from ..config.schema import IMAGENET_MEAN, IMAGENET_STD, EvalConfig
from ..data.transforms import normalize, resize, scaled_size

__all__ = ["Preprocess", "class_map", "class_probabilities", "windows"]


class Preprocess:
    """How a network wants its images: mean and std per RGB channel on 0..255, and the size, of which one or none
    is given: the long side (base), or the sides to stay within (fit)."""

    def __init__(
        self, mean=IMAGENET_MEAN, std=IMAGENET_STD, base: Optional[int] = None, fit: Optional[Sequence[int]] = None
    ):
        self.mean = tuple(mean)
        self.std = tuple(std)
        self.base = base
        self.fit = fit

    def __call__(self, images: np.ndarray, context: mx.Context) -> nd.NDArray:
        """(N, H, W, 3) uint8 -> (N, 3, H, W) float32 on `context`."""
        return nd.array(normalize(images, self.mean, self.std), ctx=context)


def class_map(net, image: np.ndarray, preprocess: Preprocess, config: EvalConfig, context: mx.Context) -> nd.NDArray:
    """(H, W, 3) uint8 RGB -> (H, W) uint8 class map, as an NDArray that may still be computing."""
    plain = not config.crop and not config.flip and list(config.scales) == [1.0]
    if plain and not config.multiple and _size(image, preprocess, config, 1.0) == image.shape[:2]:
        batch = preprocess(image[None], context)
        if hasattr(net, "class_map"):
            return net.class_map(batch)[0]
        scores = net(batch)  # argmax needs no softmax
    else:
        scores = class_probabilities(net, image, preprocess, config, context)
    return nd.argmax(scores, axis=1)[0].astype("uint8")


def class_probabilities(
    net, image: np.ndarray, preprocess: Preprocess, config: EvalConfig, context: mx.Context
) -> nd.NDArray:
    """(H, W, 3) uint8 RGB -> (1, C, H, W) float32: softmax, averaged over windows, scales and mirror images.

    `config.base` or `config.fit` (else those of `preprocess`) say what scale 1 is; the result has the image's own
    size. With `config.average` logits, windows are averaged and resized to the image before the softmax.
    """
    height, width = image.shape[:2]
    total = None
    for scale in config.scales:
        scaled = resize(image, *_size(image, preprocess, config, scale))
        if config.multiple:
            scaled = resize(scaled, *(-(-side // config.multiple) * config.multiple for side in scaled.shape[:2]))
        views = [scaled, scaled[:, ::-1]] if config.flip else [scaled]
        probabilities = _one_scale(net, np.stack(views), preprocess, config, context)
        if config.average == "logits":
            corners = getattr(net, "align_corners", False)  # logits are resized as the network resizes its own
            probabilities = nd.softmax(_resize(probabilities, height, width, corners), axis=1)
        if config.flip:
            probabilities = (probabilities[:1] + nd.flip(probabilities[1:], axis=3)) / 2
        probabilities = _resize(probabilities, height, width)
        if total is None:
            total = probabilities
        else:
            total += probabilities
    total /= len(config.scales)
    return total


def windows(size: int, window: int, stride: int) -> List[int]:
    """First pixels of the windows that cover `size` pixels; the last is shifted to end with the image."""
    if size <= window:
        return [0]
    count = math.ceil((size - window) / stride) + 1
    return [min(i * stride, size - window) for i in range(count)]


def _one_scale(net, views: np.ndarray, preprocess, config, context) -> nd.NDArray:
    """(V, H, W, 3) -> (V, C, H, W), probabilities or logits."""
    height, width = views.shape[1:3]

    def forward(images):
        logits = net(preprocess(images, context))
        return logits if config.average == "logits" else nd.softmax(logits, axis=1)

    if not config.crop:
        return forward(views)
    crop = _pair(config.crop)
    # a window never exceeds the image: networks take any size, so nothing has to be padded
    high, wide = min(crop[0], height), min(crop[1], width)
    stride = _pair(config.stride) if config.stride else tuple(math.ceil(2 * c / 3) for c in crop)
    places = [
        (view, top, left)
        for view in range(len(views))
        for top in windows(height, high, stride[0])
        for left in windows(width, wide, stride[1])
    ]
    total = counts = None
    for first in range(0, len(places), config.batch_size):
        part = places[first : first + config.batch_size]
        cut = np.stack([views[v, t : t + high, x : x + wide] for v, t, x in part])
        outputs = forward(cut)
        if total is None:
            total = nd.zeros((len(views), outputs.shape[1], height, width), ctx=context)
            counts = np.zeros((len(views), 1, height, width), np.float32)
        for (view, top, left), output in zip(part, outputs):
            total[view, :, top : top + high, left : left + wide] += output
            counts[view, :, top : top + high, left : left + wide] += 1
    return nd.broadcast_div(total, nd.array(counts, ctx=context))


def _resize(maps: nd.NDArray, height: int, width: int, align_corners: bool = False) -> nd.NDArray:
    if maps.shape[2:] == (height, width):
        return maps
    return nd.contrib.BilinearResize2D(maps, height=height, width=width, align_corners=align_corners)


def _size(image, preprocess, config, scale: float) -> Tuple[int, int]:
    given = config if config.base or config.fit else preprocess
    return scaled_size(*image.shape[:2], scale, given.base, given.fit)


def _pair(size) -> Sequence[int]:
    return (size, size) if isinstance(size, int) else tuple(size)
