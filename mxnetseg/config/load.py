"""Read recipes: YAML with `_base_` files below it and `key=value` overrides above it."""

import logging
import os
import re
from pathlib import Path
from typing import Any, Dict, Mapping, Sequence, Tuple, Union

import yaml
from pydantic import ValidationError

from ..errors import MXNetSegError
from ..names import near
from .explain import problems, shorten
from .find import exists, file_of, find_recipe, near_recipes
from .merge import change, merge
from .schema import READ, RECORDED, Recipe
from .yaml_text import MOST_TEXT, check_size, parse

__all__ = [
    "as_recipe",
    "check_overrides",
    "dump_recipe",
    "find_recipe",
    "load_recipe",
    "override_recipe",
    "recipe_for",
    "recorded_recipe",
]

BASE = "_base_"
MOST_FILES = 20  # one below the other
# a relative path at one of these is that of a file beside the recipe that says it, if there is none here
BESIDE = [("data", "root"), ("model", "init"), ("model", "from"), ("distill", "teacher")]

log = logging.getLogger(__name__)


def load_recipe(path: Union[str, Path], overrides: Sequence[str] = ()) -> Recipe:
    """The recipe in `path`, over its `_base_` files, under `overrides` ("optimizer.lr=0.02").

    A bare name ("pretty-surf-1") is that of a file below configs/, see `find_recipe`; what is not in the working
    directory is looked for below configs/, there and where our recipes are.

    Raises
    ------
    MXNetSegError
        Unknown keys (the nearest is named), values of the wrong type or out of their range, keys without effect,
        missing or circular files, text that is too long, too deep or no YAML.
    """
    if not isinstance(path, (str, os.PathLike)) or not str(path):
        raise MXNetSegError(f"a recipe is a path, or the name of one below configs/, not {path!r}")
    check_overrides(overrides)
    file = file_of(os.fspath(path))
    source = f"{file} with {' '.join(overrides)}" if overrides else str(file)
    return _validate(merge(_read_with_bases(file, (), {}), change(overrides)), source)


def as_recipe(source: Union[Recipe, str, Path, Mapping[str, Any]], overrides: Sequence[str] = ()) -> Recipe:
    """What Python code names a recipe by: a Recipe, a file, a name below configs/, or its keys as nested mappings.

    `_base_` in a mapping is looked for from the working directory.

    Raises
    ------
    MXNetSegError
        As `load_recipe`, or something else was given.
    """
    check_overrides(overrides)
    if isinstance(source, Recipe):
        return override_recipe(source, overrides) if overrides else source
    if isinstance(source, Mapping):
        check_size(source, "the recipe")
        content = _with_bases(dict(source), Path("recipe"), (), {})
        return _validate(merge(content, change(overrides)), "the recipe")
    if isinstance(source, (str, Path)):
        return load_recipe(source, overrides)
    raise MXNetSegError(f"a recipe is a Recipe, a path, a name or a mapping of its keys, not a {type(source).__name__}")


def check_overrides(overrides: Any) -> None:
    """Raise MXNetSegError unless these are several "key=value"."""
    if not isinstance(overrides, (list, tuple)) or not all(isinstance(one, str) for one in overrides):
        raise MXNetSegError(
            f'overrides: a list of "key=value", for example ["train.epochs=5"], not {shorten(overrides)}; nested '
            "mappings are for the recipe itself"
        )


def override_recipe(recipe: Recipe, overrides: Sequence[str]) -> Recipe:
    """`recipe` with some keys changed. What else an older version has let through in it stays as it is."""
    check_overrides(overrides)
    # without what nobody has set: `model.from` fills that in
    set_ = recipe.model_dump(mode="json", by_alias=True, exclude_unset=True)
    old = {"train": recipe.train.model_dump(mode="json"), **set_}
    new = merge(old, change(overrides))
    try:
        return Recipe.model_validate(new, context=READ)
    except ValidationError as err:
        wrong = [problem for problem in problems(err) if problem not in _problems(old)]
        if wrong:
            raise _error(f"the recipe with {' '.join(overrides)}", wrong) from None
        return Recipe.model_validate(new, context=RECORDED)


