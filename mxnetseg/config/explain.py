"""What is wrong with a recipe, in words: key, value, what is allowed, and what may be meant."""

from typing import Any, Iterable, List, Sequence, Tuple

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from typing_extensions import get_args

from ..names import near
from .places import fields_of, forms, type_at

__all__ = ["limits", "problems", "shorten"]

MOST_LINES = 20
WORDS = {
    "model_type": "should be a mapping of keys to values",
    "dict_type": "should be a mapping",
    "list_type": "should be a list",
    "tuple_type": "should be a list",
    "string_type": "should be text",
    "missing": "is missing",
}
FEW = 10  # choices that are listed although a near one is named
SIGNS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}


def problems(err: ValidationError) -> List[str]:
    """One line each; of very many the first ones."""
    found = err.errors(include_url=False)
    lines = list(dict.fromkeys(_explain(problem) for problem in found[:MOST_LINES]))
    return [*lines, f"and {len(found) - MOST_LINES} more"] if found[MOST_LINES:] else lines


def limits(metadata: Iterable[Any]) -> str:
    """The bounds of a number, "> 0, <= 1"; empty where there are none."""
    found = [
        f"{sign} {getattr(limit, name):.10g}"
        for limit in _flat(metadata)
        for name, sign in SIGNS.items()
        if getattr(limit, name, None) is not None
    ]
    return ", ".join(found)


def _flat(metadata: Iterable[Any]) -> List[Any]:
    """Constraints, those within a FieldInfo among them."""
    return [part for item in metadata for part in (item.metadata if isinstance(item, FieldInfo) else [item])]


def shorten(value: Any) -> str:
    if isinstance(value, BaseModel):
        value = value.model_dump(exclude_unset=True)
    text = repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= 60 else text[:57] + "..."


def _explain(problem: ErrorDetails) -> str:
    location = [part for part in problem["loc"] if not str(part).startswith(("function-", "constrained-", "="))]
    kind, context, value = problem["type"], problem.get("ctx", {}), problem.get("input")
    if kind == "recipe":
        places = [(_dotted([*location, key] if key else location), what, one) for key, what, one in context["found"]]
        return "\n  ".join(f"{place}: {what}; got {shorten(one)}" for place, what, one in places)
    dotted = _dotted(location)
    if kind == "extra_forbidden":
        return f"unknown key {dotted}; {_hint_key(location)}; got {shorten(value)}"
    message = WORDS.get(kind) or problem["msg"].replace("Value error, ", "")
    message = message[:1].lower() + message[1:]
    if kind == "value_error":
        return message if dotted in message else f"{dotted}: {message}; got {shorten(value)}"
    if kind == "choice":
        return f"{dotted}: {_unknown(value, context['kind'], context['choices'], plugins=True)}"
    if kind == "literal_error":
        name = str(location[-2] if location[-1] == "name" else location[-1])
        return (
            f"{dotted}: {_unknown(value, name, [str(one) for one in _literals(type_at(location)[0])], plugins=False)}"
        )
    allowed = limits(type_at(location)[1])
    return f"{dotted}: {message}{f' (allowed: {allowed})' if allowed else ''}; got {shorten(value)}"


def _dotted(location: Sequence[Any]) -> str:
    return ".".join(str(part) for part in location)


def _hint_key(location: Sequence[Any]) -> str:
    keys = list(fields_of(type_at(location[:-1])[0]))
    close = near(str(location[-1]), keys)
    prefix = "".join(f"{part}." for part in location[:-1])
    return f"did you mean {prefix}{close[0]}?" if close else f"known here: {', '.join(keys)}"


def _unknown(value: Any, kind: str, choices: List[str], plugins: bool) -> str:
    close = near(str(value), choices)
    hint = f"did you mean {close[0]}? " if close else ""
    if not close or len(choices) <= FEW:
        hint += f"choices: {', '.join(choices) or 'none'}"
    more = "; a plugin's is known once its module is imported (--import MODULE)" if plugins else ""
    return f"unknown {kind} {shorten(value)}; {hint.strip()}{more}"


def _literals(annotation: Any) -> Tuple[Any, ...]:
    return next((get_args(one) for one, _ in forms(annotation) if get_args(one)), ())
