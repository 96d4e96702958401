"""A network as a list of operators with fixed sizes: what passes from MXNet's Python to the peers'."""

import json
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Tuple

import numpy as np

__all__ = ["Node", "Plan"]


class Node(NamedTuple):
    """An operator.

    `inputs` are names of nodes, `arrays` the names of its weights by their role; `shape` is that of its only output.
    The node of operator "input" is the image; "constant" is its array "value".
    """

    name: str
    op: str
    inputs: List[str]
    arrays: Dict[str, str]
    attrs: Dict[str, Any]
    shape: Tuple[int, ...]


class Plan(NamedTuple):
    """Nodes in the order they run, the last one gives the logits; weights by name."""

    nodes: List[Node]
    arrays: Dict[str, np.ndarray]

    def save(self, path) -> None:
        """Write `path`.json and `path`.npz."""
        path = Path(path)
        path.with_suffix(".json").write_text(json.dumps([node._asdict() for node in self.nodes]), encoding="utf-8")
        np.savez(path.with_suffix(".npz"), **self.arrays)

    @classmethod
    def load(cls, path) -> "Plan":
        path = Path(path)
        nodes = [
            Node(**dict(node, shape=tuple(node["shape"])))
            for node in json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        ]
        with np.load(path.with_suffix(".npz")) as arrays:
            return cls(nodes, dict(arrays))
