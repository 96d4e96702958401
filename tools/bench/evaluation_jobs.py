"""What contenders of multi-scale evaluation must agree on: sizes of scaled images, and their windows."""

import math
from typing import List, Tuple

__all__ = ["plan_of", "scaled", "starts", "window_of"]


def scaled(size: Tuple[int, int], base: int, scale: float) -> Tuple[int, int]:
    """Of an image (height, width) whose long side is to be scale * base."""
    ratio = base * scale / max(size)
    return round(size[0] * ratio), round(size[1] * ratio)


def window_of(size: Tuple[int, int], crop: int) -> Tuple[int, int]:
    return min(size[0], crop), min(size[1], crop)


def starts(side: int, crop: int, stride: int) -> List[int]:
    """First pixels of the windows along one side; the last ends with the image."""
    count = math.ceil(max(side - crop, 0) / stride) + 1
    return [max(min(i * stride, side - crop), 0) for i in range(count)]


def plan_of(size: Tuple[int, int]) -> str:
    return f"plan-{size[0]}x{size[1]}"
