"""Which key has an effect when: facts in the metadata of the keys, and a look at what they say together."""

from typing import Any, Dict, Iterable, Mapping, NamedTuple, Tuple

from pydantic.fields import FieldInfo
from typing_extensions import get_args

from ...names import same
from .names import Named


class Only(NamedTuple):
    """Metadata of a key: it has an effect only where `name` beside it is one of these; "" is any plugin's."""

    names: Tuple[str, ...]

    def __str__(self) -> str:
        return ", ".join(name or "a plugin's" for name in self.names)


class Needs(NamedTuple):
    """Metadata of a key: it has an effect only where one of these beside it is neither null, false nor 0."""

    keys: Tuple[str, ...]


def only(*names: str) -> Only:
    return Only(names)


def needs(*keys: str) -> Needs:
    return Needs(keys)


def without_effect(fields: Mapping[str, FieldInfo], values: Mapping[str, Any]) -> Dict[str, str]:
    """The keys in `values` that say something other than their default, but have no effect beside the others, and why.

    Keys that are not in `values` have their default, and so have those that are null but can't be.
    """

    def value_of(key: str) -> Any:
        if values.get(key) is not None or (key in values and type(None) in get_args(fields[key].annotation)):
            return values[key]
        return fields[key].get_default(call_default_factory=True)

    found = {}
    for key in values:
        field = fields.get(key)
        if field is None or value_of(key) == field.get_default(call_default_factory=True):
            continue
        for rule in field.metadata:
            if isinstance(rule, Only) and not _is_one_of(value_of("name"), rule.names, fields["name"]):
                found[key] = f"has no effect where name is {value_of('name')}, only with {rule}"
            elif isinstance(rule, Needs) and not any(value_of(one) for one in rule.keys):
                found[key] = f"has no effect without {' or '.join(rule.keys)}"
    return found


def _is_one_of(name: Any, names: Iterable[str], field: FieldInfo) -> bool:
    ours = next((item for item in field.metadata if isinstance(item, Named)), None)
    meant = ours.ours(str(name)) if ours else str(name)
    return "" in names if meant is None else any(same(meant, one) for one in names)
