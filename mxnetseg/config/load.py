"""Read recipes: YAML with `_base_` files below it and `key=value` overrides above it."""

import os
import re
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence, Tuple, Type, Union

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ..errors import MXNetSegError
from ..names import near, same
from ..shipped import shipped
from .schema import RECORDED, Recipe, first_and_also

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
# giving one of these replaces the others, whatever a base file says
EXCLUSIVE = [
    ("train.epochs", "train.iterations"),
    ("data.base", "data.fit"),
    ("eval.base", "eval.fit"),
    ("model.init", "model.from"),
    ("train.ema", "train.swa"),
]
# options are those of one name: another name begins without them
OPTIONS = {
    "model.name": ("options",),
    "model.backbone": ("backbone_options",),
    "loss.name": ("options",),
    "data.name": (
        *("images", "masks", "lists", "image_suffix", "mask_suffix", "colors"),
        *("classes", "palette", "ignore", "label_map"),
    ),
}


def load_recipe(path: Union[str, Path], overrides: Sequence[str] = ()) -> Recipe:
    """The recipe in `path`, over its `_base_` files, under `overrides` ("optimizer.lr=0.02").

    A bare name ("pretty-surf-1") is that of a file below configs/, see `find_recipe`; a path that begins with configs/
    is looked for in the working directory, then where our recipes are.

    Raises
    ------
    MXNetSegError
        Unknown keys (the nearest is named), values of the wrong type, missing or circular files.
    """
    if not isinstance(path, (str, os.PathLike)) or not str(path):
        raise MXNetSegError(f"a recipe is a path, or the name of one below configs/, not {path!r}")
    check_overrides(overrides)
    path = Path(path)
    if path.suffix.lower() not in (".yaml", ".yml") and (path.is_dir() or not path.exists()):
        path = find_recipe(path.as_posix())
    elif path.parts[:1] == ("configs",) and not path.exists() and shipped(str(path)).is_file():
        path = shipped(str(path))
    source = f"{path} with {' '.join(overrides)}" if overrides else str(path)
    return _validate(_apply(_read_with_bases(path, ()), overrides), source)


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
        content = _with_bases(dict(source), Path("recipe"), ())
        return _validate(_apply(content, overrides), "the recipe")
    if isinstance(source, (str, Path)):
        return load_recipe(source, overrides)
    raise MXNetSegError(f"a recipe is a Recipe, a path, a name or a mapping of its keys, not a {type(source).__name__}")


def check_overrides(overrides: Any) -> None:
    """Raise MXNetSegError unless these are several "key=value"."""
    if not isinstance(overrides, (list, tuple)) or not all(isinstance(one, str) for one in overrides):
        raise MXNetSegError(
            f'overrides: a list of "key=value", for example ["train.epochs=5"], not {_shorten(overrides)}; nested '
            "mappings are for the recipe itself"
        )


def override_recipe(recipe: Recipe, overrides: Sequence[str]) -> Recipe:
    """`recipe` with some keys changed."""
    check_overrides(overrides)
    # without what nobody has set: `model.from` fills that in
    content = {"train": recipe.train.model_dump(mode="json"), **recipe.model_dump(mode="json", exclude_unset=True)}
    return _validate(_apply(content, overrides), f"the recipe with {' '.join(overrides)}")


