"""What images hold that are not 8-bit grey or RGB: keys of a recipe's `data` that read them, found by looking."""

from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

import numpy as np

from ..config.schema import MAX_PIXELS
from ..errors import MXNetSegError
from .files import Reading, read_header_of, read_values
from .reading import Header

__all__ = ["pixel_keys"]

LOOKED = 24  # images that are read, spread over all
BITS = (8, 10, 12, 14, 16)  # of sensors, whose values come in files of 16 bits


def pixel_keys(images: Sequence[Path], max_pixels: int = MAX_PIXELS) -> Dict[str, Any]:
    """`channels` and `range`, as far as the images need them; what can't be read is left for others to tell."""
    chosen = images[:: max(1, -(-len(images) // LOOKED))]
    headers = [found for path in chosen for found in _header(path, max_pixels)]
    keys: Dict[str, Any] = {}
    if any(header.channels not in (1, 3) and not header.alpha for _, header in headers):
        keys["channels"] = list(range(min(header.channels for _, header in headers)))
    deep = [path for path, header in headers if header.bits > 8]
    reading = Reading(max_pixels, channels=tuple(keys["channels"]) if keys else None)
    limits = [found for path in deep for found in _limits(path, reading)]
    if limits:
        whole = all(header.numbers == "u" for _, header in headers)
        keys["range"] = _range(min(low for low, _ in limits), max(high for _, high in limits), whole)
    return keys


def _header(path: Path, max_pixels: int) -> List[Tuple[Path, Header]]:
    try:
        return [(path, read_header_of(path, max_pixels))]
    except MXNetSegError:
        return []


def _limits(path: Path, reading: Reading) -> List[Tuple[float, float]]:
    """The least and the greatest value, if it has two."""
    try:
        values = read_values(path, reading)
    except MXNetSegError:
        return []
    values = values[np.isfinite(values)]
    return [(float(values.min()), float(values.max()))] if values.size else []


def _range(low: float, high: float, whole: bool) -> List[float]:
    """What a sensor or a program would give that gave values between the two."""
    tops = [(1 << bits) - 1 for bits in BITS] if whole else [1, 255]
    for top in tops:
        if low >= 0 and high <= top:
            return [0, top]
    rounded = [float(f"{value:.3g}") for value in (low, high)]
    return rounded if rounded[0] < rounded[1] else [low, low + 1]
