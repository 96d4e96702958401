"""Joint transforms of image and label on OpenCV and NumPy, and what the network is fed."""

from typing import Optional, Sequence, Tuple, Union

import cv2
import numpy as np

from ..config.schema import DataConfig
from ..errors import MXNetSegError
from .dataset import IGNORE
from .foreign import Function, foreign_transforms

__all__ = [
    "TrainTransform",
    "blur",
    "distort",
    "fit_size",
    "gamma",
    "normalize",
    "pad",
    "photometric_distortion",
    "resize",
    "resize_long",
    "rotate",
    "scaled_size",
]


def normalize(images: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> np.ndarray:
    """(N, H, W, C) uint8, or floats from 0 to 255 -> (N, C, H, W) float32, (image - mean) / std per channel."""
    scale = 1.0 / np.asarray(std, np.float32)
    shift = -np.asarray(mean, np.float32) * scale
    out: np.ndarray = np.empty((images.shape[0], images.shape[3]) + images.shape[1:3], np.float32)
    for channel in range(images.shape[3]):
        np.multiply(images[..., channel], scale[channel], out=out[:, channel], casting="unsafe")
        out[:, channel] += shift[channel]
    return out


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear for (H, W, channels) images, nearest for (H, W) labels."""
    if image.shape[:2] == (height, width):
        return image
    method = cv2.INTER_LINEAR if image.ndim == 3 else cv2.INTER_NEAREST
    resized: np.ndarray = cv2.resize(np.ascontiguousarray(image), (width, height), interpolation=method)
    return resized if resized.ndim == image.ndim else resized[..., None]  # OpenCV drops an only channel


def resize_long(image: np.ndarray, base: int) -> np.ndarray:
    """Resize so that the longer side is `base` pixels."""
    height, width = image.shape[:2]
    factor = base / max(height, width)
    return resize(image, max(1, round(height * factor)), max(1, round(width * factor)))


def fit_size(height: int, width: int, sides: Sequence[float]) -> Tuple[int, int]:
    """The largest (height, width) of this ratio whose long and short side are within `sides`, in either order."""
    factor = min(max(sides) / max(height, width), min(sides) / min(height, width))
    return max(1, int(height * factor + 0.5)), max(1, int(width * factor + 0.5))


def scaled_size(
    height: int, width: int, scale: float, base: Optional[int] = None, fit: Optional[Sequence[int]] = None
) -> Tuple[int, int]:
    """(height, width) of an image at `scale`, where scale 1 is a long side of `base`, or the size that `fit` gives."""
    if fit:  # both sides in whole pixels before the ratio is kept, as in mmsegmentation
        return fit_size(height, width, [max(1, int(side * scale)) for side in fit])
    factor = scale * (base / max(height, width) if base else 1.0)
    return max(1, round(height * factor)), max(1, round(width * factor))


def pad(array: np.ndarray, height: int, width: int, value: Union[int, Sequence[float]]) -> np.ndarray:
    """Grow to at least (height, width) at the bottom and the right, filled with `value`."""
    grow = max(height - array.shape[0], 0), max(width - array.shape[1], 0)
    if grow == (0, 0):
        return array
    padded: np.ndarray
    if array.ndim == 3 and array.shape[2] != 3:  # OpenCV fills up to four channels
        padded = np.empty((array.shape[0] + grow[0], array.shape[1] + grow[1], array.shape[2]), array.dtype)
        padded[:] = value
        padded[: array.shape[0], : array.shape[1]] = array
        return padded
    array = np.ascontiguousarray(array)
    padded = cv2.copyMakeBorder(array, 0, grow[0], 0, grow[1], cv2.BORDER_CONSTANT, value=value)
    return padded


def distort(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Photometric distortion as in SSD (Liu et al., 2016): brightness, contrast, saturation, hue.

    Each with a chance of one half; contrast before or after saturation and hue. uint8 in and out. What isn't 8-bit RGB
    has no hue: its channels get brightness and contrast alone, and floats stay floats.
    """
    brightness = rng.uniform(-32, 32) if rng.random() < 0.5 else 0.0
    contrast = rng.uniform(0.5, 1.5) if rng.random() < 0.5 else 1.0
    contrast_last = rng.random() < 0.5
    saturation = rng.uniform(0.5, 1.5) if rng.random() < 0.5 else 1.0
    hue = int(rng.integers(-18, 19)) if rng.random() < 0.5 else 0
    if image.dtype != np.uint8 or image.shape[2] != 3:
        changed = (image.astype(np.float32) + brightness) * np.float32(contrast)
        return changed.clip(0, 255) if image.dtype != np.uint8 else _to_uint8(changed)
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


def photometric_distortion(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """mmsegmentation's PhotoMetricDistortion: brightness, contrast, saturation, hue, uint8 in and out.

    Each with a chance of one half: brightness +-32; contrast 0.5 to 1.5, before or after the colours; saturation
    0.5 to 1.5; hue -18 to 17 (of 180). Every step ends in uint8, where fractions are cut off, and saturation
    and hue each go to HSV and back.
    """
    levels = np.arange(256, dtype=np.float32)

    def once(low: float, high: float) -> Optional[np.float32]:
        return np.float32(rng.uniform(low, high)) if rng.random() < 0.5 else None

    brightness = once(-32, 32)
    contrast_first = rng.random() < 0.5
    contrast, saturation = once(0.5, 1.5), once(0.5, 1.5)
    hue = int(rng.integers(-18, 18)) if rng.random() < 0.5 else None
    image = np.ascontiguousarray(image)
    if brightness is not None:
        image = cv2.LUT(image, _cut(levels + brightness))
    if contrast is not None and contrast_first:
        image = cv2.LUT(image, _cut(levels * contrast))
    if saturation is not None:
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
        hsv[..., 1] = cv2.LUT(hsv[..., 1], _cut(levels * saturation))
        image = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    if hue is not None:
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
        hsv[..., 0] = (hsv[..., 0].astype(np.int32) + hue) % 180
        image = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    if contrast is not None and not contrast_first:
        image = cv2.LUT(image, _cut(levels * contrast))
    return image


def blur(image: np.ndarray, rng: np.random.Generator, sigma: Tuple[float, float] = (0.1, 2.0)) -> np.ndarray:
    """Gaussian blur with a standard deviation of `sigma[0]` to `sigma[1]` pixels."""
    blurred: np.ndarray = cv2.GaussianBlur(np.ascontiguousarray(image), (0, 0), rng.uniform(*sigma))
    return blurred if blurred.ndim == 3 else blurred[..., None]


def rotate(array: np.ndarray, degrees: float, outside: Union[int, Sequence[float]]) -> np.ndarray:
    """Turn (H, W, channels) images, bilinearly, or (H, W) labels, nearest, about their centre, counter-clockwise.

    The size stays; what comes in is filled with `outside`.
    """
    if array.ndim == 3 and array.shape[2] != 3:  # OpenCV fills up to four channels
        values = outside if isinstance(outside, Sequence) else [outside] * array.shape[2]
        each = [rotate(array[..., i : i + 1].repeat(3, 2), degrees, [value] * 3) for i, value in enumerate(values)]
        return np.stack([one[..., 0] for one in each], axis=-1)
    height, width = array.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    method = cv2.INTER_LINEAR if array.ndim == 3 else cv2.INTER_NEAREST
    turned: np.ndarray = cv2.warpAffine(
        np.ascontiguousarray(array), matrix, (width, height), flags=method, borderValue=outside
    )
    return turned


def gamma(image: np.ndarray, exponent: float) -> np.ndarray:
    """255 (x / 255)^exponent of values from 0 to 255: below 1 brighter, above 1 darker; black and white stay."""
    if image.dtype != np.uint8:
        floats: np.ndarray = 255 * (image.clip(0, 255) / np.float32(255)) ** np.float32(exponent)
        return floats
    changed: np.ndarray = _to_uint8(255 * (np.arange(256) / 255) ** exponent)[image]
    return changed


def _to_uint8(values: np.ndarray) -> np.ndarray:
    return _cut(np.rint(values))


def _cut(values: np.ndarray) -> np.ndarray:
    clipped: np.ndarray = np.clip(values, 0, 255).astype(np.uint8)
    return clipped


class TrainTransform:
    """What training sees of a sample: random scale, rotation, crop, flip, colours, gamma, blur, then padding.

    Crops larger than the image are padded at the bottom and the right, the image with the mean colour (0 once
    it is normalised, but for the rounding to one of 256 levels) and the label with IGNORE, never with a class.
    With `crop: null` samples keep their (scaled) size. Transforms of plugins come first of all, or before the padding;
    `given`, one that is not in the recipe, last of them.
    """

    def __init__(self, data: DataConfig, given: Optional[Function] = None):
        self.base = data.base
        self.fit = data.fit
        self.augment = data.augment
        self.mean_colour = data.mean if data.range else tuple(round(m) for m in data.mean)
        crop = data.augment.crop
        self.crop: Optional[Tuple[int, int]] = (crop, crop) if isinstance(crop, int) else crop
        self.foreign = foreign_transforms(data, given)

    def __call__(self, image: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> Tuple[np.ndarray, np.ndarray]:
        """(H, W, channels) uint8 or float32 and (H, W) uint8 -> the same kinds, at the crop's size."""
        augment = self.augment
        for foreign in self.foreign[True]:
            image, label = foreign(image, label, rng)
        height, width = image.shape[:2]
        height, width = scaled_size(height, width, rng.uniform(*augment.scale), self.base, self.fit)
        image, label = resize(image, height, width), resize(label, height, width)
        if augment.rotate:
            degrees = rng.uniform(-augment.rotate, augment.rotate)
            image, label = rotate(image, degrees, self.mean_colour), rotate(label, degrees, IGNORE)
        if self.crop:
            image, label = self._random_crop(image, label, self.crop, rng)
        if rng.random() < augment.flip:
            image, label = image[:, ::-1], label[:, ::-1]
        if augment.photometric:
            image = distort(image, rng)
        elif augment.photometric_distortion:
            image = photometric_distortion(image, rng)
        if augment.gamma != (1.0, 1.0):
            image = gamma(image, float(np.exp(rng.uniform(*np.log(augment.gamma)))))
        if rng.random() < augment.blur:
            image = blur(image, rng, augment.blur_sigma)
        for foreign in self.foreign[False]:
            image, label = foreign(image, label, rng)
            if self.crop and (image.shape[0] > self.crop[0] or image.shape[1] > self.crop[1]):
                raise MXNetSegError(
                    f"{foreign.title}: gave {image.shape[0]}x{image.shape[1]} pixels, more than the crop (data.augment."
                    f"crop), {self.crop[0]}x{self.crop[1]}; with before_crop: true it may give any size"
                )
        if self.crop:
            image, label = pad(image, *self.crop, self.mean_colour), pad(label, *self.crop, IGNORE)
        return np.ascontiguousarray(image), np.ascontiguousarray(label)

    def _random_crop(
        self, image: np.ndarray, label: np.ndarray, crop: Tuple[int, int], rng: np.random.Generator
    ) -> Tuple[np.ndarray, np.ndarray]:
        window = _window(label, crop, rng)
        if self.augment.cat_max_ratio < 1:
            for _ in range(TRIES):
                if _is_mixed(label[window], self.augment.cat_max_ratio):
                    break
                window = _window(label, crop, rng)
        return image[window], label[window]


TRIES = 10


def _window(label: np.ndarray, crop: Tuple[int, int], rng: np.random.Generator) -> Tuple[slice, slice]:
    """A place for the crop, as much of it as there is."""
    height, width = (min(size, side) for size, side in zip(crop, label.shape))
    top = int(rng.integers(label.shape[0] - height + 1))
    left = int(rng.integers(label.shape[1] - width + 1))
    return slice(top, top + height), slice(left, left + width)


def _is_mixed(label: np.ndarray, most: float) -> bool:
    """Whether there are at least two classes, and none takes `most` or more of the labelled pixels."""
    counts = np.bincount(label.ravel(), minlength=256)[:IGNORE]
    return np.count_nonzero(counts) > 1 and counts.max() / counts.sum() < most
