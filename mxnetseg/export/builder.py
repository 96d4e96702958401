"""A graph of MXNet's as ONNX nodes, without the package onnx."""

import itertools
from collections import Counter
from typing import Any, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from mxnet import nd

from ..errors import MXNetSegError
from ..graph import OPERATORS, VARIABLE, Entry, Graph, Node, known, operator_name
from ..graph.onnx_rules import NO_FORM
from ..graph.onnx_step import Free, Shape, Step, Value

__all__ = ["Builder", "OnnxNode", "require_rules", "translate"]


class OnnxNode(NamedTuple):
    op: str
    name: str
    inputs: Tuple[str, ...]
    outputs: Tuple[str, ...]
    attributes: Mapping[str, Any]


class Builder:
    """Nodes in the order they run, and constants. It is the `Emitter` of the rules.

    `reserved` are names of the file's inputs and outputs, which nothing else may have.
    """

    def __init__(self, reserved: Iterable[str] = ()) -> None:
        self.nodes: List[OnnxNode] = []
        self.constants: Dict[str, np.ndarray] = {}
        self._made: Dict[Any, Any] = {}
        self._taken: Counter = Counter(reserved)
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


def require_rules(graph: Graph) -> None:
    """Raise MXNetSegError where an operator of the graph can't be written."""
    for node in graph.operators():
        op = operator_name(node)
        if known(node).onnx is None and not _is_constant(node):
            about = "it gives random numbers" if "random" in op or op.startswith("_sample") else NO_FORM.get(node.op)
            why = f"has no form in ONNX ({about})" if about else "can't be written as ONNX"
            raise MXNetSegError(
                f"{node.name}: MXNet's operator {op} {why}; build the layer of other operators "
                "(mxnetseg.graph.onnx_rules.RULES has their names)"
            )


def _is_constant(node: Node) -> bool:
    """What MXNet makes of attributes alone."""
    return node.op in OPERATORS and not node.inputs


def translate(
    builder: Builder, graph: Graph, image: str, arrays: Mapping[str, nd.NDArray], shapes: Mapping[Entry, Shape]
) -> Dict[Entry, str]:
    """Write the graph's operators, by the rules of `mxnetseg.graph.onnx_rules`.

    Parameters
    ----------
    image : str
        The value that becomes the graph's "data".
    arrays : mapping
        The values of its other variables.
    shapes : mapping
        As `shapes.shapes` gives them.

    Returns
    -------
    dict
        The names of what the outputs of the graph's nodes have become.

    Raises
    ------
    MXNetSegError
        There is no rule for an operator, or none for its attributes.
    """
    require_rules(graph)
    values: Dict[Entry, Value] = {}
    for node in graph.nodes():
        rule = known(node).onnx
        if node.op == VARIABLE:
            is_image = node.name == "data"
            written: Any = image if is_image else builder.weight(node.name, arrays[node.name].asnumpy())
        elif rule is None:
            made = getattr(nd._internal, node.op)(**node.attrs).asnumpy()
            written = builder.weight(node.name, made.astype(np.float32))
        else:
            results = [shapes[entry] for entry in _outputs(node, shapes)]
            written = rule(Step(node, values, results, builder))
        for entry, name in zip(_outputs(node, shapes), [written] if isinstance(written, str) else written):
            values[entry] = Value(name, shapes[entry])
            if node.op != VARIABLE or node.name == "data":
                builder.seen(name, shapes[entry])
    return {entry: value.name for entry, value in values.items()}


def _outputs(node: Node, shapes: Mapping[Entry, Shape]) -> Iterator[Entry]:
    return itertools.takewhile(shapes.__contains__, (Entry(node, index) for index in itertools.count()))
