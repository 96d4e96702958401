"""A graph and its weights, called like the network they were made of."""

import logging
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Dict, List, Mapping, Tuple, Union

import mxnet as mx
from mxnet import autograd, nd

from ..context import Contexts, as_contexts
from ..engine import checkpoint
from ..engine.checkpoint import Checkpoint
from ..errors import MXNetSegError
from ..network import Network, channels_of, check_input
from ..ops import upsample_argmax, upsample_taps
from ..ops.upsample import serves_taps
from ..plugins import reason
from ..turn import in_turn
from . import saved
from .int8 import input_range
from .pages import Array, done_with, on_pages

__all__ = ["DeployedNetwork", "load"]

log = logging.getLogger(__name__)
FAR = 2  # times the calibrated range
SMALL = 64  # pixels: below that some networks have nothing left to convolve


class DeployedNetwork:
    """What `optimize` returns: x (N, 3, H, W) -> logits (N, num_classes, H, W) float32, for inference alone.

    H and W may change from call to call. Several threads may call it; they take turns in queueing the work, which
    MXNet's engine then does. Never records gradients.

    Attributes
    ----------
    dtype : str
    symbol : mxnet.symbol.Symbol
        The graph; its input is `data`, its output the logits before the last resize, where the network has one.
    spec, record, align_corners, contexts
        Those of the network it was made of.
    """

    def __init__(self, symbol: mx.sym.Symbol, arrays: Mapping[str, Array], dtype: str, net: Network):
        self.dtype = dtype
        self.symbol = symbol
        self.spec = dict(net.spec)
        self.record = net.record
        self.align_corners = net.align_corners
        self.contexts: List[mx.Context] = list(net.contexts)
        self._inputs = symbol.list_inputs()
        # no one else's: the network they come from may train on
        self._arrays, self._pages = on_pages(symbol, arrays)
        self._planned: Dict[mx.Context, Tuple[int, ...]] = {}  # the images that the graph is planned for
        if self._pages:
            weakref.finalize(self, done_with, self._pages).atexit = False
        # Planned once per size, and not only for speed: without `static_shape` MXNet makes the fused operators anew in
        # every call, and each time they bring their weights into oneDNN's layout.
        flags = [("static_alloc", True), ("static_shape", True), ("data_indices", []), ("param_indices", [])]
        for index, name in enumerate(self._inputs):
            flags[2 if name == "data" else 3][1].append(index)
        self._graph = nd.CachedOp(symbol, flags)
        self._unchecked_range = input_range(symbol)
        self._weights = {context: self._place(context) for context in self.contexts}

    @property
    def arrays(self) -> Dict[str, nd.NDArray]:
        """Copies of its weights by name, on the CPU."""
        copies = {name: array.copy() for name, array in self._arrays.items()}
        nd.waitall()
        self._give_back()
        return copies

    @in_turn
    def __call__(self, x: nd.NDArray) -> nd.NDArray:
        with autograd.pause(train_mode=False):
            x = x.astype("float32", copy=False)
            logits = self.coarse_logits(x)
            height, width = x.shape[2:]
            if logits.shape[2:] == (height, width):
                return logits
            if serves_taps():  # faster than MXNet's
                return upsample_taps(nd, logits, x, kernel=1, align_corners=self.align_corners, add=False)
            return nd.contrib.BilinearResize2D(logits, height=height, width=width, align_corners=self.align_corners)

    @in_turn
    def class_map(self, x: nd.NDArray) -> nd.NDArray:
        """(N, H, W) uint8: the class of the greatest logit of every pixel, without logits at full resolution."""
        with autograd.pause(train_mode=False):
            logits = self.coarse_logits(x)
            height, width = x.shape[2:]
            return upsample_argmax(nd, logits, height=height, width=width, align_corners=self.align_corners)

    @in_turn
    def coarse_logits(self, x: nd.NDArray) -> nd.NDArray:
        """Logits (N, num_classes, h, w) before the last resize, which `align_corners` says how to do.

        Raises MXNetSegError where the images are elsewhere, or of a size that the network can't take.
        """
        logits = self.unchecked_logits(x)
        self._check_range(x)
        return logits

    def unchecked_logits(self, x: nd.NDArray) -> nd.NDArray:
        """The same of what is no picture: the warning of images that int8 was not calibrated for is kept for these."""
        check_input(x, channels=channels_of(self))
        if x.context not in self._weights:
            there = ", ".join(map(str, self.contexts))
            raise MXNetSegError(
                f"the network was optimized for {there}, the images are on {x.context}; copy them there"
            )
        weights = self._weights[x.context]
        x = x.astype("float32", copy=False)
        with autograd.pause(train_mode=False):
            try:
                return self._forward(x, [x if name == "data" else weights[name] for name in self._inputs])
            except mx.MXNetError as err:  # a network of others may take some sizes only
                small = ", which may be too small (pad or enlarge them)" if min(x.shape[2:]) < SMALL else ""
                raise MXNetSegError(f"{self!r} can't take images {x.shape}{small}: {reason(err)}") from err

    def _forward(self, x: nd.NDArray, inputs: List[nd.NDArray]) -> nd.NDArray:
        logits = self._graph(*inputs)
        if self._pages and self._planned.get(x.context) != x.shape:
            # weights were read for these images, and won't be for more of them
            logits.wait_to_read()
            self._give_back()
            self._planned[x.context] = x.shape
        return logits

    def _give_back(self) -> None:
        if self._pages:
            self._pages.give_back()

    def save(self, path: Union[str, Path], *, overwrite: bool = False) -> None:
        """Keep it in a file, NAME.optimized, so that its making, and the calibration of int8, is done once.

        `load` below, `mxnetseg.load` and whatever takes a checkpoint open the file; docs/deploy.md says where it can
        be used.

        Raises
        ------
        MXNetSegError
            The file is there already, has another ending or can't be written; the network gives NaN or infinity.
        """
        saved.write(path, self, self._arrays, overwrite)
        self._give_back()

    def __repr__(self) -> str:
        spec = self.spec
        return f"DeployedNetwork({spec.get('name', 'network')} on {spec.get('backbone', '?')}, {self.dtype})"

    def _check_range(self, x: nd.NDArray) -> None:
        """Of the first images alone: it has to wait for them."""
        calibrated, self._unchecked_range = self._unchecked_range, None
        if calibrated is None:
            return
        greatest = float(x.abs().max().asscalar())
        if greatest > FAR * calibrated:
            log.warning(
                "int8: the images reach %.3g, those it was calibrated on %.3g; what is beyond is cut off. Are they "
                "normalized the same way?",
                greatest,
                calibrated,
            )

    def _place(self, context) -> Dict[str, nd.NDArray]:
        return {name: array.as_in_context(context) for name, array in self._arrays.items()}


def load(path: Union[str, Path, Checkpoint], ctx: Contexts = None) -> DeployedNetwork:
    """The network that `DeployedNetwork.save` wrote, on one CPU context or several (cpu() when left out).

    Raises
    ------
    MXNetSegError
        The file is damaged or something else, a context is no CPU, or the graph can't run here or computes something
        else than where it was made: another MXNet, no operator library, another kind of processor.
    """
    contexts = as_contexts("cpu" if ctx is None else ctx, "ctx")
    elsewhere = [context for context in contexts if context.device_type != "cpu"]
    if elsewhere:
        raise MXNetSegError(f"optimized networks are for CPUs, not for {elsewhere[0]}: say --ctx cpu, or ctx='cpu'")
    found = path if isinstance(path, Checkpoint) else checkpoint.read(path)
    facts, symbol, weights = saved.read(found)
    spec = found.record.model.arguments() if found.record.model else {}
    made_of = SimpleNamespace(spec=spec, record=found.record, align_corners=facts.align_corners, contexts=contexts)
    net = DeployedNetwork(symbol, weights, facts.dtype, made_of)
    saved.check_answer(net, found)
    return net
