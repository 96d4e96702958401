"""Whether the strips or tiles of a TIFF picture are whole.

OpenCV takes black pixels, or whatever there was, for what it can't decode of them, and says nothing.
"""

import io
import zlib
from typing import List, Tuple

from PIL import ImageFile, TiffImagePlugin

from .header import Damaged, Header
from .tiff import COMPRESSION, PHOTOMETRIC, STRIP_BYTES, STRIPS, TILE_BYTES, TILES, directory, opencv_reads

__all__ = ["DEFLATES", "check_strips"]

DEFLATES = (8, 32946)
LZW, JPEG, PACKBITS = 5, 7, 32773
YCBCR = 6  # pixels may share colours, so there are fewer values than the header's sizes say


def check_strips(data: bytes, header: Header) -> None:
    """Raise Damaged where the first page's compressed values end too early, or are not what their compression makes.

    Deflate has checksums: every change is found. LZW and PackBits have none: what can't be decoded, or gives too few
    values, is found, by Pillow where OpenCV reads 8 bits; else OpenCV and tifffile look after it. Of JPEG the end must
    be there, as in JPEG files. Fax is not looked at. Blocks of no bytes, which GDAL leaves out, are no damage.
    """
    tags, _ = directory(data)
    compression = tags.get(COMPRESSION, (1,))[0]
    places = [*zip(tags.get(STRIPS, ()), tags.get(STRIP_BYTES, ()))]
    places += zip(tags.get(TILES, ()), tags.get(TILE_BYTES, ()))
    blocks = [(start, start + count) for start, count in places if count]
    if compression in DEFLATES:
        values = 0 if tags.get(PHOTOMETRIC, (1,))[0] == YCBCR else header.width * header.channels * header.bits // 8
        _check_inflated(data, blocks, header.height * values if len(blocks) == len(places) else 0, header)
    elif compression == JPEG and any(data.find(b"\xff\xd9", *block) < 0 for block in blocks):
        raise Damaged("it is cut short")
    elif compression in (LZW, PACKBITS) and header.bits <= 8 and len(blocks) == len(places) and opencv_reads(data):
        _check_by_pillow(data)


def _check_inflated(data: bytes, blocks: List[Tuple[int, int]], least: int, header: Header) -> None:
    """`least` bytes in all; a block that inflates to more than the whole picture tifffile would let."""
    most = header.width * header.height * header.channels * header.bits // 8 + (1 << 20)
    for start, end in blocks:
        inflate = zlib.decompressobj()
        try:
            least -= len(inflate.decompress(data[start:end], most))
        except zlib.error as err:
            raise Damaged(f"it is damaged ({err})") from err
        if inflate.unconsumed_tail:
            raise Damaged("it inflates to more than its header says")
        if not inflate.eof:
            raise Damaged("it is cut short")
    if least > 0:
        raise Damaged("it is cut short")


def _check_by_pillow(data: bytes) -> None:
    ImageFile.LOAD_TRUNCATED_IMAGES = False  # importing GluonCV sets it
    try:
        picture = TiffImagePlugin.TiffImageFile(io.BytesIO(data))  # type: ignore[no-untyped-call]
    except Exception:  # a kind that Pillow doesn't know
        return
    with picture:
        try:
            picture.load()  # type: ignore[no-untyped-call]
        except Exception as err:  # whatever the damage leads to
            raise Damaged(f"it is damaged ({err})") from err
