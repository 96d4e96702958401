"""What a rule sees of the operator that it writes as ONNX nodes, and what it writes them with."""

import ast
from typing import Any, List, Mapping, NamedTuple, NoReturn, Optional, Protocol, Sequence, Tuple, TypeVar, Union

import numpy as np

from ..errors import MXNetSegError
from .symbol import Entry, Node

__all__ = ["Emitter", "Free", "Shape", "Size", "Step", "Value"]

Choice = TypeVar("Choice")


class Free(Tuple[int, ...]):
    """A size that depends on the image: what it is for each of several images. Sizes that agree for all are one."""


Size = Union[int, Free]
Shape = Tuple[Size, ...]


class Value(NamedTuple):
    """What an output of MXNet's graph has become."""

    name: str
    shape: Shape


class Emitter(Protocol):
    """Collects ONNX nodes; equal ones are one."""

    def emit(self, near: str, op: str, inputs: Sequence[str], outputs: int, attributes: Mapping[str, Any]) -> List[str]:
        """Add a node, named after the operator `near` that it is made for; the names of its outputs."""

    def constant(self, array: np.ndarray) -> str: ...

    def source(self, size: Free) -> Optional[Tuple[str, int]]:
        """A value that exists already, and the axis along which it has this size."""


class Step:
    """One operator of MXNet's graph on its way to ONNX.

    Parameters
    ----------
    node : Node
    values : mapping
        What the outputs of all nodes before this one have become.
    results : sequence of Shape
        Those of the node's outputs.
    emitter : Emitter
    """

    def __init__(self, node: Node, values: Mapping[Entry, Value], results: Sequence[Shape], emitter: Emitter):
        self.node = node
        self.results = results
        self._values = values
        self._emitter = emitter
        self.inputs = [self.value(entry).name for entry in node.inputs]
        self.shapes = [self.value(entry).shape for entry in node.inputs]

    @property
    def result(self) -> Shape:
        """The shape of the first output."""
        return self.results[0]

    def value(self, entry: Entry) -> Value:
        return self._values[entry]

    def option(self, name: str, default: Any = None) -> Any:
        """An attribute as a Python value; a text where it is none."""
        if name not in self.node.attrs:
            return default
        text = self.node.attrs[name]
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError):
            return text

    def axis(self, name: str = "axis", default: int = -1, beside: int = 0) -> int:
        """An axis of the first input, counted from the front; `beside` axes are new."""
        return int(self.option(name, default)) % (len(self.shapes[0]) + beside)

    def choice(self, name: str, allowed: Mapping[str, Choice], default: str = "") -> Choice:
        """What `allowed` has for an attribute; MXNetSegError where it has nothing."""
        value = self.node.attrs.get(name, default)
        if value not in allowed:
            self.refuse(name, value)
        return allowed[value]

    def require_channels_first(self) -> None:
        """MXNet has no other layout on a CPU."""
        self.choice("layout", dict.fromkeys(("NCW", "NCHW", "NCDHW", "None"), ""), "None")

    def refuse(self, name: str, value: Any) -> NoReturn:
        raise MXNetSegError(
            f"{self.node.name}: {self.node.op} with {name}={value} can't be written as ONNX here; build the layer "
            "another way"
        )

    # -- writing

    def emit(self, op: str, *inputs: str, **attributes: Any) -> str:
        return self._emitter.emit(self.node.name, op, inputs, 1, attributes)[0]

    def emit_several(self, outputs: int, op: str, *inputs: str, **attributes: Any) -> List[str]:
        return self._emitter.emit(self.node.name, op, inputs, outputs, attributes)

    def number(self, values: Any) -> str:
        """A float32 constant."""
        return self._emitter.constant(np.asarray(values, np.float32))

    def ints(self, *numbers: int) -> str:
        """An int64 constant of one axis."""
        return self._emitter.constant(np.asarray(numbers, np.int64))

    def table(self, numbers: np.ndarray) -> str:
        """An int64 constant of any shape."""
        return self._emitter.constant(np.asarray(numbers, np.int64))

    def sizes(self, shape: Sequence[Size]) -> str:
        """An int64 value of one axis that holds these sizes."""
        parts: List[str] = []
        known: List[int] = []
        for size in shape:
            if isinstance(size, Free):
                if known:
                    parts.append(self.ints(*known))
                    known = []
                found = self._emitter.source(size)
                if found is None:
                    self.refuse("a size that no value before it has, of its result", tuple(size))
                value, axis = found
                parts.append(self.emit("Shape", value, start=axis, end=axis + 1))
            else:
                known.append(size)
        if known or not shape:
            parts.append(self.ints(*known))
        return parts[0] if len(parts) == 1 else self.emit("Concat", *parts, axis=0)

    def as_float(self, size: Size) -> str:
        """A float32 value of shape (1,)."""
        if isinstance(size, int):
            return self.number([size])
        return self.emit("Cast", self.sizes([size]), to="float32")

    def steps(self, size: Size, dtype: str = "float32") -> str:
        """0, 1, ... size - 1."""
        if isinstance(size, int):
            return self._emitter.constant(np.arange(size, dtype=dtype))
        end = self.emit("Squeeze", self.sizes([size]), self.ints(0))
        zero, one = (self._emitter.constant(np.asarray(number, np.int64)) for number in (0, 1))
        steps = self.emit("Range", zero, end, one)
        return steps if dtype == "int64" else self.emit("Cast", steps, to=dtype)

    def filled(self, shape: Shape, number: float) -> str:
        """A float32 value of that shape that holds one number."""
        fixed = [size for size in shape if isinstance(size, int)]
        if len(fixed) == len(shape) and np.prod(fixed) <= 64:
            return self.number(np.full(fixed, number))
        return self.emit("ConstantOfShape", self.sizes(shape), value=np.asarray([number], np.float32))

    def reshape(self, x: str, before: Shape, after: Shape) -> str:
        """`x`, whose shape is `before`, with the shape `after`."""
        if before == after:
            return x
        copied = [at < len(before) and before[at] == size for at, size in enumerate(after)]
        unknown = [at for at, size in enumerate(after) if isinstance(size, Free) and not copied[at]]
        target: List[Size] = [0 if copied[at] and isinstance(size, Free) else size for at, size in enumerate(after)]
        if unknown:
            # one is what the others leave: best one that no value has yet
            new = [at for at in unknown if self._emitter.source(after[at]) is None]  # type: ignore[arg-type]
            target[(new or unknown)[0]] = -1
        return self.emit("Reshape", x, self.sizes(target))

    def transpose(self, x: str, *axes: int) -> str:
        return x if axes == tuple(range(len(axes))) else self.emit("Transpose", x, perm=list(axes))

    def swapped(self, x: str, axes: int) -> str:
        """`x` with the last two of its axes exchanged."""
        return self.transpose(x, *range(axes - 2), axes - 1, axes - 2)
