"""A symbol as nodes that can be changed, and back."""

import json
from dataclasses import dataclass, field
from typing import Dict, Iterator, List, NamedTuple

import mxnet as mx

__all__ = ["VARIABLE", "Entry", "Graph", "Node"]

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


class Graph:
    """The nodes that the outputs `heads` need. Whoever changes a node changes what all its users get."""

    def __init__(self, symbol: mx.sym.Symbol):
        raw = json.loads(symbol.tojson(remove_amp_cast=False))
        self._about = raw.get("attrs", {})
        variables: Dict[str, Node] = {}
        nodes: List[Node] = []
        for one in raw["nodes"]:
            inputs = [Entry(nodes[source], index) for source, index, *_ in one["inputs"]]
            node = Node(one["op"], one["name"], dict(one.get("attrs", {})), inputs)
            if node.op == VARIABLE:  # one per name: that is how values are given
                node = variables.setdefault(node.name, node)
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

    def uses(self) -> Dict[int, int]:
        """How often each node's outputs are taken, by `id(node)`."""
        counts: Dict[int, int] = {}
        for entry in [*self.heads, *(entry for node in self.nodes() for entry in node.inputs)]:
            counts[id(entry.node)] = counts.get(id(entry.node), 0) + 1
        return counts

    def symbol(self) -> mx.sym.Symbol:
        """Operators whose name is taken get another: MXNet's passes go by names."""
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
