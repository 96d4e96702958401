"""What a network is to those who use it: a `Segmentor`, an optimized network, or any other by way of `as_network`."""

from typing import Any, Callable, Dict, List, Protocol, runtime_checkable

from .errors import MXNetSegError

__all__ = ["ForeignNetwork", "Network", "as_network"]


@runtime_checkable
class Network(Protocol):
    """From images x (N, 3, H, W), float32 and normalized, to classes.

    Attributes
    ----------
    spec : dict
        The arguments of `mxnetseg.create_model` that build it again; empty for a foreign network.
    record : engine.record.Record or None
        Of the checkpoint it was opened from.
    align_corners : bool
        How its logits are resized to the size of x.
    contexts : list of mxnet.Context
        Where it has its parameters.
    """

    spec: Dict[str, Any]
    record: Any
    align_corners: bool

    @property
    def contexts(self) -> List[Any]: ...

    def __call__(self, x: Any) -> Any:
        """Logits (N, num_classes, H, W)."""

    def coarse_logits(self, x: Any) -> Any:
        """Logits (N, num_classes, h, w) before the last resize."""

    def class_map(self, x: Any) -> Any:
        """(N, H, W) uint8: the class of the greatest logit of every pixel."""


class ForeignNetwork:
    """Anything else that maps (N, 3, H, W) to logits, such as a HybridBlock; `align_corners`: as `Network`'s."""

    def __init__(self, forward: Callable[[Any], Any], align_corners: bool = False):
        self.block: Any = forward
        self.spec: Dict[str, Any] = {}
        self.record = None
        self.align_corners = align_corners

    @property
    def contexts(self) -> List[Any]:
        return list(self.block.collect_params().list_ctx())

    def __call__(self, x: Any) -> Any:
        return self.block(x)

    coarse_logits = __call__

    def class_map(self, x: Any) -> Any:
        return self(x).argmax(axis=1).astype("uint8")


def as_network(net: Any) -> Network:
    """A network as it is; anything else that can be called, in a ForeignNetwork.

    Raises
    ------
    MXNetSegError
        It can't be called.
    """
    if isinstance(net, Network):
        return net
    if not callable(net):
        raise MXNetSegError(f"a network is wanted, or the path of a checkpoint, not a {type(net).__name__}")
    return ForeignNetwork(net)
