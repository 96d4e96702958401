"""What the passes of `optimize` change."""

from dataclasses import dataclass
from typing import Callable, Dict, Tuple, Union

import numpy as np
from mxnet import nd

from ..graph import Current, Entry, Graph, Node, Shape, free_name, infer_shapes

__all__ = ["Plan"]


@dataclass
class Plan:
    """A graph in the making.

    Attributes
    ----------
    graph : Graph
        Its input is the variable `data`.
    arrays : dict of str -> NDArray
        Values of its other variables, by name. Passes add those of weights that they make.
    size : (int, int)
        Height and width of most images to come, in pixels: what pays is decided for them.
    """

    graph: Graph
    arrays: Dict[str, nd.NDArray]
    size: Tuple[int, int] = (512, 512)
    channels: int = 3  # of images

    def __post_init__(self):
        self._shapes = Current(self._infer)
        self._made: Dict[str, str] = {}

    def shape(self, entry: Entry) -> Shape:
        """What the graph as it is now gives there, for one image of `size`; inferred anew after each change, so ask
        before changing where there is a choice."""
        return self._shapes.get()[entry]

    def has_weights(self, node: Node) -> bool:
        """Whether the node's inputs but the first are variables of known values."""
        return all(entry.node.name in self.arrays for entry in node.inputs[1:])

    def constant(self, key: str, make: Callable[[], Union[np.ndarray, nd.NDArray]]) -> Entry:
        """The variable that was made for `key`, or else a new one, of what `make` gives.

        An NDArray is taken as it is, other values become float32. The variable is called as its key, if no parameter
        of the network is.
        """
        if key not in self._made:
            name, values = free_name(key, self.arrays), make()
            self.arrays[name] = values if isinstance(values, nd.NDArray) else nd.array(values, dtype="float32")
            self._made[key] = name
        return self.graph.variable(self._made[key])

    def _infer(self) -> Dict[Entry, Shape]:
        arrays = {name: array.shape for name, array in self.arrays.items()}
        return infer_shapes(self.graph, {**arrays, "data": (1, self.channels, *self.size)})
