"""A graph and its weights, called like the network they were made of."""

import threading
from typing import Any, Dict, List

import mxnet as mx
from mxnet import autograd, nd

from ..errors import MXNetSegError
from ..models.segmentor import check_input
from ..ops import upsample_argmax, upsample_taps
from ..ops.upsample import serves_taps

__all__ = ["DeployedNetwork"]


class DeployedNetwork:
    """What `optimize` returns: x (N, 3, H, W) -> logits (N, num_classes, H, W) float32, for inference alone.

    H and W may change from call to call. Several threads may call it; they take turns in queueing the work, which
    MXNet's engine then does. Never records gradients.

    Attributes
    ----------
    dtype : str
    symbol : mxnet.symbol.Symbol
        The graph; its input is `data`, its output the logits before the last resize, where the network has one.
    arrays : dict of str -> NDArray
        Its weights, on the CPU. They are no one else's: the network may train on.
    spec, record, align_corners
        Those of the network it was made of.
    """

    def __init__(self, symbol: mx.sym.Symbol, arrays: Dict[str, nd.NDArray], dtype: str, net: Any, contexts):
        self.dtype = dtype
        self.symbol = symbol
        self.spec = dict(getattr(net, "spec", {}))
        self.record = getattr(net, "record", {})
        self.align_corners = getattr(net, "align_corners", False)
        self.contexts: List[mx.Context] = list(contexts)
        self._inputs = symbol.list_inputs()
        self.arrays = arrays
        # Planned once per size, and not only for speed: without `static_shape` MXNet makes the fused operators anew in
        # every call, and each time they bring their weights into oneDNN's layout.
        flags = [("static_alloc", True), ("static_shape", True), ("data_indices", []), ("param_indices", [])]
        for index, name in enumerate(self._inputs):
            flags[2 if name == "data" else 3][1].append(index)
        self._graph = nd.CachedOp(symbol, flags)
        self._weights = {context: self._place(context) for context in self.contexts}
        self._turn = threading.Lock()

    def __call__(self, x: nd.NDArray) -> nd.NDArray:
        logits = self.coarse_logits(x)
        if logits.shape[2:] == x.shape[2:]:
            return logits
        height, width = x.shape[2:]
        with autograd.pause(train_mode=False):
            if serves_taps():  # faster than MXNet's
                return upsample_taps(nd, logits, x, kernel=1, align_corners=self.align_corners, add=False)
            return nd.contrib.BilinearResize2D(logits, height=height, width=width, align_corners=self.align_corners)

    def class_map(self, x: nd.NDArray) -> nd.NDArray:
        """(N, H, W) uint8: the class of the greatest logit of every pixel, without logits at full resolution."""
        logits = self.coarse_logits(x)
        height, width = x.shape[2:]
        with autograd.pause(train_mode=False):
            return upsample_argmax(nd, logits, height=height, width=width, align_corners=self.align_corners)

    def coarse_logits(self, x: nd.NDArray) -> nd.NDArray:
        """Logits (N, num_classes, h, w) before the last resize, which `align_corners` says how to do."""
        check_input(x)
        if x.context not in self._weights:
            there = ", ".join(map(str, self.contexts))
            raise MXNetSegError(
                f"the network was optimized for {there}, the images are on {x.context}; copy them there"
            )
        weights = self._weights[x.context]
        x = x.astype("float32", copy=False)
        with self._turn, autograd.pause(train_mode=False):
            return self._graph(*(x if name == "data" else weights[name] for name in self._inputs))

    def __repr__(self) -> str:
        spec = self.spec
        return f"DeployedNetwork({spec.get('name', 'network')} on {spec.get('backbone', '?')}, {self.dtype})"

    def _place(self, context) -> Dict[str, nd.NDArray]:
        return {name: array.as_in_context(context) for name, array in self.arrays.items()}
