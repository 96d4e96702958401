"""A symbol's JSON as nodes that can be changed, and back: the only place that knows the format."""

import json
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Callable, Dict, Generic, List, Mapping, NamedTuple, Optional, Sequence, Tuple, TypeVar, Union

__all__ = ["VARIABLE", "Current", "Entry", "Graph", "Node", "operators_named"]

VARIABLE = "null"  # the operator of inputs and parameters
T = TypeVar("T")


class Entry(NamedTuple):
    """One output of a node."""

    node: "Node"
    index: int = 0  # type: ignore[assignment]  # a tuple has a method of that name


class _Changes:
    """`last` is another object after every change of a node or of a graph's outputs."""

    last = object()


@dataclass(eq=False)
class Node:
    """An operator or a variable. Attributes are strings, as MXNet writes them.

    A field changes only by being assigned to: attributes are read-only, inputs a tuple. So no change goes unnoticed,
    and what a graph says of users and shapes is never that of an earlier state.
    """

    op: str
    name: str
    attrs: Mapping[str, str] = field(default_factory=dict)
    inputs: Sequence[Entry] = field(default=(), repr=False)
    subgraphs: Sequence["Graph"] = field(
        default=(), repr=False
    )  # what operators that MXNet's passes have fused are made of

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "attrs":
            value = MappingProxyType(dict(value))
        elif name in ("inputs", "subgraphs"):
            value = tuple(value)
        changes = name in self.__dict__  # a new node is in no graph yet
        super().__setattr__(name, value)
        if changes:
            _Changes.last = object()

    def become(self, other: "Node") -> None:
        """Turn into what `other` is; users stay, and now get what `other` gives."""
        self.op, self.name, self.attrs = other.op, other.name, other.attrs
        self.inputs, self.subgraphs = other.inputs, other.subgraphs

    def flag(self, name: str, default: bool = False) -> bool:
        return self.attrs.get(name, str(default)) in ("True", "true", "1")

    def numbers(self, name: str, default: Sequence[int]) -> Tuple[int, ...]:
        if name not in self.attrs:
            return tuple(default)
        return tuple(int(number) for number in self.attrs[name].strip("()[] ").split(",") if number.strip())


class Current(Generic[T]):
    """What `find` gives; found again if anything has changed since."""

    def __init__(self, find: Callable[[], T]):
        self._find = find
        self._when: Optional[object] = None

    def get(self) -> T:
        if self._when is not _Changes.last:
            when = _Changes.last  # before: another thread may change its graphs meanwhile
            self._found = self._find()
            self._when = when
        return self._found


