"""A symbol as nodes that can be changed, and back."""

import json
from dataclasses import dataclass, field
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np
from mxnet import nd

__all__ = ["VARIABLE", "Entry", "Graph", "Node", "Sizes", "single_user"]

VARIABLE = "null"  # the operator of inputs and parameters


class Entry(NamedTuple):
    """One output of a node."""

    node: "Node"
    index: int = 0


@dataclass(eq=False)
class Node:
    """An operator or a variable. Attributes are strings, as MXNet writes them."""

    op: str
    name: str
    attrs: Dict[str, str] = field(default_factory=dict)
    inputs: List[Entry] = field(default_factory=list)

    def flag(self, name: str, default: bool = False) -> bool:
        return self.attrs.get(name, str(default)) in ("True", "true", "1")

    def numbers(self, name: str, default: Sequence[int]) -> Tuple[int, ...]:
        if name not in self.attrs:
            return tuple(default)
        return tuple(int(number) for number in self.attrs[name].strip("()[] ").split(",") if number.strip())

    def is_relu(self) -> bool:
        return self.op == "relu" or (self.op == "Activation" and self.attrs.get("act_type") == "relu")


class Graph:
    """The nodes that the outputs `heads` need. Whoever changes a node changes what all its users get."""

    def __init__(self, symbol: mx.sym.Symbol):
        raw = json.loads(symbol.tojson(remove_amp_cast=False))
        self._about = raw.get("attrs", {})
        self._variables: Dict[str, Node] = {}
        nodes: List[Node] = []
        for one in raw["nodes"]:
            inputs = [Entry(nodes[source], index) for source, index, *_ in one["inputs"]]
            node = Node(one["op"], one["name"], dict(one.get("attrs", {})), inputs)
            if node.op == VARIABLE:  # one per name: that is how values are given
                node = self._variables.setdefault(node.name, node)
            nodes.append(node)
        self.heads = [Entry(nodes[source], index) for source, index, *_ in raw["heads"]]

    def nodes(self) -> List[Node]:
        """Every node once, behind the nodes it takes its inputs from."""
        order: List[Node] = []
        seen = set()
        stack = [(head.node, False) for head in reversed(self.heads)]
        while stack:
            node, inputs_done = stack.pop()
            if inputs_done:
                order.append(node)
            elif id(node) not in seen:
                seen.add(id(node))
                stack.append((node, True))
                stack.extend((entry.node, False) for entry in reversed(node.inputs) if id(entry.node) not in seen)
        return order

    def operators(self) -> Iterator[Node]:
        return (node for node in self.nodes() if node.op != VARIABLE)

    def constant(self, name: str, make: Callable[[], np.ndarray], arrays: Dict[str, nd.NDArray]) -> Entry:
        """The variable of that name; what `make` gives is added to `arrays` unless it is there already."""
        if name not in arrays:
            arrays[name] = nd.array(make(), dtype="float32")
        return Entry(self._variables.setdefault(name, Node(VARIABLE, name)))

    def users(self) -> Dict[int, List[Optional[Node]]]:
        """The users of each node, by `id(node)`, as often as they take an output; None: the graph's own outputs."""
        users: Dict[int, List[Optional[Node]]] = {}
        for node in self.nodes():
            for entry in node.inputs:
                users.setdefault(id(entry.node), []).append(node)
        for head in self.heads:
            users.setdefault(id(head.node), []).append(None)
        return users

    def symbol(self) -> mx.sym.Symbol:
        """Back to a symbol. Operators whose name is taken get another, because MXNet's passes go by names."""
        nodes = self.nodes()
        at = {id(node): index for index, node in enumerate(nodes)}
        taken = set()
        raw = []
        for node in nodes:
            name, number = node.name, 1
            while name in taken:
                number += 1
                name = f"{node.name}_{number}"
            taken.add(name)
            inputs = [[at[id(entry.node)], entry.index, 0] for entry in node.inputs]
            raw.append({"op": node.op, "name": name, "attrs": node.attrs, "inputs": inputs})
        content = {
            "nodes": raw,
            "arg_nodes": [index for index, node in enumerate(nodes) if node.op == VARIABLE],
            "heads": [[at[id(entry.node)], entry.index, 0] for entry in self.heads],
            "attrs": self._about,
        }
        return mx.sym.load_json(json.dumps(content))


class Sizes:
    """The shapes of what the graph's present nodes give, for an image of `size`."""

    def __init__(self, graph: Graph, arrays: Dict[str, nd.NDArray], size: Tuple[int, int]):
        internals = graph.symbol().get_internals()
        known = {name: arrays[name].shape for name in internals.list_inputs() if name in arrays}
        shapes = dict(zip(internals.list_outputs(), internals.infer_shape(data=(1, 3, *size), **known)[1]))
        self._of: Dict[int, Optional[Sequence[int]]] = {}
        names = set()
        for node in graph.nodes():
            shape = shapes.get(node.name if node.op == VARIABLE else f"{node.name}_output")
            self._of[id(node)] = None if node.name in names else shape
            names.add(node.name)

    def of(self, entry: Entry) -> Optional[Sequence[int]]:
        """None for one of several outputs, and where another node has the same name."""
        return self._of[id(entry.node)]


def single_user(node: Node, users: Dict[int, List[Optional[Node]]]) -> Optional[Node]:
    """The node's sole user, or None; one that takes the output twice counts as two."""
    found = users.get(id(node), [])
    return found[0] if len(found) == 1 else None
