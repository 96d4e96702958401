"""Where a picture lies on the earth: the tags of GeoTIFF and GDAL, taken over from one TIFF file to another."""

import re
import struct
from typing import Any, List, Mapping, Optional, Tuple

from .blocks import NODATA, Value

__all__ = ["taken_over"]

# ModelPixelScale, ModelTiepoint, ModelTransformation, GeoKeyDirectory, its doubles and texts, RPC coefficients
PLACE = (33550, 33922, 34264, 34735, 34736, 34737, 50844)
METADATA = 42112  # GDAL's, XML
TEXT = 2
LETTERS = {3: "H", 4: "I", 12: "d"}
OF_A_BAND = re.compile(rb"<Item\b[^>]*\bsample=[^>]*>.*?</Item>\s*", re.DOTALL)

ExtraTag = Tuple[int, int, int, Any, bool]


def taken_over(values: Mapping[int, Value], order: str, nodata: Optional[str] = None) -> List[ExtraTag]:
    """Tags of a picture for a result of the same size, as `tifffile.TiffWriter.write` takes them.

    `nodata` is what the result says of pixels that hold nothing, where the picture says anything of those. Of GDAL's
    metadata, what is about single bands (statistics, say) is left out: the result has others.
    """
    tags: List[ExtraTag] = []
    for tag in PLACE:
        value = values.get(tag)
        if value is None or not value.number:
            continue
        if value.kind == TEXT:
            tags.append((tag, TEXT, value.number, value.content, True))
        elif value.kind in LETTERS:
            numbers = struct.unpack(f"{order}{value.number}{LETTERS[value.kind]}", value.content)
            tags.append((tag, value.kind, value.number, numbers, True))
    if METADATA in values:
        text = OF_A_BAND.sub(b"", values[METADATA].content.rstrip(b"\0")) + b"\0"
        if b"<Item" in text:
            tags.append((METADATA, TEXT, len(text), text, True))
    if NODATA in values and nodata is not None:
        text = nodata.encode() + b"\0"
        tags.append((NODATA, TEXT, len(text), text, True))
    return tags
