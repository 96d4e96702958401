"""Graphs that only ever run forward: inside the scope, bricks take the form that is fastest then."""

import contextlib
import threading
from typing import Any, Dict, Iterator, Optional

from ..errors import MXNetSegError
from ..plugins import reason

__all__ = ["forward_only", "inference_constants", "inference_graph", "runs_forward_only", "tracing"]

_scope = threading.local()


@contextlib.contextmanager
def inference_graph() -> Iterator[Dict[str, Any]]:
    """Inside, calling a network with a Symbol builds a graph for inference alone.

    Gives the arrays (by variable name) that the graph has besides the network's parameters: weights that bricks
    have computed from theirs. The network itself stays as it is.
    """
    before = inference_constants()
    _scope.constants = {}
    try:
        yield _scope.constants
    finally:
        _scope.constants = before


def inference_constants() -> Optional[Dict[str, Any]]:
    """What `inference_graph` gave, to be added to; None outside of it."""
    return getattr(_scope, "constants", None)


@contextlib.contextmanager
def tracing() -> Iterator[None]:
    """Inside, a network is called with a symbol; where it can't be, that is an MXNetSegError which says so."""
    try:
        yield
    except MXNetSegError:
        raise
    except Exception as err:  # a network is anybody's code
        raise MXNetSegError(
            f"the network can't be traced ({reason(err)}): it must be a HybridBlock whose hybrid_forward works with "
            "symbols, which have neither shape nor values"
        ) from err


@contextlib.contextmanager
def forward_only(holds: bool = True) -> Iterator[None]:
    """Inside, operators may be taken whose gradient MXNet gets wrong; else the network is as it was written."""
    before = getattr(_scope, "forward", False)
    _scope.forward = holds
    try:
        yield
    finally:
        _scope.forward = before


def runs_forward_only() -> bool:
    """Whether this is within `forward_only` or `inference_graph`."""
    return getattr(_scope, "forward", False) or inference_constants() is not None
