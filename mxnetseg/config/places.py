"""What the schema says of a place in a recipe."""

from typing import Any, Dict, List, Optional, Sequence, Tuple, Type, Union

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typing_extensions import get_args, get_origin

from .schema import Recipe

__all__ = ["fields_of", "forms", "type_at"]


def type_at(location: Sequence[Any]) -> Tuple[Any, List[Any]]:
    """The type of what stands at a place in a recipe, and its constraints; (None, []) where the schema has nothing."""
    here: Any = Recipe
    metadata: List[Any] = []
    for part in location:
        found = next((one for one in forms(here) if _holds(one[0], part)), None)
        if found is None:
            return None, []
        here, metadata = found[0], []
        if isinstance(part, int):
            arguments = [one for one in get_args(here) if one is not Ellipsis]
            here = arguments[min(part, len(arguments) - 1)]
        else:
            field = fields_of(here)[part]
            here, metadata = field.annotation, list(field.metadata)
    found_forms = [form for form in forms(here) if form[0] is not type(None)]
    here, more = next(
        (form for form in found_forms if form[0] in (int, float)), found_forms[0] if found_forms else (here, [])
    )
    return here, metadata + more


def forms(annotation: Any) -> List[Tuple[Any, List[Any]]]:
    """The types that a type is one of, each with its constraints."""
    if hasattr(annotation, "__metadata__"):
        return [(one, [*annotation.__metadata__, *more]) for one, more in forms(annotation.__origin__)]
    if get_origin(annotation) is Union:
        return [form for one in get_args(annotation) for form in forms(one)]
    return [(annotation, [])]


def _holds(annotation: Any, part: Any) -> bool:
    return get_origin(annotation) in (list, tuple) if isinstance(part, int) else part in fields_of(annotation)


def fields_of(annotation: Any) -> Dict[str, FieldInfo]:
    part = _part_of(annotation)
    return {field.alias or name: field for name, field in part.model_fields.items()} if part else {}


def _part_of(annotation: Any) -> Optional[Type[BaseModel]]:
    parts = [one for one, _ in forms(annotation) if isinstance(one, type) and issubclass(one, BaseModel)]
    return parts[0] if parts else None
