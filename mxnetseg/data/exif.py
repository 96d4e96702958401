"""Images that EXIF says are turned, and which of them matter to masks."""

from pathlib import Path
from typing import Iterable, List, NamedTuple, Optional, Tuple

from ..errors import MXNetSegError
from .dataset import Dataset
from .files import read_header_of

__all__ = ["Turned", "find_turned"]


class Turned(NamedTuple):
    """An image that is not stored upright.

    `stored` is its size (height, width) as stored, `mask` that of its mask; `fits` is what data.exif has to be:
    "raw" or "upright"; "either" where the sizes don't tell (half turns, mirror images, squares), so that only looking
    does; "neither"; "" without a mask.
    """

    image: Path
    orientation: int
    stored: Tuple[int, int]
    mask: Optional[Tuple[int, int]]
    fits: str


def find_turned(dataset: Dataset, indices: Optional[Iterable[int]] = None) -> List[Turned]:
    """The images of a split whose EXIF orientation isn't "as stored"; of images only headers are read.

    Files that can't be read are left out: reading them tells.
    """
    found = []
    for index in range(len(dataset)) if indices is None else indices:
        try:
            header = read_header_of(dataset.image_paths[index], dataset.reading.max_pixels)
        except MXNetSegError:
            continue
        if header.orientation == 1:
            continue
        stored = (header.height, header.width)
        shown = stored[::-1] if header.orientation >= 5 else stored
        mask = _mask_size(dataset, index)
        fits = {(True, True): "either", (True, False): "raw", (False, True): "upright"}.get(
            (mask == stored, mask == shown), "neither"
        )
        found.append(Turned(dataset.image_paths[index], header.orientation, stored, mask, fits if mask else ""))
    return found


def _mask_size(dataset: Dataset, index: int) -> Optional[Tuple[int, int]]:
    if dataset.mask_paths is None:
        return None
    try:
        height, width = dataset.mask(dataset.mask_paths[index]).shape
    except MXNetSegError:
        return None
    return height, width