class Graph:
    """The nodes that the outputs `heads` need. Whoever changes a node changes what all its users get.

    Parameters
    ----------
    symbol : str or mxnet.symbol.Symbol
        A symbol, or its JSON.
    """

    def __init__(self, symbol: Union[str, Any]):
        raw = json.loads(symbol if isinstance(symbol, str) else symbol.tojson(remove_amp_cast=False))
        self._about = raw.get("attrs", {})
        self._variables: Dict[str, Node] = {}
        self._users = Current(self._find_users)
        nodes: List[Node] = []
        for one in raw["nodes"]:
            if one["op"] == VARIABLE:
                node = self.variable(one["name"], one.get("attrs", {})).node
            else:
                inputs = [Entry(nodes[source], index) for source, index, *_ in one["inputs"]]
                subgraphs = [Graph(json.dumps(part)) for part in one.get("subgraphs", ())]
                node = Node(one["op"], one["name"], one.get("attrs", {}), inputs, subgraphs)
            nodes.append(node)
        self.heads = [Entry(nodes[source], index) for source, index, *_ in raw["heads"]]

    @property
    def heads(self) -> Sequence[Entry]:
        """The graph's outputs."""
        return self._heads

    @heads.setter
    def heads(self, entries: Sequence[Entry]) -> None:
        changes = hasattr(self, "_heads")
        self._heads = tuple(entries)
        if changes:
            _Changes.last = object()

    def nodes(self) -> List[Node]:
        """Every node once, behind the nodes it takes its inputs from."""
        order: List[Node] = []
        seen = set()
        stack = [(head.node, False) for head in reversed(self.heads)]
        while stack:
            node, inputs_done = stack.pop()
            if inputs_done:
                order.append(node)
            elif node not in seen:
                seen.add(node)
                stack.append((node, True))
                stack.extend((entry.node, False) for entry in reversed(node.inputs) if entry.node not in seen)
        return order

    def operators(self) -> List[Node]:
        return [node for node in self.nodes() if node.op != VARIABLE]

    def variable(self, name: str, attrs: Optional[Mapping[str, str]] = None) -> Entry:
        """The variable of that name. There is one, because values are given by name; the first to ask says `attrs`."""
        if name not in self._variables:
            self._variables[name] = Node(VARIABLE, name, attrs or {})
        return Entry(self._variables[name])

    def users(self, node: Node) -> List[Optional[Node]]:
        """Those that take the node's outputs now, as often as they do; None: the graph's own outputs."""
        return list(self._users.get().get(node, ()))

    def single_user(self, node: Node) -> Optional[Node]:
        """The node's sole user, or None; one that takes the output twice counts as two."""
        found = self.users(node)
        return found[0] if len(found) == 1 else None

    def replace(self, old: Entry, new: Entry) -> None:
        """Whoever took `old` takes `new`."""
        for user in self.users(old.node):
            if user is not None:
                user.inputs = [new if entry == old else entry for entry in user.inputs]
        self.heads = [new if entry == old else entry for entry in self.heads]

    def names(self) -> Dict[Node, str]:
        """The nodes in order, with names that no two share: MXNet's passes go by names."""
        nodes = self.nodes()
        found, taken = {}, {node.name for node in nodes if node.op == VARIABLE}
        for node in nodes:
            name, number = node.name, 1
            while node.op != VARIABLE and name in taken:
                number += 1
                name = f"{node.name}_{number}"
            taken.add(name)
            found[node] = name
        return found

    def json(self) -> str:
        """The symbol's JSON."""
        return json.dumps(self._content())

    def symbol(self) -> Any:
        """Back to an mxnet.symbol.Symbol."""
        import mxnet as mx

        return mx.sym.load_json(self.json())

    def _content(self) -> Dict[str, Any]:
        names = self.names()
        at = {node: index for index, node in enumerate(names)}
        nodes = []
        for node, name in names.items():
            inputs = [[at[entry.node], entry.index, 0] for entry in node.inputs]
            one: Dict[str, Any] = {"op": node.op, "name": name, "attrs": dict(node.attrs), "inputs": inputs}
            if node.subgraphs:
                one["subgraphs"] = [part._content() for part in node.subgraphs]
            nodes.append(one)
        return {
            "nodes": nodes,
            "arg_nodes": [index for node, index in at.items() if node.op == VARIABLE],
            "heads": [[at[entry.node], entry.index, 0] for entry in self.heads],
            "attrs": self._about,
        }

    def _find_users(self) -> Dict[Node, List[Optional[Node]]]:
        users: Dict[Node, List[Optional[Node]]] = {}
        for node in self.nodes():
            for entry in node.inputs:
                users.setdefault(entry.node, []).append(node)
        for head in self.heads:
            users.setdefault(head.node, []).append(None)
        return users


def operators_named(text: str) -> List[str]:
    """The operators that a symbol's JSON names, those within fused ones and those that no output needs among them.

    For JSON of unknown origin: MXNet looks at all of them when it reads the symbol. Raises KeyError, TypeError,
    ValueError or RecursionError where it is none.
    """

    def named(content: Mapping[str, Any]) -> List[str]:
        parts = (part for node in content["nodes"] for part in node.get("subgraphs", ()))
        return [str(node["op"]) for node in content["nodes"]] + [name for part in parts for name in named(part)]

    return named(json.loads(text))
