"""Other classes than a data set's own: `data.classes`, `label_map`, `ignore` and `palette` over its labels."""

from dataclasses import replace
from typing import Dict, List, Optional, Sequence, Tuple, Union

from ..config.schema import DataConfig
from ..errors import MXNetSegError
from ..names import lookup, near, same
from .hints import some
from .spec import Colour, DatasetSpec, default_palette

__all__ = ["relabelled"]


def relabelled(spec: DatasetSpec, data: DataConfig) -> DatasetSpec:
    """A layout of a data set with the classes that a recipe asks for.

    Every value that is a class of the data set keeps its class unless `data.label_map` gives it another one, by value
    or by the class's own name, or `data.ignore` leaves it out. `data.classes` are the names in label order; without it
    the order is the data set's own, merged classes where the first of them was. As many names as there are classes,
    none of them elsewhere in the data set's own list, are new names.

    Raises
    ------
    MXNetSegError
        A name that the data set hasn't, a class that has no place in `data.classes`, one that nothing belongs to.
    """
    plain = same(data.name, "folder") and not spec.colours  # its keys have made it
    if plain or all(key is None for key in (data.classes, data.label_map, data.ignore, data.palette)):
        return spec
    raw = spec.raw_values()
    ignored = {value for key in data.ignore or () for value in _values(key, spec, "data.ignore")}
    targets: Dict[int, Union[int, str]] = {}
    for key, target in (data.label_map or {}).items():
        for value in _values(key, spec, "data.label_map"):
            if value in ignored or targets.get(value, target) != target:
                where = "data.ignore too" if value in ignored else "data.label_map twice, with different classes"
                raise MXNetSegError(f"{spec.value_text(value)} ({key}) is in {where}; keep one of the two")
            targets[value] = target
    kept = [i for i, _ in enumerate(spec.classes) if any(raw[v] == i and v not in ignored for v in raw)]
    own = _new_names(spec, data, kept)
    names = {v: _target(targets[v], spec, data) if v in targets else own[i] for v, i in raw.items() if v not in ignored}
    names.update({value: _target(target, spec, data) for value, target in targets.items()})
    first = {name: spec.classes[raw[value]] for value, name in reversed(list(names.items())) if value in raw}
    classes = tuple(dict.fromkeys(names.values())) if data.classes is None else tuple(data.classes)
    _check(classes, names, spec, data)
    return replace(
        spec,
        classes=classes,
        palette=_palette(classes, first, spec, data.palette),
        label_map={value: classes.index(name) for value, name in names.items()},
        ignore=tuple(sorted((set(spec.ignore) - set(targets)) | ignored)),
    )


def _values(key: Union[int, str], spec: DatasetSpec, where: str) -> List[int]:
    """The values in masks that a number, or the name of one of the data set's own classes, means."""
    if isinstance(key, int):
        if spec.colours:
            raise MXNetSegError(f"{where}: {key} is a number, but the masks hold colours; take names of data.colors")
        return [key]
    index = lookup(f"class {where} names, of {spec.name}", key, {name: i for i, name in enumerate(spec.classes)})
    return [value for value, i in spec.raw_values().items() if i == index]


def _target(target: Union[int, str], spec: DatasetSpec, data: DataConfig) -> str:
    """The class that a value of `data.label_map` means."""
    classes: Sequence[str] = spec.classes if data.classes is None else data.classes
    if isinstance(target, int):
        if not 0 <= target < len(classes):
            raise MXNetSegError(f"data.label_map: {target} points beyond the {len(classes)} classes")
        return classes[target]
    if data.classes is not None and target not in data.classes:
        close = near(target, data.classes)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise MXNetSegError(f"data.label_map names the class {target!r}, which data.classes hasn't{hint}")
    return target


def _new_names(spec: DatasetSpec, data: DataConfig, kept: List[int]) -> Dict[int, str]:
    """Index of an own class -> its name, which `data.classes` may change where it names as many."""
    own = {index: spec.classes[index] for index in kept}
    given = data.classes or []
    if data.label_map is None and len(given) == len(kept):
        renamed = dict(zip(kept, given))
        if all(name == own[index] or name not in own.values() for index, name in renamed.items()):
            return renamed
    return own


def _check(classes: Tuple[str, ...], names: Dict[int, str], spec: DatasetSpec, data: DataConfig) -> None:
    homeless = [name for name in dict.fromkeys(names.values()) if name not in classes]
    if homeless:
        raise MXNetSegError(
            f"data.classes has no place for classes of {spec.name}: {some(homeless, 8)}; give each a class in "
            f"data.label_map ({{{homeless[0]}: {classes[0] if classes else 'other'}}}), or leave it out by data.ignore"
        )
    empty = [name for name in classes if name not in names.values()]
    if empty and data.label_map is None:
        what = "data.colors has no colour for" if spec.colours else f"no class of {spec.name} is"
        raise MXNetSegError(
            f"{what} {some(map(repr, empty), 8)}, which data.classes names; known: {', '.join(spec.classes)}. "
            "data.label_map says what belongs to a new class"
        )
    if not 1 <= len(classes) <= 255:
        raise MXNetSegError(f"{len(classes)} classes are left of {spec.name}; 1 to 255 are possible")


def _palette(
    classes: Tuple[str, ...], first: Dict[str, str], spec: DatasetSpec, given: Optional[Sequence[Colour]]
) -> Tuple[Colour, ...]:
    if given is not None:
        if len(given) != len(classes):
            raise MXNetSegError(f"data.palette has {len(given)} colours, {spec.name} {len(classes)} classes here")
        return tuple(given)
    own = dict(zip(spec.classes, spec.palette))
    colours = [own.get(first.get(name, name)) for name in classes]
    free = iter([colour for colour in default_palette(255) if colour not in colours])
    return tuple(next(free) if colour is None else colour for colour in colours)