def recipe_for(model: str, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe that `find_recipe` finds."""
    return load_recipe(find_recipe(model), overrides)


def recorded_recipe(value: Any) -> Any:
    """A recipe as a checkpoint holds it: keys that this version doesn't know, of a newer one, are left out."""
    if not isinstance(value, dict):
        return value
    try:
        return Recipe.model_validate(value, context=RECORDED)
    except ValidationError as err:
        unknown = [problem["loc"] for problem in err.errors() if problem["type"] == "extra_forbidden"]
        kept = _without(value, unknown)
        return value if kept == value else recorded_recipe(kept)


def _without(value: Any, places: Sequence[Tuple[Any, ...]]) -> Any:
    """A copy of nested dicts and lists without the entries at some places."""
    if not isinstance(value, (dict, list)):
        return value
    items = value.items() if isinstance(value, dict) else enumerate(value)
    kept = {
        key: _without(part, [place[1:] for place in places if place[0] == key and place[1:]])
        for key, part in items
        if (key,) not in places
    }
    return kept if isinstance(value, dict) else list(kept.values())


def dump_recipe(recipe: Recipe) -> str:
    """YAML text that loads back as the same recipe."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _read_with_bases(path: Path, above: Tuple[Path, ...], known: Dict[Path, Dict[str, Any]]) -> Dict[str, Any]:
    """What a file says over its bases. `known`: files that were read before, each of which is read once."""
    file = _resolved(path)
    if file in above:
        raise MXNetSegError(f"{path}: {BASE} files include each other: {' -> '.join(p.name for p in above)}")
    if len(above) >= MOST_FILES:
        raise MXNetSegError(f"{path}: the {MOST_FILES + 1}st file, each the {BASE} of the one before; use fewer")
    if file not in known:
        known[file] = _with_bases(_read(path), path, (*above, file), known)
    return known[file]


def _with_bases(
    content: Dict[str, Any], path: Path, above: Tuple[Path, ...], known: Dict[Path, Dict[str, Any]]
) -> Dict[str, Any]:
    bases = content.pop(BASE, None) or []
    several = [bases] if isinstance(bases, str) else bases
    if not isinstance(several, list) or not all(isinstance(base, str) and base for base in several):
        raise MXNetSegError(f"{path}: {BASE} names a file, or a list of files, not {shorten(bases)}")
    merged: Dict[str, Any] = {}
    for base in dict.fromkeys(several):
        merged = merge(merged, _read_with_bases(_base(base, path), above, known))
    return merge(merged, _beside(content, path))


def _base(name: str, path: Path) -> Path:
    """The file that the recipe in `path` names as a base: one seen from there, else one of ours, by its name."""
    try:
        file = file_of(name, path.parent)
    except MXNetSegError as err:
        raise MXNetSegError(f"{path}: {BASE} {name}: {err}") from None
    if exists(file):
        return file
    close = near_recipes(name)
    hint = f"did you mean {' or '.join(close)}, which is ours?" if close else "neither is it below configs/"
    raise MXNetSegError(f"{path}: no recipe {name}, its {BASE}, from {path.parent.resolve()}; {hint}")


def _beside(content: Dict[str, Any], path: Path) -> Dict[str, Any]:
    """`content` of a recipe, with the paths in it that are meant from where it lies; what is here comes first."""
    for section, key in BESIDE:
        part = content.get(section)
        value = part.get(key) if isinstance(part, dict) else None
        if not isinstance(value, str) or not value or "\0" in value:
            continue
        text = os.path.expanduser(os.path.expandvars(value))
        here, there = Path(text), path.parent.resolve() / text
        if here.is_absolute() or not exists(there):
            continue
        if not exists(here):
            content = {**content, section: {**content[section], key: str(there)}}
        elif not here.samefile(there):
            log.warning(
                "%s.%s: %s is in the working directory and beside %s; the former is taken", section, key, text, path
            )
    return content


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError) as err:  # links in a circle, a zero byte
        raise MXNetSegError(f"{str(path)!r}: can't be read ({err})") from None


def _read(path: Path) -> Dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(MOST_TEXT + 1)
    except FileNotFoundError:
        siblings = [p.name for p in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        close = [
            str(path.parent / name) for name in near(path.name, siblings) if _looks_like_recipe(path.parent / name)
        ]
        close += [] if path.is_absolute() else near_recipes(path)
        hint = f"; did you mean {', '.join(close)}?" if close else ""
        raise MXNetSegError(f"no recipe {path}{hint}") from None
    except (OSError, UnicodeDecodeError) as err:
        raise MXNetSegError(f"{shorten(str(path))}: can't be read ({getattr(err, 'strerror', None) or err})") from err
    content = parse(text, str(path))
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise MXNetSegError(f"{path}: a recipe is a mapping of keys to values, not a {type(content).__name__}")
    return content


def _looks_like_recipe(path: Path) -> bool:
    """Whether a YAML file begins a line with a recipe's key; others (mkdocs.yml) lie about, too."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(MOST_TEXT)
    except (OSError, UnicodeDecodeError):
        return False
    keys = [BASE, *(key for key in Recipe.model_fields if key != "description")]
    return re.search(rf"^({'|'.join(keys)}):", text, re.MULTILINE) is not None


def _validate(content: Dict[str, Any], source: str) -> Recipe:
    try:
        return Recipe.model_validate(content, context=READ)
    except ValidationError as err:
        raise _error(source, problems(err)) from None


def _problems(content: Dict[str, Any]) -> Sequence[str]:
    try:
        Recipe.model_validate(content, context=READ)
    except ValidationError as err:
        return problems(err)
    return []


def _error(source: str, found: Sequence[str]) -> MXNetSegError:
    return MXNetSegError("\n  ".join([f"{source}:", *found]) if found[1:] else f"{source}: {found[0]}")
