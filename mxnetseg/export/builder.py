"""A graph of MXNet's as ONNX nodes, without the package onnx."""

from collections import Counter
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from mxnet import nd

from ..errors import MXNetSegError
from ..graph import VARIABLE, Graph
from ..graph.onnx_rules import RULES
from ..graph.onnx_step import Free, Shape, Step, Value

__all__ = ["Builder", "OnnxNode", "translate"]


class OnnxNode(NamedTuple):
    op: str
    name: str
    inputs: Tuple[str, ...]
    outputs: Tuple[str, ...]
    attributes: Mapping[str, Any]


class Builder:
    """Nodes in the order they run, and constants. It is the `Emitter` of the rules."""

    def __init__(self) -> None:
        self.nodes: List[OnnxNode] = []
        self.constants: Dict[str, np.ndarray] = {}
        self._made: Dict[Any, Any] = {}
        self._taken: Counter = Counter()
        self._sources: Dict[Free, Tuple[str, int]] = {}

    def emit(self, near: str, op: str, inputs: Sequence[str], outputs: int, attributes: Mapping[str, Any]) -> List[str]:
        key = (op, tuple(inputs), outputs, repr(sorted(attributes.items())))
        if key not in self._made:
            name = self._free_name(near)
            names = [name] if outputs == 1 else [f"{name}_{number}" for number in range(outputs)]
            self.nodes.append(OnnxNode(op, name, tuple(inputs), tuple(names), dict(attributes)))
            self._made[key] = names
        return list(self._made[key])

    def constant(self, array: np.ndarray) -> str:
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._made:
            self._made[key] = self.weight("constant", array)
        return str(self._made[key])

    def weight(self, name: str, array: np.ndarray) -> str:
        """A constant of that name, or of one near it where that is taken."""
        name = self._free_name(name)
        self.constants[name] = array
        return name

    def source(self, size: Free) -> Optional[Tuple[str, int]]:
        return self._sources.get(size)

    def seen(self, name: str, shape: Shape) -> None:
        """Tell that the value `name` is there."""
        for axis, size in enumerate(shape):
            if isinstance(size, Free):
                self._sources.setdefault(size, (name, axis))

    def rename(self, value: str, name: str) -> None:
        """Call a node's output `name` from now on."""

        def new(names: Tuple[str, ...]) -> Tuple[str, ...]:
            return tuple(name if one == value else one for one in names)

        self.nodes = [node._replace(inputs=new(node.inputs), outputs=new(node.outputs)) for node in self.nodes]
        self._made = {}  # what it holds has the old name

    def needed(self, outputs: Iterable[str]) -> None:
        """Drop everything that the outputs do without."""
        wanted = set(outputs)
        kept = []
        for node in reversed(self.nodes):
            if wanted.intersection(node.outputs):
                kept.append(node)
                wanted.update(node.inputs)
        self.nodes = kept[::-1]
        self.constants = {name: array for name, array in self.constants.items() if name in wanted}

    def _free_name(self, name: str) -> str:
        self._taken[name] += 1
        return name if self._taken[name] == 1 else self._free_name(f"{name}.{self._taken[name] - 1}")


def translate(
    builder: Builder,
    graph: Graph,
    image: str,
    arrays: Mapping[str, nd.NDArray],
    names: Mapping[str, str],
    shapes: Mapping[str, Sequence[Shape]],
) -> Dict[str, str]:
    """Write the graph's operators, by the rules of `mxnetseg.graph.onnx_rules`.

    Parameters
    ----------
    image : str
        The value that becomes the graph's "data".
    arrays : mapping
        The values of its other variables; `names` says what they are called in the file.
    shapes : mapping
        As `shapes.shapes` gives them.

    Returns
    -------
    dict
        Name of a node of the graph -> name of the ONNX value that its first output has become.

    Raises
    ------
    MXNetSegError
        There is no rule for an operator.
    """
    values: Dict[Tuple[int, int], Value] = {}
    for node in graph.nodes():
        results = shapes[node.name]
        if node.op == VARIABLE:
            weight = node.name != "data"
            outputs = image
            if weight:
                outputs = builder.weight(names.get(node.name, node.name), arrays[node.name].asnumpy())
        elif node.op not in RULES:
            raise MXNetSegError(
                f"{node.name}: MXNet's operator {node.op} can't be written as ONNX; build the layer of other operators "
                "(mxnetseg.graph.onnx_rules.RULES has their names)"
            )
        else:
            outputs = RULES[node.op](Step(node, values, results, builder))
        for index, (name, shape) in enumerate(zip([outputs] if isinstance(outputs, str) else outputs, results)):
            values[id(node), index] = Value(name, shape)
            if node.op != VARIABLE or node.name == "data":
                builder.seen(name, shape)
    return {node.name: values[id(node), 0].name for node in graph.nodes()}
