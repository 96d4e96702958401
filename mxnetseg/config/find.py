"""Recipes by name: files, and those below configs/, here or where ours are."""

import os
from pathlib import Path
from typing import Dict, List, Optional, Union

from ..errors import MXNetSegError
from ..names import near
from ..shipped import shipped

__all__ = ["BASES", "exists", "file_of", "find_recipe", "near_recipes"]

BASES = "_base_"  # the folder of parts, which are no recipes by themselves
ENDINGS = (".yaml", ".yml")


def file_of(name: Union[str, Path], folder: Optional[Path] = None) -> Path:
    """The file that a recipe, or the `_base_` of one, is named by.

    A path, as seen from `folder` (the working directory when left out); else what `find_recipe` finds, or a part of
    recipes (`_base_/sgd_poly`), with or without configs/ and .yaml. A path that is nowhere is given back as it is.

    Raises
    ------
    MXNetSegError
        A bare name of no recipe, or of several.
    """
    given = Path(os.path.expanduser(os.path.expandvars(str(name))))
    path = (folder or Path()) / given
    if (exists(path) and not path.is_dir()) or given.is_absolute() or ".." in given.parts:
        return path
    inside = Path(*given.parts[1:]) if given.parts[:1] == ("configs",) else given
    ending = inside.suffix.lower() in ENDINGS
    for configs in _config_folders():
        file = configs / (inside if ending else f"{inside}.yaml")
        if exists(file) and file.is_file():
            return file
    return path if ending else find_recipe(inside.as_posix())


def exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # its name is too long, or a folder can't be entered
        return False


def find_recipe(name: str) -> Path:
    """The file configs/<name>.yaml or configs/*/<name>.yaml; case, '-' and '_' do not matter.

    `name` is a model's, a published run's or that of any recipe, with its folder ("camvid/bisenet_mobilenet_v2") or,
    where it is the only one, without. In the working directory, or where our recipes are.

    Raises
    ------
    MXNetSegError
        No such recipe (near names are listed), or several.
    """
    found = {key: file for key, file in _known().items() if file.parent.name != BASES}
    by_key = {_squash(key): file for key, file in found.items()}
    if _squash(name) in by_key:
        return by_key[_squash(name)]
    matches = [key for key in sorted(found) if _squash(key.rpartition("/")[2]) == _squash(name)]
    if len(matches) == 1:
        return found[matches[0]]
    if matches:
        raise MXNetSegError(f"recipe {name}: there are {' and '.join(matches)} below configs/; name one of them")
    close = near(name, [*found, *(key.rpartition("/")[2] for key in found)])
    top = sorted(key for key in found if "/" not in key)
    hint = f"did you mean {', '.join(close)}?" if close else f"there are: {', '.join(top) or 'none'}"
    raise MXNetSegError(f"no recipe configs/{name}.yaml; {hint} A path, my/recipe.yaml, names any other")


def near_recipes(name: Union[str, Path]) -> List[str]:
    """Recipes and parts of recipes below configs/ that a path that is nowhere may mean, as `file_of` takes them."""
    parts = [part for part in Path(name).parts if part not in ("..", "configs")]
    found = [f"{key}.yaml" for key in _known()]
    inside = Path(*parts).as_posix()  # a copied recipe still says ../_base_/camvid.yaml
    return [inside] if inside in found else near(inside, found)


def _known() -> Dict[str, Path]:
    """Every file below configs/, here and where ours are, by its path there without the ending."""
    found: Dict[str, Path] = {}
    for folder in _config_folders():
        for file in [*folder.glob("*.yaml"), *folder.glob("*/*.yaml")]:
            if file.stem != "sweep":
                found.setdefault(file.relative_to(folder).with_suffix("").as_posix(), file)
    return found


def _config_folders() -> List[Path]:
    return [folder for folder in (Path("configs"), shipped("configs")) if folder.is_dir()]


def _squash(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
