"""Activations that the backward pass computes again, instead of keeping them (`train.checkpoint`).

The network's graph is cut into pieces. The forward pass keeps what they take from one another. The backward pass goes
from the last piece to the first, and computes what is within each once more. Source: Chen et al., Training Deep Nets
with Sublinear Memory Cost, 2016.
"""

from collections import Counter
from itertools import zip_longest
from typing import Any, Container, Dict, List, NamedTuple, Sequence, Set, Tuple, Union

import mxnet as mx
import numpy as np
from mxnet import autograd, nd

from ..graph import Graph, in_pieces
from ..models import Segmentor

__all__ = ["Recompute"]

Arrays = Dict[str, nd.NDArray]
Outputs = Union[nd.NDArray, List[nd.NDArray]]
RANDOM = ("Dropout", "random", "sample")  # within names of operators that draw numbers


class _Piece(NamedTuple):
    call: Any  # CachedOp
    inputs: List[str]
    outputs: List[str]


class Recompute:
    """A network's training pass in pieces.

    Parameters
    ----------
    net : Segmentor
    coarse : bool
        Logits before their last resize, for criteria that resize them.
    """

    def __init__(self, net: Segmentor, coarse: bool):
        self._net = net
        self._coarse = coarse
        self._parameters = dict(net.collect_params().items())
        self._traced_for: Any = None
        self._cut_for: Any = None
        self._pieces: List[_Piece] = []
        self._outputs: List[Sequence[List[nd.NDArray]]] = []  # of every piece, by context, for one step after another
        self._kept: List[Arrays] = []

    def __call__(self, images: Sequence[nd.NDArray], seed: int, frozen: Container[str] = ()) -> List[Outputs]:
        """What the network gives for images (N, C, H, W), one batch a context; to be called while recording.

        `seed` is dropout's. What is `frozen` decides which statistics stand still; another set is another graph, and
        so it is where gradients begin to add up.
        """
        traced_for = frozen, any(one.grad_req == "add" for one in self._parameters.values())
        if self._traced_for != traced_for:
            # its operators are for images of this size, as those of a hybridized network are from its first call on
            self._symbol = self._net.training_graph(self._coarse, images[0])
            self._traced_for, self._cut_for = traced_for, None
        cut_for = [(one.context, one.shape) for one in images]
        if self._cut_for != cut_for:
            self._cut(images[0].shape)
            self._outputs = [() for _ in self._pieces]
            self._cut_for = cut_for
        seeds = np.random.SeedSequence(seed).generate_state(len(self._pieces))
        self._seeds = [int(one) >> 1 for one in seeds] if self._random else []
        self._kept = [{"data": one} for one in images]
        with autograd.pause(train_mode=True):
            for number, piece in enumerate(self._pieces[:-1]):
                self._outputs[number] = self._run(number, self._kept, self._outputs[number])
                for kept, outputs in zip(self._kept, self._outputs[number]):
                    kept.update(zip(piece.outputs, outputs))
                nd.waitall()  # else the next piece takes more memory before this one has freed its own
        self._gradients: List[Arrays] = [{} for _ in images]
        self._taken, outputs = self._recorded(len(self._pieces) - 1)
        return [one[0] if len(one) == 1 else one for one in outputs]

    def backward(self) -> None:
        """Go on with the backward pass, from what the last piece took to the parameters of the first."""
        self._collect()
        for number in reversed(range(len(self._pieces) - 1)):
            names = self._pieces[number].outputs
            if names[0] in self._gradients[0]:
                with autograd.record():
                    self._taken, outputs = self._recorded(number)
                heads = [array for arrays in outputs for array in arrays]
                autograd.backward(heads, [gradients.pop(name) for gradients in self._gradients for name in names])
                del outputs, heads
                self._collect()
        for kept, gradients in zip(self._kept, self._gradients):
            for name in self._shared & gradients.keys():
                gradient = self._parameters[name].grad(kept["data"].context)
                gradient[:] = gradients[name] + (gradient if self._parameters[name].grad_req == "add" else 0)
        self._kept = []

    def _cut(self, shape: Sequence[int]) -> None:
        graph = Graph(self._symbol)
        self._random = any(word in node.op for node in graph.operators() for word in RANDOM)
        self._pieces = []
        for part, outputs in in_pieces(graph, {"data": tuple(shape)}):
            symbol = part.symbol()
            self._pieces.append(_Piece(nd.CachedOp(symbol), symbol.list_inputs(), outputs))
        uses = Counter(name for piece in self._pieces for name in piece.inputs)
        # a pass writes a parameter's gradient; those of several pieces are added up here
        self._shared = {name for name, count in uses.items() if count > 1 and name in self._parameters}

    def _run(
        self, number: int, given: Sequence[Arrays], into: Sequence[List[nd.NDArray]] = ()
    ) -> List[List[nd.NDArray]]:
        """The outputs of a piece, for every context; written to the arrays of `into`, if there are any."""
        if self._seeds:
            mx.random.seed(self._seeds[number])
        piece, results = self._pieces[number], []
        for arrays, out in zip_longest(given, into):
            context = arrays["data"].context
            inputs = [arrays[name] if name in arrays else self._parameters[name].data(context) for name in piece.inputs]
            outputs = piece.call(*inputs, out=out)
            results.append(list(outputs) if isinstance(outputs, (list, tuple)) else [outputs])
        return results

    def _recorded(self, number: int) -> Tuple[List[Arrays], List[List[nd.NDArray]]]:
        """What a piece takes, with room for the gradients of what learns, and its outputs."""
        learning = self._learning()
        taken: List[Arrays] = []
        for kept in self._kept:
            given = {name: self._parameters[name].data(kept["data"].context) for name in self._shared}
            given.update(kept)
            taken.append({name: given[name].detach() for name in self._pieces[number].inputs if name in learning})
            for array in taken[-1].values():
                array.attach_grad()
        return taken, self._run(number, [{**kept, **own} for kept, own in zip(self._kept, taken)])

    def _collect(self) -> None:
        """Add up the gradients of what the last recorded piece took, and wait until its memory is free."""
        for gradients, taken in zip(self._gradients, self._taken):
            for name, array in taken.items():
                gradients[name] = gradients[name] + array.grad if name in gradients else array.grad
        self._taken = []
        nd.waitall()

    def _learning(self) -> Set[str]:
        """Whose gradients are collected here: what depends on parameters that learn, and shared ones of these."""
        found = {name for name, parameter in self._parameters.items() if parameter.grad_req != "null"}
        for piece in self._pieces:
            if found.intersection(piece.inputs):
                found.update(piece.outputs)
        return found.difference(self._parameters.keys() - self._shared)
