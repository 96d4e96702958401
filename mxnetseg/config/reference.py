"""The reference page of every key of a recipe, made from the schema."""

import typing
from typing import Any, Iterator, List, Literal, Optional, Tuple, Type, Union

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from .explain import limits
from .places import forms
from .schema import Recipe
from .schema.effect import Needs, Only

__all__ = ["reference"]

INTRO = """\
# Every key of a recipe

Made from `mxnetseg/config/schema/` by `mxnetseg config > docs/config.md`; change it there. How recipes are found,
inherit and are overridden: [training.md](training.md#recipes).

A key is written with its section (`optimizer: {lr: 0.01}`) in YAML, with a dot (`optimizer.lr=0.01`) behind `--set`.
`null` means: not given, so the default. Choices may be written in any case. Unknown keys are errors, and so are values
out of their range, and keys without an effect: "for sgd, nag" are the names that a key is for, "with crop" says which
key has to be set beside it."""


def reference() -> str:
    """Markdown: one table a section, one row a key with its type, default and meaning."""
    parts = [INTRO, *_section("", Recipe)]
    return "\n\n".join(parts) + "\n"


def _section(prefix: str, model: Type[BaseModel]) -> List[str]:
    rows, below = [], []
    for name, field in model.model_fields.items():
        key = f"{prefix}{field.alias or name}"
        part, many = _part_of(field.annotation)
        if part is not None:
            below.append((f"{key}[]." if many else f"{key}.", part))
            if not prefix and not many:
                continue  # a section of its own; there is nothing more to say
        meaning = _limits(field) + _escape(field.description)
        rows.append(f"| `{key}` | {_type(field.annotation)} | {_default(field)} | {meaning} |")
    text = []
    if rows:
        title = f"## {prefix.rstrip('.').replace('[]', ' (each)') or 'top level'}"
        about = " ".join((model.__doc__ or "").split()) if prefix else ""
        head = "| key | type | default | meaning |\n| --- | --- | --- | --- |"
        text.append("\n\n".join([title, *([about] if about else []), "\n".join([head, *rows])]))
    for place, part in below:
        text += _section(place, part)
    return text


def _part_of(annotation: Any) -> Tuple[Optional[Type[BaseModel]], bool]:
    """The part of the schema that a field holds, if it does, and whether it is a list of them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    inner = [a for a in typing.get_args(annotation) if a is not type(None)]
    if len(inner) == 1 and isinstance(inner[0], type) and issubclass(inner[0], BaseModel):
        return inner[0], typing.get_origin(annotation) is list
    return None, False


def _type(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is Any:
        return "anything"
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin is Union:
        return " or ".join(dict.fromkeys(_type(a) for a in arguments if a is not type(None)))
    if origin is list:
        return f"list of {_type(arguments[0])}"
    if origin is tuple and Ellipsis in arguments:
        return f"list of {_type(arguments[0])}"
    if origin is tuple:
        return f"[{', '.join(_type(a) for a in arguments)}]"
    if origin is dict:
        return f"mapping of {_type(arguments[0])} to {_type(arguments[1])}"
    if hasattr(annotation, "__metadata__"):  # a number with limits
        return _type(arguments[0])
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "keys below"
    return {str: "text", bool: "true or false", int: "integer", float: "number"}.get(annotation, str(annotation))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be given"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return ""
    if isinstance(value, tuple):
        value = list(value)
    text = yaml.safe_dump(value, default_flow_style=True, width=1000).replace("\n...", "").strip()
    return f"`{text}`"


def _limits(field: FieldInfo) -> str:
    """In front of the meaning: the limits of a number, or of each in a list, and beside what the key has an effect."""
    own = limits(field.metadata)
    of_each = "" if own else next((text for text in map(limits, _constraints(field.annotation)) if text), "")
    found = [own, f"each {of_each}" if of_each and _type(field.annotation)[0] in "[l" else of_each]
    for rule in field.metadata:
        if isinstance(rule, Only):
            found.append(f"for {rule}")
        elif isinstance(rule, Needs):
            found.append(f"with {' or '.join(rule.keys)}")
    found = [text for text in found if text]
    return f"({'; '.join(found)}) " if found else ""


def _constraints(annotation: Any) -> Iterator[List[Any]]:
    """Those of the types that a type is made of."""
    for one, metadata in forms(annotation):
        yield metadata
        if not isinstance(one, type) and typing.get_origin(one) is not Literal:
            for inner in typing.get_args(one):
                yield from _constraints(inner)


def _escape(text: Optional[str]) -> str:
    return (text or "").replace("|", "\\|").replace("<", "&lt;")
