"""What one server takes on."""

from dataclasses import dataclass
from typing import Optional

from ..errors import MXNetSegError

__all__ = ["Limits"]


@dataclass(frozen=True)
class Limits:
    """Bounds of a server; requests beyond them are refused.

    Parameters
    ----------
    body : int
        Bytes of a request's body. All bodies together may have `TOGETHER` times as many.
    pixels : int
        Pixels of a picture, as its header says. All pictures together may have `TOGETHER` times as many.
    requests : int
        Requests for predictions at a time, from the first byte to the answer.
    per_client : int, optional
        The same for one address; None: any share of `requests`.
    seconds : float
        From a request's head to its answer; and of a connection on which nothing moves.
    """

    body: int = 32 << 20
    pixels: int = 1 << 24
    requests: int = 64
    per_client: Optional[int] = None
    seconds: float = 60.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and not value > 0:
                raise MXNetSegError(f"limits: {name} is {value}; a number above 0")

    @property
    def connections(self) -> int:
        """Open connections at most: those with requests, and as many again that wait or ask for something else."""
        return 2 * self.requests + 16


TOGETHER = 8
