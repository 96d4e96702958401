"""What a network is to code that only uses it, whatever it was made by."""

from typing import Any, Dict, List, Optional, Protocol, runtime_checkable

import mxnet as mx
import numpy as np
from mxnet import nd
from mxnet.gluon import Block

from .errors import MXNetSegError
from .turn import in_turn

__all__ = [
    "ForeignNetwork",
    "GluonNetwork",
    "Network",
    "as_network",
    "channels_of",
    "check_input",
    "check_size",
    "contexts_of",
    "is_count",
]

MOST_CLASSES = 256  # that uint8 tells apart


@runtime_checkable
class Network(Protocol):
    """A network to infer with: x (N, 3, H, W) float32 -> logits (N, num_classes, H, W), at any size.

    Attributes
    ----------
    spec : dict
        The arguments of `mxnetseg.create_model` that build it again; empty for what that can't build.
    record
        What its checkpoint says of it; None for a network that comes from none.
    align_corners : bool
        How coarse logits are resized to the size of x.
    contexts : list of mxnet.Context
        Where it can be called: those that hold its parameters.
    """

    spec: Dict[str, Any]
    record: Any
    align_corners: bool

    @property
    def contexts(self) -> List[mx.Context]:
        """The contexts that hold its parameters."""

    def __call__(self, x: Any) -> Any: ...

    def coarse_logits(self, x: Any) -> Any:
        """Logits (N, num_classes, h, w) before they are resized to the size of x."""

    def class_map(self, x: nd.NDArray) -> nd.NDArray:
        """(N, H, W) uint8: the class of the greatest logit of every pixel."""


@runtime_checkable
class GluonNetwork(Network, Protocol):
    """A network that can be traced: called with a Symbol, it gives one, whose inputs are its parameters."""

    def collect_params(self) -> Any: ...


class ForeignNetwork:
    """A Gluon block that was not made here, or any function, as a network.

    Parameters
    ----------
    block : HybridBlock or callable
        Maps (N, 3, H, W) to logits (N, num_classes, H, W).
    align_corners : bool
        Logits of another size are resized so, but in a call.
    num_classes : int, optional
        How many it must have: those of the data set that it is scored on. Any when left out.
    """

    def __init__(self, block: Any, align_corners: bool = False, num_classes: Optional[int] = None):
        self.block = block
        self.num_classes = num_classes
        self.spec: Dict[str, Any] = {}
        self.record: Any = None
        self.align_corners = align_corners

    @property
    def contexts(self) -> List[mx.Context]:
        """Those of the block; cpu(0) for a plain function."""
        return contexts_of(self.block) if isinstance(self.block, Block) else [mx.cpu()]

    @in_turn
    def __call__(self, x: Any) -> Any:
        """What the block gives. Raises MXNetSegError where that is not logits, or not of `num_classes`."""
        logits = self.block(x)
        if isinstance(x, nd.NDArray):
            self._check(logits, x)
        return logits

    def coarse_logits(self, x: Any) -> Any:
        """The logits; which of the block's last operators resize them isn't known."""
        return self(x)

    @in_turn
    def class_map(self, x: nd.NDArray) -> nd.NDArray:
        """(N, H, W) uint8: the class of the greatest logit of every pixel.

        Raises
        ------
        MXNetSegError
            More than 256 classes.
        """
        logits = self(x)
        if logits.shape[1] > MOST_CLASSES:
            raise MXNetSegError(
                f"{logits.shape[1]} classes do not fit a uint8 class map, at most {MOST_CLASSES} do; "
                "take the argmax of the network's logits instead"
            )
        height, width = x.shape[2:]
        if logits.shape[2:] != (height, width):
            logits = nd.contrib.BilinearResize2D(logits, height=height, width=width, align_corners=self.align_corners)
        return nd.argmax(logits, axis=1).astype("uint8")

    def collect_params(self) -> Any:
        """As the block's; MXNetSegError for a function, which has none."""
        if not isinstance(self.block, Block):
            raise MXNetSegError(f"{self!r} has no parameters to optimize: it is a function; take a HybridBlock")
        return self.block.collect_params()

    def _check(self, logits: Any, x: nd.NDArray) -> None:
        if not isinstance(logits, nd.NDArray):
            kind = type(logits)
            what = "None" if logits is None else f"a {kind.__module__}.{kind.__name__}".replace("builtins.", "")
        elif logits.ndim != 4 or logits.shape[0] != x.shape[0]:
            what = f"an array of shape {logits.shape}"
        elif self.num_classes not in (None, logits.shape[1]):
            raise MXNetSegError(
                f"the network gives logits of {logits.shape[1]} classes, {self.num_classes} are wanted: those of the "
                "data set; take the data set that it was trained on"
            )
        else:
            return
        raise MXNetSegError(
            f"the network gives {what} for images {x.shape}; it has to give logits, (N, num_classes, H, W), as an "
            "mxnet.nd.NDArray"
        )

    def __repr__(self) -> str:
        return f"ForeignNetwork({getattr(self.block, 'name', self.block)})"


def as_network(net: Any) -> Network:
    """`net` itself if it is a network; a plain HybridBlock, or another function, wrapped.

    Raises
    ------
    MXNetSegError
        It is neither, or a network without values.
    """
    if isinstance(net, Network):
        return net
    if callable(net):
        return ForeignNetwork(net)
    raise MXNetSegError(
        "a network is what mxnetseg.create_model, mxnetseg.load or mxnetseg.deploy.optimize gives, or a HybridBlock "
        f"that maps (N, 3, H, W) to logits (N, num_classes, H, W); this is a {type(net).__name__}"
    )


def contexts_of(block: Block) -> List[mx.Context]:
    """The contexts that hold the parameters of `block`; cpu(0) where it has none.

    Raises
    ------
    MXNetSegError
        A parameter has no values.
    """
    contexts = [mx.cpu()]
    for name, parameter in block.collect_params().items():
        try:
            contexts = parameter.list_ctx()
        except RuntimeError as err:
            raise MXNetSegError(
                f"parameter {name} has no values yet; initialize the network or load its weights"
            ) from err
    return contexts


def channels_of(net: Any) -> int:
    """How many channels the images of a network have; 3 where it doesn't say."""
    return int(getattr(net, "spec", {}).get("in_channels", 3))


def check_size(size: Any) -> None:
    """Raise MXNetSegError unless `size` is the height and width of an image, in pixels."""
    whole = isinstance(size, (list, tuple)) and len(size) == 2 and all(map(is_count, size))
    if not whole:
        raise MXNetSegError(f"size={size!r}: must be the height and width of images in pixels, e.g. (512, 1024)")


def is_count(value: Any) -> bool:
    """Whether it is a whole number, 1 or more."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and bool(value >= 1)


def check_input(x: nd.NDArray, least: int = 1, channels: int = 3) -> None:
    """Raise MXNetSegError unless x is a batch (N, channels, H, W) that is not empty, with sides of `least` pixels and
    more."""
    if x.ndim != 4 or x.shape[1] != channels or 0 in x.shape:
        what = "RGB images" if channels == 3 else f"images of {channels} channels"
        raise MXNetSegError(f"the network takes a batch of {what}, (N, {channels}, H, W); got shape {x.shape}")
    if min(x.shape[2:]) < least:
        raise MXNetSegError(
            f"the network takes images of {least}x{least} pixels and more, because of its backbone; got shape "
            f"{x.shape}. Pad or enlarge them"
        )
