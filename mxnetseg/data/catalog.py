"""Data sets by name: those in the tables, and a folder of the user's own."""

from typing import List

from ..config.schema import DataConfig
from ..errors import MXNetSegError
from ..names import same
from . import tables  # noqa: F401  (fills TABLE)
from .folder import folder_spec
from .relabel import relabelled
from .spec import TABLE, DatasetSpec

__all__ = ["FOLDER", "entry_of", "get_spec", "list_datasets", "num_classes_of"]

FOLDER = "folder"  # data.name of the user's own


def list_datasets() -> List[str]:
    """Names that `data.name` in a recipe takes, those of installed plugins among them."""
    return sorted([*TABLE.names(), FOLDER])


def get_spec(data: DataConfig) -> DatasetSpec:
    """The data set of a recipe, with the classes that it asks for (`data.classes`, `label_map`, `ignore`, `palette`).

    Raises
    ------
    MXNetSegError
        An unknown name, classes that don't fit the data set, or a `folder` that lacks a key.
    """
    entry = entry_of(data)
    problems = []
    for layout in entry.layouts(""):  # label values may be those of another than the usual one
        try:
            return relabelled(layout, data)
        except MXNetSegError as err:
            problems.append(err)
    raise problems[0]


def entry_of(data: DataConfig) -> DatasetSpec:
    """The table entry of `data.name`, as it is; for `folder`, one made from the recipe.

    Raises
    ------
    MXNetSegError
        An unknown name, or a `folder` that lacks a key.
    """
    if same(data.name, FOLDER):
        return folder_spec(data)
    return TABLE.find(data.name)


def num_classes_of(data: DataConfig) -> int:
    """How many classes the data set of a recipe has."""
    return get_spec(data).num_classes
