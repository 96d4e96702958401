"""Joint transforms of image and label on OpenCV and NumPy, and what the network is fed."""

from typing import Tuple

import cv2
import numpy as np

from ..config.schema import DataConfig
from .dataset import IGNORE

__all__ = ["TrainTransform", "blur", "distort", "normalize", "pad", "resize", "resize_long"]


def normalize(images: np.ndarray, mean, std) -> np.ndarray:
    """(N, H, W, 3) uint8 -> (N, 3, H, W) float32, (image - mean) / std per channel."""
    scale = 1.0 / np.asarray(std, np.float32)
    shift = -np.asarray(mean, np.float32) * scale
    out = np.empty((images.shape[0], 3) + images.shape[1:3], np.float32)
    for channel in range(3):
        np.multiply(images[..., channel], scale[channel], out=out[:, channel], casting="unsafe")
        out[:, channel] += shift[channel]
    return out


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear for (H, W, 3) images, nearest for (H, W) labels."""
    if image.shape[:2] == (height, width):
        return image
    method = cv2.INTER_LINEAR if image.ndim == 3 else cv2.INTER_NEAREST
    return cv2.resize(np.ascontiguousarray(image), (width, height), interpolation=method)


def resize_long(image: np.ndarray, base: int) -> np.ndarray:
    """Resize so that the longer side is `base` pixels."""
    height, width = image.shape[:2]
    factor = base / max(height, width)
    return resize(image, max(1, round(height * factor)), max(1, round(width * factor)))


def pad(array: np.ndarray, height: int, width: int, value) -> np.ndarray:
    """Grow to at least (height, width) at the bottom and the right, filled with `value`."""
    grow = max(height - array.shape[0], 0), max(width - array.shape[1], 0)
    if grow == (0, 0):
        return array
    return cv2.copyMakeBorder(np.ascontiguousarray(array), 0, grow[0], 0, grow[1], cv2.BORDER_CONSTANT, value=value)


def distort(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Photometric distortion as in SSD (Liu et al., 2016): brightness, contrast, saturation, hue.

    Each with a chance of one half; contrast before or after saturation and hue. uint8 in and out.
    """
    brightness = rng.uniform(-32, 32) if rng.random() < 0.5 else 0.0
    contrast = rng.uniform(0.5, 1.5) if rng.random() < 0.5 else 1.0
    contrast_last = rng.random() < 0.5
    saturation = rng.uniform(0.5, 1.5) if rng.random() < 0.5 else 1.0
    hue = int(rng.integers(-18, 19)) if rng.random() < 0.5 else 0
    levels = np.arange(256, dtype=np.float32)
    image = cv2.LUT(
        np.ascontiguousarray(image), _to_uint8((levels + brightness) * (1.0 if contrast_last else contrast))
    )
    if saturation != 1.0 or hue:
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
        tables = np.stack([(levels + hue) % 180, levels * saturation, levels], axis=-1)
        image = cv2.cvtColor(cv2.LUT(hsv, _to_uint8(tables)[None]), cv2.COLOR_HSV2RGB)
    if contrast_last and contrast != 1.0:
        image = cv2.LUT(image, _to_uint8(levels * contrast))
    return image


def blur(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Gaussian blur with a standard deviation of 0.1 to 2 pixels."""
    return cv2.GaussianBlur(np.ascontiguousarray(image), (0, 0), rng.uniform(0.1, 2.0))


def _to_uint8(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


class TrainTransform:
    """What training sees of a sample: random scale, crop, flip, colours, blur, in this order.

    Crops larger than the image are padded, the image with the mean colour and the label with
    IGNORE, never with a class. With `crop: null` samples keep their (scaled) size.
    """

    def __init__(self, data: DataConfig):
        self.base = data.base
        self.augment = data.augment
        self.mean_colour = tuple(round(m) for m in data.mean)
        crop = data.augment.crop
        self.crop: Tuple[int, int] = (crop, crop) if isinstance(crop, int) else crop

    def __call__(self, image: np.ndarray, label: np.ndarray, rng: np.random.Generator):
        """(H, W, 3) uint8 and (H, W) uint8 -> the same kinds, at the crop's size."""
        augment = self.augment
        height, width = image.shape[:2]
        factor = rng.uniform(*augment.scale) * (self.base / max(height, width) if self.base else 1.0)
        height, width = max(1, round(height * factor)), max(1, round(width * factor))
        image, label = resize(image, height, width), resize(label, height, width)
        if self.crop:
            image, label = self._random_crop(image, label, rng)
        if rng.random() < augment.flip:
            image, label = image[:, ::-1], label[:, ::-1]
        if augment.photometric:
            image = distort(image, rng)
        if rng.random() < augment.blur:
            image = blur(image, rng)
        return np.ascontiguousarray(image), np.ascontiguousarray(label)

    def _random_crop(self, image, label, rng):
        height, width = self.crop
        image = pad(image, height, width, self.mean_colour)
        label = pad(label, height, width, IGNORE)
        top = int(rng.integers(image.shape[0] - height + 1))
        left = int(rng.integers(image.shape[1] - width + 1))
        window = slice(top, top + height), slice(left, left + width)
        return image[window], label[window]
