"""YAML text as plain values: safe, each key once, and within bounds, so that no text takes long or much memory."""

import re
from typing import Any, Dict, List, Optional

import yaml

from ..errors import MXNetSegError

__all__ = ["MOST_TEXT", "check_size", "parse"]

# the longest of our recipes has 2000 characters and 80 values, one with 255 classes, their colours and values 3000
MOST_TEXT = 300_000
MOST_VALUES = 10_000  # an alias counts as all that it stands for
MOST_DEPTH = 30
MOST_DIGITS = 100  # reading a number takes the square of its length


def parse(text: str, source: str) -> Any:
    """What YAML text holds; messages begin with `source`.

    Raises
    ------
    MXNetSegError
        It is no YAML, gives a key twice, or is too long, too deep or too large.
    """
    if len(text) > MOST_TEXT:
        raise MXNetSegError(f"{source}: longer than the {MOST_TEXT} characters that a recipe may have")
    try:
        loader = _Loader(text)
        loader.source = source
        return loader.get_single_data()
    except yaml.YAMLError as err:
        raise MXNetSegError(f"{source}: not valid YAML: {err}") from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as err:
        # what PyYAML's readers of numbers and dates stumble over
        raise MXNetSegError(f"{source}: not valid YAML: a value can't be read ({err})") from None


def check_size(value: Any, source: str) -> None:
    """Raise MXNetSegError where nested mappings and lists are deeper or hold more than a recipe may."""
    count, level = 0, [value]
    for _ in range(MOST_DEPTH):
        below: List[Any] = []
        for one in level:
            if isinstance(one, (dict, list, tuple)):
                below += one.values() if isinstance(one, dict) else one
            if count + len(below) > MOST_VALUES:
                raise _too_large(source)
        count, level = count + len(below), below
        if not level:
            return
    raise _too_deep(source)


def _too_deep(source: str) -> MXNetSegError:
    return MXNetSegError(f"{source}: more than {MOST_DEPTH} levels of mappings and lists")


def _too_large(source: str) -> MXNetSegError:
    return MXNetSegError(f"{source}: more than the {MOST_VALUES} values that a recipe may have")


class _Loader(yaml.SafeLoader):
    """Safe YAML, and what `parse` says. Numbers are those of YAML 1.2: 1e-4 is one, 010 is ten, 1:30 is text."""

    source = ""

    def __init__(self, text: str):
        super().__init__(text)
        self._depth = 0
        self._sizes: Dict[int, int] = {}  # of finished nodes, with all below them

    def compose_node(self, parent: Optional[yaml.Node], index: int) -> Optional[yaml.Node]:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        where = f"{self.source}, line {event.start_mark.line + 1}"
        if self._depth >= MOST_DEPTH:
            raise _too_deep(where)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        if node is None:
            return None
        if isinstance(event, yaml.AliasEvent):
            if id(node) not in self._sizes:
                raise MXNetSegError(f"{where}: *{event.anchor} stands for something that it is itself in")
        elif isinstance(node, yaml.ScalarNode):
            if any("\ud800" <= letter <= "\udfff" for letter in node.value):
                raise MXNetSegError(f"{where}: {node.value[:40]!r} holds half a character, which can't be written")
            number = node.tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
            if number and len(node.value) > MOST_DIGITS:
                raise MXNetSegError(f"{where}: a number of {len(node.value)} digits")
            self._sizes[id(node)] = 1
        else:
            parts = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
            self._sizes[id(node)] = 1 + sum(self._sizes[id(part)] for part in parts)
        if max(self._sizes[id(node)], len(self._sizes)) > MOST_VALUES:
            raise _too_large(where)
        return node


def _mapping(loader: _Loader, node: yaml.MappingNode) -> Dict[Any, Any]:
    seen = set()
    for key, _ in node.value:
        if key.tag == "tag:yaml.org,2002:merge":
            continue
        name = loader.construct_object(key)  # type: ignore[no-untyped-call]
        if isinstance(name, (dict, list, set)):
            raise MXNetSegError(f"{loader.source}, line {key.start_mark.line + 1}: {name!r} can't be a key")
        if str(name) in seen:  # 255 and "255" are one value of a mask
            raise MXNetSegError(f"{loader.source}: key {name!r} is given twice; keep one")
        seen.add(str(name))
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


def _integer(loader: _Loader, node: yaml.ScalarNode) -> int:
    return int(node.value.replace("_", ""))


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
_INT, _FLOAT = "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in pairs if tag not in (_INT, _FLOAT)]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(  # type: ignore[no-untyped-call]
    _INT, re.compile(r"[-+]?[0-9][0-9_]*$"), list("-+0123456789")
)
_Loader.add_implicit_resolver(  # type: ignore[no-untyped-call]
    _FLOAT,
    re.compile(r"([-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$"),
    list("-+.0123456789"),
)
_Loader.add_constructor(_INT, _integer)


def _refuse(loader: _Loader, node: yaml.Node) -> None:
    raise MXNetSegError(f"{loader.source}, line {node.start_mark.line + 1}: a recipe holds no {node.tag}")


for _tag in ("set", "omap", "pairs", "binary"):  # a set has no order, nor do recipes need the others
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _refuse)
