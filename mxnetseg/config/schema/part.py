"""What every section is."""

from typing import Any, Literal, Mapping, Union

from pydantic import BaseModel, ConfigDict, ValidationInfo, model_validator
from typing_extensions import get_args, get_origin

from ...names import same
from .effect import without_effect
from .values import READ, all_wrong


class Part(BaseModel):
    """A section of a recipe, or something in it: no other keys, never changed, all numbers finite.

    A key that is null has its default. Choices may be written in any case. A key without effect is an error in a recipe
    that is read.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _as_meant(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        fields = {field.alias or name: field.annotation for name, field in cls.model_fields.items()}
        return {
            key: _meant(fields[key], one) if key in fields else one
            for key, one in value.items()
            if one is not None or key not in fields or type(None) in get_args(fields[key])
        }

    @model_validator(mode="after")
    def _has_an_effect(self, info: ValidationInfo) -> "Part":
        if info.context == READ:
            useless = without_effect(type(self).model_fields, dict(self))
            if useless:
                raise all_wrong([(key, f"{why}; leave it out", getattr(self, key)) for key, why in useless.items()])
        return self


def _meant(annotation: Any, value: Any) -> Any:
    """`value` as a key of this type means it: a choice is spelt as we spell it; true and false are no numbers."""
    if hasattr(annotation, "__metadata__"):
        return _meant(annotation.__origin__, value)
    origin, arguments = get_origin(annotation), [one for one in get_args(annotation) if one is not Ellipsis]
    if origin is Union:
        for one in arguments:
            value = value if str in arguments and isinstance(value, bool) else _meant(one, value)
    elif isinstance(value, bool) and (annotation in (int, float) or origin is Literal):
        return str(value).lower()  # which is no number, and refused as any other text
    elif origin is Literal and isinstance(value, str):
        return next((one for one in arguments if same(str(one), value)), value)
    elif origin in (list, tuple) and isinstance(value, (list, tuple)):
        return [_meant(arguments[min(i, len(arguments) - 1)], one) for i, one in enumerate(value)]
    elif origin is dict and isinstance(value, Mapping):
        return {key: _meant(arguments[1], one) for key, one in value.items()}
    return value
