"""Bytes of a client -> a picture that the network takes; sizes are checked before anything is decoded."""

import numpy as np

from ..data.decoding import checked
from ..data.reading import Damaged, TooLarge, Unknown
from ..data.reading.npy import MAGIC
from ..errors import MXNetSegError
from ..predictor import Predictor
from .refusal import Refusal

__all__ = ["decode", "pixels_of"]


def pixels_of(data: bytes, most: int) -> int:
    """How many pixels a picture has, by its header.

    Raises
    ------
    Refusal
        413, more than `most`; 415, no picture of a kind that can be read; 422, damaged.
    """
    if data[: len(MAGIC)] == MAGIC:
        return min(len(data), most)  # at least a byte each; `decode` looks at the shape
    try:
        header = checked(data, most)
    except Damaged as err:
        raise _refusal(err) from err
    except Exception as err:  # whatever the damage leads to
        raise Refusal(422, "damaged", "the picture is damaged") from err
    return header.width * header.height


def decode(data: bytes, predictor: Predictor) -> np.ndarray:
    """A picture as `Predictor.read` gives it.

    Raises
    ------
    Refusal
        As `pixels_of`; 422, other channels or values than the network was trained on.
    """
    try:
        return predictor.read(data)
    except MXNetSegError as err:
        if isinstance(err.__cause__, Damaged):
            raise _refusal(err.__cause__) from err
        raise Refusal(422, "damaged", str(err)) from err


def _refusal(err: Damaged) -> Refusal:
    if isinstance(err, TooLarge):
        return Refusal(413, "too_many_pixels", f"the picture: {err}; make it smaller")
    if isinstance(err, Unknown):
        return Refusal(415, "unknown_kind", f"the body is {err}; send such a picture")
    return Refusal(422, "damaged", f"the picture can't be read: {err}; send another")
