"""From images to class maps, or to probabilities, in one call."""

import contextlib
from pathlib import Path
from typing import Any, Callable, ContextManager, Iterable, List, Optional, Tuple, TypeVar, Union, overload

import mxnet as mx
import numpy as np

from .certainty import confidence, entropy
from .config.schema import MAX_PIXELS, EvalConfig
from .context import Contexts, as_contexts
from .data.files import READING, Reading, ranged, read_values, values_of
from .data.spec import default_palette
from .engine.checkpoint import Checkpoint
from .engine.inference import Preprocess, class_probabilities, predict_certain, predict_images
from .engine.record import Record
from .errors import MXNetSegError, named
from .network import Network, as_network
from .opening import open_network
from .results import Result
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
        list of these, of any sizes, which gives a list. An array (N, H, W, 3) is a batch, which goes through the
        network at once and gives (N, H, W). A network that was trained on other channels, or on more than 8 bits,
        takes arrays (H, W, channels) of the values that files hold, as `read` gives them.

        Raises
        ------
        MXNetSegError
            A file that can't be read, or an array of another shape or type.
        """
        return self._each(image, predict_images)

    @overload
    def probabilities(self, image: Picture) -> np.ndarray: ...

    @overload
    def probabilities(self, image: Union[List[Some], Tuple[Some, ...]]) -> List[np.ndarray]: ...

    def probabilities(self, image: Union[Picture, List[Some], Tuple[Some, ...]]) -> Union[np.ndarray, List[np.ndarray]]:
        """Probability of every class at every pixel, (C, H, W) float32, of what a call takes; a batch: (N, C, H, W).

        It is the softmax of the network's logits, with windows, scales and mirror images as `config` says: averaged
        after the softmax, windows before it where `config.average` is logits. The greatest is that of the class which a
        call gives, but for ties.
        """
        return self._each(image, class_probabilities)

    def certain(self, image: Picture) -> Tuple[np.ndarray, np.ndarray]:
        """What a call and `probabilities` give, equal ones too, of one pass through the network: (H, W) and
        (C, H, W); a batch: (N, H, W) and (N, C, H, W)."""
        fed = self._fed(image)
        batch = fed if fed.ndim == 4 else fed[None]
        with _naming(image):
            maps, probabilities = predict_certain(self.net, batch, self.preprocess, self.config, self.context)
        results = maps.asnumpy(), probabilities.asnumpy()
        return results if fed.ndim == 4 else (results[0][0], results[1][0])

    @overload
    def confidence(self, image: Picture) -> np.ndarray: ...

    @overload
    def confidence(self, image: Union[List[Some], Tuple[Some, ...]]) -> List[np.ndarray]: ...

    def confidence(self, image: Union[Picture, List[Some], Tuple[Some, ...]]) -> Union[np.ndarray, List[np.ndarray]]:
        """The greatest probability of every pixel, (H, W) float32 from 1/C to 1; a batch: (N, H, W)."""
        found = self.probabilities(image)
        return [confidence(one) for one in found] if isinstance(found, list) else confidence(found)

    @overload
    def entropy(self, image: Picture) -> np.ndarray: ...

    @overload
    def entropy(self, image: Union[List[Some], Tuple[Some, ...]]) -> List[np.ndarray]: ...

    def entropy(self, image: Union[Picture, List[Some], Tuple[Some, ...]]) -> Union[np.ndarray, List[np.ndarray]]:
        """How undecided the network is, (H, W) float32: the entropy divided by that of C equal probabilities.

        0: one class is certain; 1: all are equal; times ln C: in nats. A batch: (N, H, W).
        """
        found = self.probabilities(image)
        return [entropy(one) for one in found] if isinstance(found, list) else entropy(found)

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
        limits = self.reading.range  # one pixel tells, but for what a message says of all
        ranged(image if limits is None else image[:1, :1], limits, title)
        return image

    def picture(self, image: np.ndarray) -> np.ndarray:
        """What `read` gave as (H, W, 3) uint8 RGB to look at: the channels that the recipe's data.shown names."""
        return rgb(ranged(image, self.reading.range), self.feeding.shown)

    def result(self, image: Picture, certain: bool = False) -> Result:
        """What `mxnetseg.results.encode` makes files of: the picture, its class map, with `certain` its probabilities.

        `image` is an array as for a call, or the path of a file.
        """
        file = Path(image) if isinstance(image, (str, Path)) else Path("image")
        values = image if isinstance(image, np.ndarray) else self.read(image)
        with _naming(image):
            class_map, probabilities = self.certain(values) if certain else (self(values), None)
        return Result(self.picture(values), class_map, probabilities, file, file.stem)

    def _each(
        self, image: Union[Picture, List[Some], Tuple[Some, ...]], function: Callable[..., mx.nd.NDArray]
    ) -> Union[np.ndarray, List[np.ndarray]]:
        """What a function of `engine.inference` gives for an image or a batch; for a list, a list of these."""
        if isinstance(image, (list, tuple)):
            # all are queued before the first is waited for, so reading overlaps with computing
            queued = [self._queue(one, function) for one in image]
            return [one.asnumpy() for one in queued]
        found: np.ndarray = self._queue(image, function).asnumpy()
        return found

    def _queue(self, image: Picture, function: Callable[..., mx.nd.NDArray]) -> mx.nd.NDArray:
        fed = self._fed(image)
        batch = fed if fed.ndim == 4 else fed[None]
        with _naming(image):
            result = function(self.net, batch, self.preprocess, self.config, self.context)
        return result if fed.ndim == 4 else result[0]

    def _fed(self, image: Picture) -> np.ndarray:
        """(H, W, C), or a batch of these."""
        if isinstance(image, (str, Path)):
            return ranged(read_values(image, self.reading), self.reading.range, str(image))
        return as_image(image, self.reading)


def _naming(image: Picture) -> ContextManager[None]:
    """What is wrong with an image that is a file is told with its name."""
    return named(image) if isinstance(image, (str, Path)) else contextlib.nullcontext()


def as_image(image: np.ndarray, reading: Reading = READING) -> np.ndarray:
    """An image, or a batch (N, ...) of images, as the network is fed with it, once checked."""
    if not isinstance(image, np.ndarray):
        raise MXNetSegError(f"an image is an RGB array (H, W, 3) uint8 or a path, not a {type(image).__name__}")
    if reading.channels is not None or reading.range is not None:
        count = 3 if reading.channels is None else len(reading.channels)
        if image.ndim not in (3, 4) or image.shape[-1] != count or image.dtype.kind not in "uif" or 0 in image.shape:
            raise MXNetSegError(
                f"an image of this network is an array (H, W, {count}) of numbers; got shape {image.shape} of "
                f"{image.dtype}"
            )
        return ranged(image, reading.range)
    if image.ndim not in (3, 4) or image.shape[-1] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise MXNetSegError(
            f"an image is an RGB array (H, W, 3) of uint8; got shape {image.shape} of {image.dtype}. Grey images: "
            "np.repeat(grey[..., None], 3, 2); floats from 0 to 1: (255 * image).round().astype('uint8')"
        )
    return image
