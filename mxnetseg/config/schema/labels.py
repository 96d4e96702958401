"""Label values, names of classes, colours."""

import re
from typing import Any, Dict, Tuple, Union

from pydantic import BeforeValidator
from typing_extensions import Annotated

from .values import Byte, wrong

__all__ = ["Colour", "Label", "LabelMap"]

LARGEST = 65535  # value in a 16-bit mask
Colour = Tuple[Byte, Byte, Byte]


def _label(value: Any) -> Any:
    if isinstance(value, str) and re.fullmatch(r"-?\d+", value):  # keys of JSON, which a record holds, are text
        value = int(value)
    number = isinstance(value, int) and not isinstance(value, bool)
    if not isinstance(value, str) and not (number and 0 <= value <= LARGEST):
        raise wrong("", f"is neither a label value (0 to {LARGEST}) nor a name", value)
    return value


def _once(labels: Any) -> Any:
    """Refuse a value that is there twice, as a number and as text: one of the two would be lost."""
    if isinstance(labels, dict):
        first: Dict[Any, Any] = {}
        for key in labels:
            other = first.setdefault(int(key) if isinstance(key, str) and re.fullmatch(r"-?\d+", key) else key, key)
            if other is not key:
                raise wrong("", f"holds {other!r} and {key!r}, which are one value; keep one of the two", labels)
    return labels


Label = Annotated[Union[int, str], BeforeValidator(_label)]  # a value in masks, or the name of a class
LabelMap = Annotated[Dict[Label, Label], BeforeValidator(_once)]
