"""Classes, and what else `data` has to say of masks, from the values that they hold."""

import re
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import yaml

from ..data.diagnosis.tally import Tally
from ..errors import MXNetSegError
from ..names import counted

__all__ = ["Labels", "of_colours", "of_values", "ready_labels", "slips"]

VOID = 255
MOST = 255  # classes
MANY, RARE, LISTED = 5, 0.001, 3  # masks, of which one alone holds a value; its share of all pixels; such values named
TABLE = re.compile(r"\s*(?:(\d+)[\s,]+(\d+)[\s,]+(\d+)[\s,:]+(\S.*)|([^:#]+):\s*(\d+),\s*(\d+),\s*(\d+).*)")


class Labels(NamedTuple):
    """Keys of `data` that say what masks hold, the classes' names, and what is to be said of these."""

    keys: Dict[str, Any]
    classes: Sequence[str]
    note: str


def ready_labels(folder: Path) -> Optional[Labels]:
    """What `data convert` has written down."""
    path = folder / "data.yaml"
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))["data"]
        keys = {key: data[key] for key in ("classes", "palette")}
        if data.get("exif") in ("upright", "raw"):  # which way round the masks were drawn
            keys["exif"] = data["exif"]
        return Labels(keys, list(keys["classes"]), f"class names are those of {path}")
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return None


def of_values(folder: Path, values: Sequence[int]) -> Labels:
    plain = [value for value in values if value != VOID]
    if len(values) < 2:
        raise MXNetSegError(f"{folder}: all masks hold {values[0] if values else 'nothing'}, so nothing can be learned")
    if len(values) > MOST or plain[-1] > 1000:
        raise MXNetSegError(
            f"{folder}: the masks hold {len(values)} values up to {values[-1]}, too many for classes; are they "
            "pictures, or is it an object's number that each pixel holds?"
        )
    if len(plain) > 1 and plain[0] == 0 and 2 * len(plain) > plain[-1] + 1:
        chosen = list(range(plain[-1] + 1))  # those that do not occur are classes of somebody's list
    else:
        chosen = plain if len(plain) > 1 and plain == list(range(1, len(plain) + 1)) else list(values)
    names, source = _names(folder, len(chosen)) or (_made_up(chosen), None)
    note = f"class names are those of {source}" if source else _why_made_up(folder, len(chosen))
    keys: Dict[str, Any] = {"classes": names}
    if chosen != list(range(len(chosen))):
        keys["label_map"] = {value: index for index, value in enumerate(chosen)}
    if VOID in values and VOID not in chosen:
        keys["ignore"] = [VOID]
    return Labels(keys, names, note)


def of_colours(folder: Path, values: Sequence[int]) -> Labels:
    if len(values) > MOST:
        raise MXNetSegError(
            f"{folder}: the masks hold {len(values)} colours, too many for classes; have they been resized with "
            "smoothing, or saved as JPEG?"
        )
    known = _colour_table(folder)
    colours = {
        known.get(value, f"colour_{value:06x}"): [value >> 16, value >> 8 & 255, value & 255] for value in values
    }
    made_up = sum(value not in known for value in values)
    note = f"{made_up} colours have made-up names: write yours into the recipe" if made_up else ""
    return Labels({"colors": colours}, list(colours), note)


def _made_up(values: Sequence[int]) -> List[str]:
    if len(values) == 2 and values[0] == 0:
        return ["background", "foreground"]
    return [f"class_{value}" for value in values]


def _names(folder: Path, count: int) -> Optional[Tuple[List[str], Path]]:
    """A file that lists so many names, one a line."""
    for path, names in _listed(folder):
        if len(names) == len(set(names)) == count:
            return names, path
    return None


def _why_made_up(folder: Path, count: int) -> str:
    others = [f"{path.name} has {counted(len(names), 'line')}" for path, names in _listed(folder) if names]
    found = f" ({', '.join(others)}, the masks hold {counted(count, 'value')})" if others else ""
    return f"class names are made up{found}: write yours into the recipe"


def _listed(folder: Path) -> Iterator[Tuple[Path, List[str]]]:
    for path in (folder / name for name in ("classes.txt", "labels.txt", "names.txt")):
        yield path, [line.strip() for line in _lines(path) if line.strip()]


def _colour_table(folder: Path) -> Dict[int, str]:
    """Names of colours: those of files such as CVAT's labelmap.txt (name:r,g,b::) and CamVid's (r g b name)."""
    found: Dict[int, str] = {}
    for path in sorted(folder.glob("*.txt")):
        for match in filter(None, map(TABLE.match, _lines(path))):
            *colour, name = match.groups()[:4] if match.group(4) else (*match.groups()[5:], match.group(5))
            red, green, blue = map(int, colour)
            if max(red, green, blue) < 256 and name.strip() not in found.values():
                found[red << 16 | green << 8 | blue] = name.strip()
    return found


def _lines(path: Path) -> List[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError):
        return []


def slips(tallies: Sequence[Tally], coloured: bool) -> List[str]:
    """Values that hardly any mask holds, and hardly a pixel of it: a slip of whoever drew it, maybe."""
    notes = []
    pixels = max(sum(sum(tally.values.values()) for tally in tallies), 1)
    masks = sum(tally.looked for tally in tallies)
    for value in sorted({value for tally in tallies for value in tally.values} - {VOID}):
        holding = [(tally, place) for tally in tallies for place in tally.places.get(value, ())]
        share = sum(tally.values.get(value, 0) for tally in tallies) / pixels
        if len(holding) == 1 and masks >= MANY and share < RARE:
            tally, place = holding[0]
            what = f"colour #{value:06x}" if coloured else f"value {value}"
            notes.append(
                f"{what} is in one mask of {masks} alone ({tally.dataset.masks()[place]}, {100 * share:.2g} % of all "
                "pixels): if it is a slip and no class, mend the mask and begin again"
            )
    return notes[:LISTED]
