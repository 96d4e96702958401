"""Images that show which values a network's feature maps take."""

from typing import Any, Iterable, Iterator, List

import mxnet as mx
import numpy as np
from mxnet import nd

from ..config.schema import DataConfig
from ..data import open_dataset
from ..engine.inference import Preprocess
from ..errors import MXNetSegError

__all__ = ["calibration_batches", "calibration_images", "one_by_one"]


def calibration_batches(calibration: Iterable[Any], preprocess: Preprocess) -> Iterator[nd.NDArray]:
    """Images as the network is fed with them, each (N, 3, H, W) float32 on the CPU.

    An array of uint8 is an RGB image (H, W, 3), which `preprocess` brings there; arrays of floats, NumPy's or MXNet's,
    are there already.
    """
    count, kind = len(preprocess.mean), np.uint8 if preprocess.range is None else np.float32
    for one in one_by_one(calibration):
        if isinstance(one, np.ndarray) and one.dtype == kind and one.ndim == 3 and one.shape[2] == count:
            yield preprocess(one[None], mx.cpu())
        elif (
            isinstance(one, (nd.NDArray, np.ndarray))
            and one.ndim == 4
            and one.shape[1] == count
            and one.dtype != np.uint8
        ):
            there = nd.array(one) if isinstance(one, np.ndarray) else one.as_in_context(mx.cpu())
            yield there.astype("float32", copy=False)
        else:
            what = f"{one.dtype} of shape {one.shape}" if hasattr(one, "shape") else type(one).__name__
            raise MXNetSegError(
                f"a calibration image is {'an RGB image' if count == 3 else 'an image'} (H, W, {count}) of "
                f"{np.dtype(kind)} or a preprocessed batch (N, {count}, H, W) of floats, not {what}"
            )


def one_by_one(calibration: Any) -> Iterable[Any]:
    """Calibration images, or batches of them, to go through; an array of four axes is one batch."""
    if isinstance(calibration, (nd.NDArray, np.ndarray)) and calibration.ndim == 4:
        return [calibration]
    if not isinstance(calibration, Iterable):
        raise MXNetSegError(f"calibration={calibration!r}: must be a list of images")
    return calibration


def calibration_images(data: DataConfig, count: int) -> List[np.ndarray]:
    """`count` images of a data set's train split, evenly spread over it; all where there are fewer.

    Each is (H, W, channels), as `files.read_image` gives it.

    Raises
    ------
    MXNetSegError
        `count` is not positive, or the data set is not there.
    """
    if count < 1:
        raise MXNetSegError(f"{count} calibration images: at least one is needed, some 30 are usual")
    dataset = open_dataset(data, data.train_split, labelled=False)
    paths = dataset.image_paths
    chosen = sorted({round(i * (len(paths) - 1) / max(1, count - 1)) for i in range(count)})
    return [dataset.image(paths[i]) for i in chosen]
