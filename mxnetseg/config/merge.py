"""Layers of a recipe, one over the other: bases, the recipe itself, and what changes it."""

import re
from typing import Any, Dict, List, Mapping, Sequence, Set, Tuple

from pydantic.fields import FieldInfo

from ..errors import MXNetSegError
from ..names import same
from .explain import shorten
from .places import fields_of, type_at
from .schema import first_and_also
from .schema.effect import without_effect
from .yaml_text import check_size, parse

__all__ = ["change", "merge"]

Place = Tuple[Any, ...]  # keys, and numbers of lists' entries

REPLACE = "_replace_"
# giving one of these replaces the others, whatever a base file says
EXCLUSIVE = [
    ("train.epochs", "train.iterations"),
    ("data.base", "data.fit"),
    ("eval.base", "eval.fit"),
    ("model.init", "model.from"),
    ("train.ema", "train.swa"),
]
# what is said of one value: another begins without it
OPTIONS = {
    "model.name": ("options",),
    "model.backbone": ("backbone_options",),
    "loss.name": ("options",),
    "eval.crop": ("stride",),
    "data.name": ("classes", "palette", "ignore", "label_map"),
}


def merge(low: Dict[str, Any], high: Dict[str, Any], place: Place = ()) -> Dict[str, Any]:
    """`high` over `low`, key by key; neither is changed.

    Mappings are merged, but for those with `_replace_: true`, which stand for themselves; lists replace each other,
    unless a mapping of numbers names entries of one. Keys of `low` that are about something that `high` replaces, and
    so have no effect any more, are left out.

    Raises MXNetSegError for a list's entry that is not there.
    """
    fields = fields_of(type_at(place)[0])
    merged = {key: value for key, value in low.items() if key not in _replaced(low, high, place)}
    known = {str(key): key for key in merged}  # 255 in YAML, "255" behind --set
    for name, value in high.items():
        key, here = known.get(str(name), name), (*place, name)
        below = merged.get(key)
        if here == ("loss",):  # loss.aux_weight=1 over a list changes the first
            below, value = first_and_also(below), _first_and_also(value) if isinstance(value, dict) else value
        if not isinstance(value, dict):
            merged[key] = value
        elif value and all(map(_is_number, value)) and isinstance(_list_at(key, below, fields), list):
            merged[key] = _with_entries(_list_at(key, below, fields), value, here)
        else:
            below = {} if _stands_alone(value, here) or not isinstance(below, dict) else below
            merged[key] = merge(below, {k: v for k, v in value.items() if k != REPLACE}, here)
    useless = set(without_effect(fields, merged)) - set(without_effect(fields, low)) - set(high)
    return {key: value for key, value in merged.items() if key not in useless}


def change(overrides: Sequence[str]) -> Dict[str, Any]:
    """ "optimizer.lr=0.02" and the like as one layer.

    Raises MXNetSegError for what is no key=value, for values that are no YAML, and for a key that is given twice.
    """
    layer: Dict[str, Any] = {}
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key.strip():
            raise MXNetSegError(f"--set {shorten(override)}: write it as key=value, for example optimizer.lr=0.02")
        source = f"--set {shorten(override)}"
        # a path that begins so would be a mapping in YAML, and the shell has taken its quotes away
        value: Any = text if text.startswith("{split}") else parse(text, source)
        for part in reversed(key.strip().split(".")):
            value = {part: value}
        check_size(value, source)
        _add(layer, value, override)
    return layer


def _add(layer: Dict[str, Any], more: Dict[str, Any], override: str) -> None:
    for key, value in more.items():
        if key not in layer:
            layer[key] = value
        elif isinstance(value, dict) and isinstance(layer[key], dict):
            _add(layer[key], value, override)
        else:
            raise MXNetSegError(
                f"{override.partition('=')[0].strip()} is given twice, {shorten(layer[key])} and {shorten(value)}; "
                "keep one"
            )


def _replaced(low: Dict[str, Any], high: Dict[str, Any], place: Place) -> Set[str]:
    """Keys of `low` that don't go with what `high` says."""
    gone = set()
    for group in EXCLUSIVE:
        (section, *_), names = group[0].split("."), [key.split(".")[1] for key in group]
        if place == (section,) and any(high.get(name) is not None for name in names):
            gone |= {name for name in names if name not in high}
    for key, options in OPTIONS.items():
        section, name = key.split(".")
        if place == (section,) and low.get(name) and high.get(name) and not same(str(low[name]), str(high[name])):
            gone.update(options)
    return gone


def _is_number(key: Any) -> bool:
    """Whether it is a list entry's number, written in one way alone: "00" would be another key than "0"."""
    return re.fullmatch("0|[1-9][0-9]*", str(key)) is not None


def _list_at(key: str, value: Any, fields: Mapping[str, FieldInfo]) -> Any:
    """What a key holds, or where it holds nothing its default, with tuples as lists."""
    if value is None and key in fields and not fields[key].is_required():
        value = fields[key].get_default(call_default_factory=True)
    return list(value) if isinstance(value, tuple) else value


def _stands_alone(value: Dict[str, Any], place: Place) -> bool:
    alone = value.get(REPLACE, False)
    if not isinstance(alone, bool):
        raise MXNetSegError(f"{'.'.join(map(str, place))}.{REPLACE}: true or false; got {shorten(alone)}")
    return alone


def _with_entries(entries: List[Any], changes: Dict[Any, Any], place: Place) -> List[Any]:
    """A list with some of its entries changed, by their numbers."""
    entries = list(entries)
    for name, value in changes.items():
        number = int(str(name)[:9])
        if number >= len(entries):
            there = f"it has {len(entries)} entries, from 0" if entries else "it is empty"
            raise MXNetSegError(f"{'.'.join(map(str, place))}.{name}: no such entry; {there}")
        both = isinstance(value, dict) and isinstance(entries[number], dict)
        entries[number] = merge({"": entries[number]}, {"": value}, (*place, number))[""] if both else value
    return entries


def _first_and_also(value: Dict[Any, Any]) -> Dict[Any, Any]:
    """{0: first, 2: third} of a list of losses -> {..., also: {1: third}}."""
    if not value or not all(map(_is_number, value)):
        return value
    numbered = {int(str(key)[:9]): entry for key, entry in value.items()}
    first = numbered.pop(0, {})
    also = {"also": {number - 1: entry for number, entry in numbered.items()}} if numbered else {}
    return {**first, **also} if isinstance(first, dict) else value
