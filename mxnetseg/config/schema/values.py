"""Kinds of values: numbers within bounds, sizes, paths; and what is raised about them."""

import os
import re
from pathlib import Path
from typing import Any, Sequence, Tuple, Union

from pydantic import AfterValidator, Discriminator, Field, Tag, ValidationInfo
from pydantic_core import PydanticCustomError
from typing_extensions import Annotated

# of ImageNet, RGB on 0..255: what pretrained backbones were fed
IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)

# what of the data part says how images come to the network
FED = ("channels", "range", "shown", "mean", "std", "base", "fit")

MAX_PIXELS = 1 << 26  # 8192 x 8192: whatever a file of so many pixels is, reading it takes less than 1 GB
MOST_CHANNELS = 512  # that OpenCV takes

# the context to validate under what a checkpoint holds, which may have been written when less was checked
RECORDED = "recorded"
# that of a recipe that is read: names have to be known, and keys to have an effect. Elsewhere whoever looks a name up
# says which there are
READ = "read"

MOST = 10**9  # of iterations, pixels and the like: far beyond any use


def _form(value: Any) -> str:
    return "=sides" if isinstance(value, (list, tuple)) else "=side"


# bounds far beyond any use: a slip of the finger is an error, before memory runs out
Side = Annotated[int, Field(ge=1, le=100_000)]
Deviation = Annotated[float, Field(ge=1e-3, le=1e6)]  # of values from 0 to 255; below, dividing by it overflows
Mean = Annotated[float, Field(ge=-1e6, le=1e6)]
Scale = Annotated[float, Field(gt=0, le=100)]
Gamma = Annotated[float, Field(ge=0.05, le=20)]
Channel = Annotated[int, Field(ge=0, lt=65536)]
Byte = Annotated[int, Field(ge=0, le=255)]
Factor = Annotated[float, Field(ge=0, le=1e6)]
# which of both it is, is settled first, so that a wrong number is told of as a number only
Size = Annotated[
    Union[Annotated[Side, Tag("=side")], Annotated[Tuple[Side, Side], Tag("=sides")]], Discriminator(_form)
]
# optimizers compute 1 - beta in float32, where numbers just below 1 are 6e-8 apart
Beta = Annotated[float, Field(ge=0, le=0.999999)]


def wrong(key: str, what: str, value: Any) -> PydanticCustomError:
    """What is wrong with a key of the section whose validator raises it; "" where it is the key's own validator."""
    return all_wrong([(key, what, value)])


def all_wrong(found: Sequence[Tuple[str, str, Any]]) -> PydanticCustomError:
    """Several that are wrong: key, what, value."""
    text = "; ".join(f"{key}: {what}" if key else what for key, what, _ in found)
    return PydanticCustomError("recipe", "{text}", {"text": text, "found": list(found)})


def check_order(key: str, values: Sequence[float]) -> None:
    """Raise unless every value is above the one before it, or as high."""
    if any(high < low for low, high in zip(values, values[1:])):
        raise wrong(key, f"in order, the lower end first: {sorted(values)}", list(values))


def _expanded(text: str, info: ValidationInfo) -> str:
    if "\0" in text:
        raise wrong("", "a path can't hold a zero byte", text)
    if info.context == RECORDED:
        return text  # it was done when the recipe was read
    path = os.path.expanduser(os.path.expandvars(text))
    unset = [name for name in re.findall(r"\$\{?(\w+)", path) if name not in os.environ]
    if unset and not os.path.exists(path):
        raise wrong("", f"there is no environment variable {unset[0]}; set it, or write the path out", text)
    if path.startswith("~") and not os.path.exists(path):
        raise wrong("", f"there is no home folder {Path(path).parts[0]}; write the path out", text)
    return path


def _expression(text: str) -> str:
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError) as err:
        raise wrong("", f"is not a regular expression ({err})", text) from None
    return text


Expression = Annotated[str, Field(min_length=1), AfterValidator(_expression)]
# ~ and $VARIABLES in it are replaced
PathText = Annotated[str, AfterValidator(_expanded)]
