"""How long processes wait for one another."""

import os
from typing import Tuple

from ..errors import MXNetSegError

__all__ = ["deadlines"]


def deadlines() -> Tuple[float, float]:
    """Seconds of silence that are borne, and seconds until all must have come."""
    return _seconds("MXNETSEG_DEADLINE", 30), _seconds("MXNETSEG_START_DEADLINE", 300)


def _seconds(name: str, usual: float) -> float:
    text = os.environ.get(name) or str(usual)
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds < 1e6:
        raise MXNetSegError(f"{name}={text}: write seconds, more than 0")
    return seconds
