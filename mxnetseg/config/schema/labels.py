"""Label values, names and colours, as recipes write them."""

import re
from typing import Any, Tuple, Union

from pydantic import BeforeValidator, Field
from typing_extensions import Annotated

__all__ = ["Colour", "Label"]

Byte = Annotated[int, Field(ge=0, le=255)]
Colour = Tuple[Byte, Byte, Byte]
LARGEST = 65535  # value in a 16-bit mask


def _label(value: Any) -> Any:
    """A label value or a name; keys of JSON, which a record holds, are text."""
    if isinstance(value, str) and re.fullmatch(r"-?\d+", value):
        value = int(value)
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, str))
        or not (isinstance(value, str) or 0 <= value <= LARGEST)
    ):
        raise ValueError(f"{value!r} is neither a label value (0 to {LARGEST}) nor a name")
    return value


Label = Annotated[Union[int, str], BeforeValidator(_label)]
