"""One picture of an annotation -> its mask and its image, in the folder that is made."""

from pathlib import Path
from typing import NamedTuple, Optional, Tuple, Union

import numpy as np

from ..data.masks import write_mask
from ..errors import MXNetSegError
from ..saving import bring, write_file
from .drawing import Drawn, draw
from .names import Target
from .picture import Picture
from .reading import image_header, turned_size

__all__ = ["Made", "Make"]


class Made(NamedTuple):
    """What became of one picture."""

    counts: np.ndarray  # (256,) pixels of every class and of IGNORE
    drawn: Drawn
    image: str  # below the folder
    exif: Optional[str]  # which way round the annotations are, if the image is turned: upright or raw


class Make:
    """Task of a worker: write a picture's mask, and bring its image; what is wrong with it, where that can't be."""

    def __init__(self, folder: Path, target: Target, overlap: str, crowd: str, exif: Optional[str], most: int):
        self.folder = folder
        self.target = target
        self.overlap = overlap
        self.crowd = crowd
        self.exif = exif
        self.most = most

    def name(self, picture: Picture) -> str:
        return picture.source

    def __call__(self, picture: Picture) -> Union[Made, str]:
        try:
            return self._made(picture)
        except MXNetSegError as err:  # those of all pictures are told together
            return str(err)

    def _made(self, picture: Picture) -> Made:
        size, exif = self._size(picture)
        drawn = draw(picture, size, self.target, self.overlap, self.crowd)
        counts = np.bincount(drawn.mask.ravel(), minlength=256)
        write_mask(self.folder / f"masks/{picture.name}.png", drawn.mask, self.target.palette)
        image = f"images/{picture.name}{_ending(picture.image)}"
        if isinstance(picture.image, bytes):
            write_file(self.folder / image, picture.image, sync=False)
        else:
            bring(picture.image.resolve(), self.folder / image)
        return Made(counts, drawn._replace(mask=np.empty(0, np.uint8)), image, exif)

    def _size(self, picture: Picture) -> Tuple[Tuple[int, int], Optional[str]]:
        """Height and width of the mask, and which way round that is where it makes a difference."""
        header = image_header(picture.image, picture.source, self.most)
        raw, upright = (header.height, header.width), turned_size(header)
        ways = {"raw": raw, "upright": upright} if header.orientation != 1 else {"": raw}
        if picture.size is not None:
            fitting = {way: size for way, size in ways.items() if size == picture.size}
            if not fitting:
                raise MXNetSegError(
                    f"{picture.source}: annotated as {_shown(picture.size)}, but its image is {_shown(raw)} "
                    "(width x height); is it another version of the image?"
                )
            ways = fitting
        if self.exif in ways:
            ways = {self.exif: ways[self.exif]}
        if len(ways) > 1:
            raise MXNetSegError(
                f"{picture.source}: viewers show its image turned (EXIF), and nothing tells which way round it was "
                "annotated; --exif upright: as they show it (most tools do), --exif raw: as it is stored"
            )
        ((way, size),) = ways.items()
        return size, way or None


def _ending(image: Union[Path, bytes]) -> str:
    """The image's ending, in lower case; for what has no file the one that its first bytes speak of."""
    if isinstance(image, Path):
        return image.suffix.lower()
    return ".png" if image[:4] == b"\x89PNG" else ".jpg" if image[:2] == b"\xff\xd8" else ".bmp"


def _shown(size: Tuple[int, int]) -> str:
    return f"{size[1]}x{size[0]}"
