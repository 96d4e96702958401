"""Every key of a recipe with values that it can't have: each is refused when the recipe is read, by key and value.

The values are made from the schema, so a new key is tried as soon as it is there.
"""

from typing import Any, Dict, Iterator, List, Literal, NamedTuple, Tuple

import pytest
from pydantic import BaseModel
from typing_extensions import Annotated, get_args, get_origin

from mxnetseg.config import Recipe, as_recipe
from mxnetseg.config.explain import shorten
from mxnetseg.config.places import forms
from mxnetseg.config.schema.effect import Needs, Only
from mxnetseg.config.schema.names import Named
from mxnetseg.errors import MXNetSegError

# of another kind each, or far out of any range
KINDS: Dict[Any, List[Any]] = {
    int: ["few", "", 1.5, True, [], {}, float("nan"), float("inf"), 10**30],
    float: ["few", "1,5", True, [], {}, float("nan"), float("-inf"), float("inf")],
    bool: ["few", 2, 1.5, []],
    str: [5, 1.5, [], {}],
    list: ["few", 5, {}],
    dict: ["few", 5, []],
}
BEYOND = {"ge": -1, "gt": 0, "le": 1, "lt": 0}
# what some keys may hold after all: one of what they list, a name
GOOD = {"freeze": ["few"], "channels": [5], "ignore": [["few"], [""]]}
# what makes keys have an effect, and what has to be given
SET = {"momentum": 0.5, "crop": 64, "flip": True, "warmup": 9, "blur": 0.5, "teacher": "large.params"}
REQUIRED = {"match": "^head", "rate": 0.9, "name": "ce"}


class Row(NamedTuple):
    content: Dict[str, Any]
    place: str  # what the message has to name
    value: Any  # the value, or the part of it, that is wrong


def wrong_values(annotation: Any) -> Iterator[Tuple[Any, Any, str]]:
    """Values that a type can't have: the value, the part of it that is wrong, and where in it that is."""
    kinds = [form for form in forms(annotation) if form[0] is not type(None)]
    kind, metadata = next((form for form in kinds if form[0] in (int, float)), kinds[0])
    origin, arguments = get_origin(kind), [one for one in get_args(kind) if one is not Ellipsis]
    if is_part(kind):
        kind = dict
    elif origin is Literal:
        yield from ((value, value, "") for value in ("nonsense", f"{arguments[0]}{arguments[0]}", 99, True, []))
    elif origin in (list, tuple):
        good = {str: "a", float: 1.0}.get(arguments[0], 2)
        more = [good] * (0 if arguments[-1] is ... else len(arguments) - 1)
        if not is_part(arguments[0]):
            for value, part, place in wrong_values(arguments[0]):
                yield [value, *more], part, f".0{place}"
        if more:
            yield [good, *more, good], [good, *more, good], ""
    for value in KINDS.get(kind if isinstance(kind, type) else origin, []):
        if value != [] or len(kinds) == 1:  # else it is one number, or a list of them
            yield value, value, ""
    for item in metadata:
        for limit in getattr(item, "metadata", [item]):
            for name, step in BEYOND.items():
                bound = getattr(limit, name, None)
                if bound is not None and kind in (int, float):
                    value = bound + step * max(1, abs(bound) // 1000)
                    yield value, value, ""


def is_part(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def parts(part: Any, path: Tuple[Any, ...] = ()) -> Iterator[Tuple[Any, Tuple[Any, ...]]]:
    """The sections of a recipe and what is in them, each with its keys; 0 stands for the entry of a list."""
    yield part, path
    for name, field in part.model_fields.items():
        for kind, _ in forms(field.annotation):
            many = get_origin(kind) is list
            inner = get_args(kind)[0] if many else kind
            if is_part(inner) and name != "transforms":  # which are plugins'
                yield from parts(inner, (*path, field.alias or name, *([0] if many else [])))


def beside(part: Any, name: str) -> Dict[str, Any]:
    """What has to stand beside a key, so that it is read and has an effect."""
    found = {key: REQUIRED[key] for key, field in part.model_fields.items() if field.is_required()}
    if "epochs" in part.model_fields and name not in ("epochs", "iterations"):
        found["epochs"] = 1
    for rule in part.model_fields[name].metadata:
        if isinstance(rule, Only):
            found["name"] = next((one for one in rule.names if one != "step"), "step")
        elif isinstance(rule, Needs):
            found[rule.keys[0]] = SET[rule.keys[0]]
    if found.get("name") == "step":
        found["steps"] = [0.5]
    return {key: value for key, value in found.items() if value != ""}


def nested(path: Tuple[Any, ...], content: Any) -> Any:
    for step in reversed(path):
        content = [content] if step == 0 else {step: content}
    return content


def rows() -> Iterator[Row]:
    for part, path in parts(Recipe):
        for name, field in part.model_fields.items():
            key, more = field.alias or name, beside(part, name)
            place = ".".join(map(str, (*path, key)))
            annotation = Annotated[(field.annotation, *(field.metadata or [None]))]
            for value, wrong, inside in wrong_values(annotation):
                if value in GOOD.get(key, ()):
                    continue
                yield Row(nested(path, {**more, key: value}), f"{place}{inside}: ", wrong)
            slip = f"unknown key {place}{key[-1]}; did you mean {place}?"
            yield Row(nested(path, {**more, f"{key}{key[-1]}": "slip"}), slip, "slip")
            for rule in field.metadata:
                if isinstance(rule, (Only, Needs)):
                    yield from without_effect(part, path, name, rule)


# values other than the default, of keys that need something beside them
OTHERS = {
    "average": "all", "batch_size": 4, "betas": [0.5, 0.6], "blur_sigma": [0.7, 0.9], "classes": "present",
    "colors": {},
    "min_kept": 48, "mix": {"chance": 0.25}, "momentum_lr": "outside", "options": {"a": 1}, "steps": [0.5],
    "stride": 48,
}  # fmt: skip


def without_effect(part: Any, path: Tuple[Any, ...], name: str, rule: Any) -> Iterator[Row]:
    """A key's value beside each name, or what else, that leaves it without effect."""
    value = (
        ["pole"]
        if path[-1:] == ("mix",)
        else OTHERS.get(
            name, "text" if str in [kind for kind, _ in forms(part.model_fields[name].annotation)] else 0.123
        )
    )
    setups: List[Dict[str, Any]] = [{key: 0 if key == "momentum" else None for key in rule[0]}]
    if isinstance(rule, Only):
        field = part.model_fields["name"]
        ours = [meant for item in field.metadata if isinstance(item, Named) for _, meant in item.known]
        setups = [{"name": one} for one in ours or get_args(field.annotation) if one not in rule.names][:5]
    for setup in setups:
        steps = {"steps": [0.5]} if setup.get("name") == "step" else {}
        content = nested(path, {**beside(part, name), **steps, **setup, name: value})
        yield Row(content, f"{'.'.join(map(str, (*path, name)))}: has no effect w", value)


TABLE = list(rows())


def test_the_table_is_long_and_tries_every_section():
    assert len(TABLE) > 700
    assert {place.split(".")[0].replace("unknown key ", "") for _, place, _ in TABLE} >= {*Recipe.model_fields} - {
        "description"
    }


@pytest.mark.parametrize("section", Recipe.model_fields)
def test_wrong_values_are_refused_by_key_and_value(section):
    for content, place, value in TABLE:
        if next(iter(content)).startswith(section):
            with pytest.raises(MXNetSegError) as caught:
                as_recipe(content)
            message = str(caught.value)
            shown = shorten(value)
            assert place in message, (content, message)
            assert shown.lower() in message.lower(), (content, message)
