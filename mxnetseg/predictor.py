"""From images to class maps, in one call."""

from pathlib import Path
from typing import Any, Iterable, List, Optional, Tuple, TypeVar, Union, overload

import mxnet as mx
import numpy as np

from .config.schema import MAX_PIXELS, EvalConfig
from .context import Contexts, as_contexts
from .data.files import READING, Reading, ranged, read_values, values_of
from .data.spec import default_palette
from .engine.checkpoint import Checkpoint
from .engine.inference import Preprocess, predict_image
from .engine.record import Record
from .errors import MXNetSegError
from .network import Network, as_network
from .opening import open_network
from .visual import rgb

__all__ = ["Predictor"]

Picture = Union[np.ndarray, str, Path]
Some = TypeVar("Some", bound=Picture)


class Predictor:
    """Predict class maps with one network.

    Parameters
    ----------
    net : Segmentor, DeployedNetwork, str, Path or Checkpoint
        An initialized network, one that `mxnetseg.deploy.optimize` gave, or a checkpoint with a record.
    ctx : mxnet.Context, int or str, optional
        Where to load a checkpoint: the first GPU, else the CPU, when left out. A network stays where it is.
    config : EvalConfig, optional
        Sliding window, scales, mirror image; what the checkpoint's recipe says when left out, else whole
        images at one scale.
    dtype, calibration
        Given, the network is optimized: what `mxnetseg.deploy.optimize` takes.
    max_pixels : int
        Files that declare more are refused, before memory is taken for them.

    Attributes
    ----------
    classes : list of str
        Names in the order of the class indices.
    palette : (C, 3) uint8
        RGB per class.
    """

    def __init__(
        self,
        net: Union[Network, str, Path, Checkpoint],
        ctx: Contexts = None,
        config: Optional[EvalConfig] = None,
        dtype: Optional[str] = None,
        calibration: Optional[Iterable[Any]] = None,
        max_pixels: int = MAX_PIXELS,
    ):
        if isinstance(net, (str, Path, Checkpoint)):
            net = open_network(net, as_contexts(ctx, "ctx")[:1], dtype, calibration=calibration)
        elif dtype is not None:
            from .deploy import optimize

            net = optimize(net, dtype, calibration)
        self.net = as_network(net)
        self.context = self.net.contexts[0]
        record: Record = self.net.record or Record()
        self.feeding = record.feeding
        self.preprocess = Preprocess.of(record.feeding)
        if max_pixels < 1:
            raise MXNetSegError(f"max_pixels {max_pixels}: a number of pixels, 1 or more")
        channels = record.feeding.channels
        self.reading = Reading(max_pixels, True, None if channels is None else tuple(channels), record.feeding.range)
        self.config = config or (record.recipe.eval if record.recipe else EvalConfig())
        count = self.net.spec.get("num_classes", 255)
        self.classes: List[str] = record.feeding.classes or [f"class {i}" for i in range(count)]
        self.palette = np.array(record.feeding.palette or default_palette(count), np.uint8)

    @overload
    def __call__(self, image: Picture) -> np.ndarray: ...

    @overload
    def __call__(self, image: Union[List[Some], Tuple[Some, ...]]) -> List[np.ndarray]: ...

    def __call__(self, image: Union[Picture, List[Some], Tuple[Some, ...]]) -> Union[np.ndarray, List[np.ndarray]]:
        """Class map (H, W) uint8 of an image, at the image's own size.

        `image` is an RGB array (H, W, 3) uint8, the path of an image file (photographs are turned upright), or a
        list of these, of any sizes, which gives a list. A network that was trained on other channels, or on more than
        8 bits, takes arrays (H, W, channels) of the values that files hold, as `read` gives them.

        Raises
        ------
        MXNetSegError
            A file that can't be read, or an array of another shape or type.
        """
        if isinstance(image, (list, tuple)):
            # all are queued before the first is waited for, so reading overlaps with computing
            maps = [self._queue(one) for one in image]
            return [one.asnumpy() for one in maps]
        class_map: np.ndarray = self._queue(image).asnumpy()
        return class_map

    def read(self, file: Union[str, Path, bytes]) -> np.ndarray:
        """An image file, or what one holds, as an array that this network takes: upright, with the channels that it
        was trained on.

        Raises
        ------
        MXNetSegError
            The file is missing, damaged, larger than `max_pixels`, or of another kind than the network was trained on.
        """
        title = "the image" if isinstance(file, bytes) else str(file)
        image = values_of(file, title, self.reading) if isinstance(file, bytes) else read_values(file, self.reading)
        ranged(image[:1, :1], self.reading.range, title)
        return image

    def picture(self, image: np.ndarray) -> np.ndarray:
        """What `read` gave as (H, W, 3) uint8 RGB to look at: the channels that the recipe's data.shown names."""
        return rgb(ranged(image, self.reading.range), self.feeding.shown)

    def _queue(self, image: Picture) -> mx.nd.NDArray:
        if isinstance(image, (str, Path)):
            fed = ranged(read_values(image, self.reading), self.reading.range, str(image))
        else:
            fed = as_image(image, self.reading)
        return predict_image(self.net, fed, self.preprocess, self.config, self.context)


def as_image(image: np.ndarray, reading: Reading = READING) -> np.ndarray:
    """An array as the network is fed with it, once checked."""
    if not isinstance(image, np.ndarray):
        raise MXNetSegError(f"an image is an RGB array (H, W, 3) uint8 or a path, not a {type(image).__name__}")
    if reading.channels is not None or reading.range is not None:
        count = 3 if reading.channels is None else len(reading.channels)
        if image.ndim != 3 or image.shape[2] != count or image.dtype.kind not in "uif" or 0 in image.shape:
            raise MXNetSegError(
                f"an image of this network is an array (H, W, {count}) of numbers; got shape {image.shape} of "
                f"{image.dtype}"
            )
        return ranged(image, reading.range)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise MXNetSegError(
            f"an image is an RGB array (H, W, 3) of uint8; got shape {image.shape} of {image.dtype}. Grey images: "
            "np.repeat(grey[..., None], 3, 2); floats from 0 to 1: (255 * image).round().astype('uint8')"
        )
    return image
