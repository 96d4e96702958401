"""A folder of one's own as a data set: where its files lie, and what its masks hold."""

from dataclasses import replace
from typing import Dict, Tuple

from ..config.schema import DataConfig
from ..errors import MXNetSegError
from .spec import SPLIT, DatasetSpec, colour_value, named_palette

__all__ = ["folder_spec"]


def folder_spec(data: DataConfig) -> DatasetSpec:
    """What a recipe with `data.name: folder` says.

    Raises
    ------
    MXNetSegError
        A key is missing, or two don't fit.
    """
    _check_keys(data)
    spec = DatasetSpec(
        name="folder",
        title="your own images and masks",
        classes=(),
        palette=(),
        images=data.images or "",
        masks=data.masks or "",
        lists=data.lists or "",
        image_suffix=data.image_suffix,
        mask_suffix=data.mask_suffix,
        mask_ending="",
    )
    return _of_numbers(spec, data) if data.colors is None else _of_colours(spec, data.colors)


def _of_colours(spec: DatasetSpec, colors: Dict[str, Tuple[int, int, int]]) -> DatasetSpec:
    """Masks hold colours; all that have a name are classes, as long as `relabelled` doesn't say otherwise."""
    values = {name: colour_value(colour) for name, colour in colors.items()}
    twice = [name for name, value in values.items() if list(values.values()).count(value) > 1]
    if twice:
        raise MXNetSegError(f"data.colors: {' and '.join(twice)} have one colour; give every colour one name")
    return replace(
        spec,
        colours=True,
        classes=tuple(values),
        palette=tuple(colors.values()),
        label_map={value: index for index, value in enumerate(values.values())},
        ignore=(),
    )


def _of_numbers(spec: DatasetSpec, data: DataConfig) -> DatasetSpec:
    """Masks hold label values."""
    classes = tuple(data.classes or ())
    if len(classes) > 255:
        raise MXNetSegError(f"data.classes has {len(classes)} names; at most 255 fit (255 means unlabelled)")
    palette = data.palette or named_palette(classes)
    if len(palette) != len(classes):
        raise MXNetSegError(f"data.palette has {len(palette)} colours, data.classes {len(classes)} names")
    label_map = None if data.label_map is None else _numbers(data)
    ignore = {255} - set(label_map or ()) if data.ignore is None else {_number(v, "data.ignore") for v in data.ignore}
    return replace(spec, classes=classes, palette=tuple(palette), ignore=tuple(sorted(ignore)), label_map=label_map)


def _check_keys(data: DataConfig) -> None:
    needed = ["images", "masks"] * (not data.lists) + ["classes"] * (data.colors is None)
    missing = next((key for key in needed if not getattr(data, key)), None)
    if missing:
        raise MXNetSegError(
            f"data.name is folder, but data.{missing} is not given; a folder needs data.images and data.masks (folders "
            "below data.root, for example images/{split}), or data.lists (files that list images and masks, for "
            "example {split}.txt), and data.classes (names in label order), or data.colors (the colour of each)"
        )
    for key in ("images", "masks", "lists"):
        text = getattr(data, key) or ""
        if any(brace in text.replace(SPLIT, "") for brace in "{}"):
            raise MXNetSegError(f"data.{key}: {text} holds braces that are not {SPLIT}, which stands for the split")
        if "*" in text:
            raise MXNetSegError(
                f"data.{key}: {text} is to be a name without *; endings belong into data.image_suffix, data.mask_suffix"
            )
    if data.colors is not None and not data.colors:
        raise MXNetSegError("data.colors is empty; name the colour of each class, as road: [128, 64, 128]")


def _numbers(data: DataConfig) -> Dict[int, int]:
    """`data.label_map` with the places of its classes."""
    classes, found = data.classes or [], {}
    for key, target in (data.label_map or {}).items():
        if target not in classes and isinstance(target, str):
            raise MXNetSegError(f"data.label_map: {target!r} is not among data.classes ({', '.join(classes)})")
        found[_number(key, "data.label_map")] = target if isinstance(target, int) else classes.index(target)
    wrong = {k: v for k, v in found.items() if not 0 <= v < len(classes)}
    if wrong:
        raise MXNetSegError(f"data.label_map: {wrong} points beyond the {len(classes)} classes (0..{len(classes) - 1})")
    return found


def _number(value: object, where: str) -> int:
    if isinstance(value, int):
        return value
    raise MXNetSegError(
        f"{where}: {value!r} is no label value; masks of a folder hold numbers, unless data.colors names their colours"
    )
