"""Masks that hold colours, and the file that says which is which class."""

import re
from functools import lru_cache
from pathlib import Path
from typing import Dict, NamedTuple, Tuple

import numpy as np

from ..config import DataConfig, load_recipe
from ..config.schema import MAX_PIXELS
from ..data import open_dataset
from ..data.colours import read_colours
from ..data.forms import recognise
from ..data.spec import Colour, colour_value
from ..errors import MXNetSegError
from .picture import Annotations, Picture, Request, Thing
from .reading import listed
from .shapes import Patch

__all__ = ["Coloured", "read", "read_table"]

NUMBERS = r"(\d{1,3})[\s,;]+(\d{1,3})[\s,;]+(\d{1,3})"
LINES = (re.compile(rf"\s*{NUMBERS}[\s,;]+(?P<name>\S.*?)\s*"), re.compile(rf"\s*(?P<name>\S.*?)[\s,;]+{NUMBERS}\s*"))


class Coloured(NamedTuple):
    """The pixels of a mask that have a colour; `known` are all that mean something, 0xRRGGBB."""

    path: Path
    value: int
    known: Tuple[int, ...]
    max_pixels: int = MAX_PIXELS

    def patch(self, height: int, width: int) -> Patch:
        """Its pixels in an image of that size.

        Raises
        ------
        MXNetSegError
            The mask can't be read, is of another size, or has colours that nothing is known of.
        """
        values = _read(self.path, self.known, self.max_pixels)
        if values.shape != (height, width):
            raise MXNetSegError(
                f"{self.path} is {values.shape[1]}x{values.shape[0]}, but its image is {width}x{height} "
                "(width x height)"
            )
        return Patch(0, 0, values == self.value)


@lru_cache(maxsize=1)  # one thing after the other asks for it
def _read(path: Path, known: Tuple[int, ...], max_pixels: int) -> np.ndarray:
    values = read_colours(path, max_pixels)
    found, counts = np.unique(values, return_counts=True)
    strange = [(count, value) for value, count in zip(found.tolist(), counts.tolist()) if value not in known]
    if strange:
        told = [f"{_rgb(value)} ({count} pixels)" for count, value in sorted(strange, reverse=True)]
        raise MXNetSegError(f"{path}: colours that are not in the table: {listed(told, 8)}; add them to it")
    return values


def read(request: Request) -> Annotations:
    """All pictures of a folder of images and masks, in any form that `forms.recognise` knows.

    Raises
    ------
    MXNetSegError
        No table of colours, or no such folder; colours that are not in the table are found when masks are drawn.
    """
    if request.colors is None:
        raise MXNetSegError("which colour is which class? --colors FILE names a recipe, or a table: 128 64 128 road")
    table = read_table(request.colors)
    form = recognise(request.source, request.max_pixels)
    data = DataConfig(name="folder", root=str(request.source), classes=list(table), **form.keys)
    known = tuple(colour_value(colour) for colour in table.values())
    pictures = []
    for split in form.splits or ["all"]:
        dataset = open_dataset(data, split)
        for name, image, mask in zip(dataset.names, dataset.image_paths, dataset.masks()):
            things = [
                Thing(label, [Coloured(mask, value, known, request.max_pixels)]) for label, value in zip(table, known)
            ]
            place = f"{split}/{name}" if form.splits else name
            pictures.append(Picture(str(mask), image, place, None, things, split if form.splits else ""))
    return Annotations(list(table), pictures, "last", table, "ignore")


def read_table(path: Path) -> Dict[str, Colour]:
    """Class -> RGB, of a recipe (`data.colors`) or of a text with a line for every class: 128 64 128 road.

    The name may come first, and commas, semicolons or tabs may stand between, as in a CSV file. Lines that begin with #
    and a first line of headings don't count.

    Raises
    ------
    MXNetSegError
        It can't be read, or a name or a colour is there twice.
    """
    if path.suffix.lower() in (".yaml", ".yml"):
        colors = load_recipe(path).data.colors
        if not colors:
            raise MXNetSegError(f"{path}: the recipe has no data.colors, which says the colour of every class")
        return dict(colors)
    try:
        lines = [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip() and line[0] != "#"]
    except (OSError, UnicodeDecodeError) as err:
        raise MXNetSegError(f"--colors {path}: can't be read ({err})") from err
    table: Dict[str, Colour] = {}
    for number, line in enumerate(lines):
        match = next((match for match in (form.fullmatch(line) for form in LINES) if match), None)
        if match is None and number == 0:
            continue
        red, green, blue = (int(text) for text in match.groups() if text.isdigit()) if match else (256, 0, 0)
        name = match["name"].strip("\"'") if match else ""
        if max(red, green, blue) > 255 or not name or name in table or (red, green, blue) in table.values():
            raise MXNetSegError(
                f"{path}: {line.strip()[:60]!r} is no line such as '128 64 128 road', with a name and a colour "
                "(0 to 255) that no other line has"
            )
        table[name] = (red, green, blue)
    if not table:
        raise MXNetSegError(f"{path}: no lines such as '128 64 128 road'")
    return table


def _rgb(value: int) -> str:
    return f"[{value >> 16}, {value >> 8 & 255}, {value & 255}]"
