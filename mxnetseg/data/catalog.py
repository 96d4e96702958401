"""Data sets by name: those in the tables, and a folder of the user's own."""

from typing import List

from ..config.schema import DataConfig
from ..errors import MXNetSegError
from ..names import same
from . import tables  # noqa: F401  (fills TABLE)
from .spec import TABLE, DatasetSpec, default_palette

__all__ = ["FOLDER", "get_spec", "list_datasets", "num_classes_of"]

FOLDER = "folder"  # data.name of the user's own


def list_datasets() -> List[str]:
    """Names that `data.name` in a recipe takes, those of installed plugins among them."""
    return sorted([*TABLE.names(), FOLDER])


def get_spec(data: DataConfig) -> DatasetSpec:
    """The table entry of `data.name`; for `folder`, one made from the recipe.

    Raises
    ------
    MXNetSegError
        An unknown name, or a `folder` that lacks a key.
    """
    return _folder_spec(data) if same(data.name, FOLDER) else TABLE.find(data.name)


def num_classes_of(data: DataConfig) -> int:
    """How many classes the data set of a recipe has."""
    return get_spec(data).num_classes


def _folder_spec(data: DataConfig) -> DatasetSpec:
    if not (data.images and data.masks and data.classes):
        key = next(key for key in ("images", "masks", "classes") if not getattr(data, key))
        raise MXNetSegError(
            f"data.name is folder, but data.{key} is not given; a folder needs data.images and data.masks "
            "(folders below data.root, for example images/{split}) and data.classes (names in label order)"
        )
    classes = tuple(data.classes)
    if len(classes) > 255:
        raise MXNetSegError(f"data.classes has {len(classes)} names; at most 255 fit (255 means unlabelled)")
    palette = data.palette or default_palette(len(classes))
    if len(palette) != len(classes):
        raise MXNetSegError(f"data.palette has {len(palette)} colours, data.classes {len(classes)} names")
    wrong = {k: v for k, v in (data.label_map or {}).items() if not 0 <= v < len(classes)}
    if wrong:
        raise MXNetSegError(f"data.label_map: {wrong} points beyond the {len(classes)} classes (0..{len(classes) - 1})")
    return DatasetSpec(
        name=FOLDER,
        title="your own images and masks",
        classes=classes,
        palette=tuple(palette),
        images=data.images,
        masks=data.masks,
        mask_suffix=data.mask_suffix,
        ignore=tuple(data.ignore) if data.ignore is not None else (255,),
        label_map=data.label_map,
    )