def recipe_for(model: str, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe that `find_recipe` finds."""
    return load_recipe(find_recipe(model), overrides)


def find_recipe(name: str) -> Path:
    """The file configs/<name>.yaml or configs/*/<name>.yaml; case, '-' and '_' do not matter.

    `name` is a model's, a published run's or that of any recipe, with its folder ("camvid/bisenet_mobilenet_v2") or,
    where it is the only one, without. In the working directory, or where our recipes are.

    Raises
    ------
    MXNetSegError
        No such recipe (near names are listed), or several.
    """
    found: Dict[str, Path] = {}
    for folder in _config_folders():
        for file in [*folder.glob("*.yaml"), *folder.glob("*/*.yaml")]:
            if file.stem != "sweep" and file.parent.name != BASE:
                found.setdefault(file.relative_to(folder).with_suffix("").as_posix(), file)
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
    raise MXNetSegError(f"no recipe configs/{name}.yaml; {hint} --config FILE names any other")


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


def _config_folders() -> List[Path]:
    return [folder for folder in (Path("configs"), shipped("configs")) if folder.is_dir()]


def _squash(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


class _Loader(yaml.SafeLoader):
    """Safe YAML in which a key given twice is an error instead of the last one winning."""


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> Dict[Any, Any]:
    keys = [loader.construct_object(key) for key, _ in node.value]
    for key in keys:
        if keys.count(key) > 1:
            raise MXNetSegError(f"{node.start_mark.name}: key {key!r} is given twice; keep one")
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def _read_with_bases(path: Path, above: Tuple[Path, ...]) -> Dict[str, Any]:
    if path.resolve() in above:
        raise MXNetSegError(f"{path}: {BASE} files include each other: {' -> '.join(p.name for p in above)}")
    return _with_bases(_read(path), path, above)


def _with_bases(content: Dict[str, Any], path: Path, above: Tuple[Path, ...]) -> Dict[str, Any]:
    bases = content.pop(BASE, [])
    merged: Dict[str, Any] = {}
    several = [bases] if isinstance(bases, str) else bases
    if not isinstance(several, list) or not all(isinstance(base, str) for base in several):
        raise MXNetSegError(f"{path}: {BASE} names a file, or a list of files, not {_shorten(bases)}")
    for base in several:
        merged = _merge(merged, _read_with_bases(path.parent / base, above + (path.resolve(),)))
    return _merge(merged, content)


def _read(path: Path) -> Dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            content = yaml.load(file, Loader=_Loader)
    except FileNotFoundError:
        siblings = [p.name for p in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        close = [name for name in near(path.name, siblings) if _looks_like_recipe(path.parent / name)]
        hint = f"; did you mean {', '.join(str(path.parent / c) for c in close)}?" if close else ""
        raise MXNetSegError(f"no recipe {path}{hint}") from None
    except (OSError, UnicodeDecodeError) as err:
        raise MXNetSegError(f"{path}: can't be read ({err})") from err
    except yaml.YAMLError as err:
        raise MXNetSegError(f"{path}: not valid YAML: {err}") from err
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise MXNetSegError(f"{path}: a recipe is a mapping of keys to values, not a {type(content).__name__}")
    return content


def _looks_like_recipe(path: Path) -> bool:
    """Whether a YAML file begins a line with a recipe's key; others (mkdocs.yml) lie about, too."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    keys = [BASE, *(key for key in Recipe.model_fields if key != "description")]
    return re.search(rf"^({'|'.join(keys)}):", text, re.MULTILINE) is not None


def _merge(low: Dict[str, Any], high: Dict[str, Any], prefix: str = "") -> Dict[str, Any]:
    merged = dict(low)
    for name, options in OPTIONS.items():
        section, key = name.split(".")
        if section + "." == prefix and low.get(key) and high.get(key) and not same(str(low[key]), str(high[key])):
            for option in options:
                merged.pop(option, None)
    for key, value in high.items():
        for group in EXCLUSIVE:
            if prefix + str(key) in group and value is not None:
                for other in group:
                    section, name = other.rsplit(".", 1)
                    if section + "." == prefix and name != key and name not in high:
                        merged.pop(name, None)
        if prefix + str(key) == "loss" and isinstance(value, dict):
            merged[key] = first_and_also(merged.get(key))  # loss.aux_weight=1 over a list changes the first
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = _merge(merged[key], value, f"{prefix}{key}.")
        else:
            merged[key] = value
    return merged


def _apply(content: Dict[str, Any], overrides: Sequence[str]) -> Dict[str, Any]:
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key.strip():
            raise MXNetSegError(f"--set {override!r}: write it as key=value, for example optimizer.lr=0.02")
        try:
            value = yaml.safe_load(text) if text else None
        except yaml.YAMLError as err:
            raise MXNetSegError(f"--set {override!r}: the value is not valid YAML: {err}") from err
        *sections, last = key.strip().split(".")
        change: Dict[str, Any] = {last: value}
        for section in reversed(sections):
            change = {section: change}
        content = _merge(content, change)
    return content


def _validate(content: Dict[str, Any], source: str) -> Recipe:
    try:
        return Recipe.model_validate(content)
    except ValidationError as err:
        problems = [_explain(problem, content) for problem in err.errors()]
        raise MXNetSegError(
            "\n  ".join([f"{source}:", *problems] if problems[1:] else [f"{source}: {problems[0]}"])
        ) from None


def _explain(problem: ErrorDetails, content: Dict[str, Any]) -> str:
    location = [part for part in problem["loc"] if not str(part).startswith(("function-", "constrained-"))]
    dotted = ".".join(str(part) for part in location)
    if problem["type"] == "extra_forbidden":
        keys = _keys_at(location[:-1])
        close = near(str(location[-1]), keys)
        prefix = "".join(f"{part}." for part in location[:-1])
        hint = f"did you mean {prefix}{close[0]}?" if close else f"known here: {', '.join(keys)}"
        return f"unknown key {dotted}; {hint}"
    message = problem["msg"].replace("Value error, ", "")
    message = message[:1].lower() + message[1:]
    if problem["type"] == "value_error":
        return message
    return f"{dotted}: {message}; got {_shorten(problem.get('input'))}"


def _keys_at(location: Sequence[Any]) -> List[str]:
    """Keys that the schema knows below a place."""
    model: Type[BaseModel] = Recipe
    for part in location:
        if isinstance(part, int):
            continue
        annotation = model.model_fields[part].annotation
        candidates = [annotation, *getattr(annotation, "__args__", ())]
        below = next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)
        if below is None:
            return []
        model = below
    return [field.alias or name for name, field in model.model_fields.items()]


def _shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
