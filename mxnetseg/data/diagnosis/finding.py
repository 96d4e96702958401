"""One thing that a diagnosis has to say."""

from typing import NamedTuple, Optional, Tuple

__all__ = ["Finding"]


class Finding(NamedTuple):
    """What is wrong, where, how much of it, and what to do about it.

    Attributes
    ----------
    kind : str
        One of those in docs/data.md, "shifted" say.
    grave : bool
        A run would learn or score something else than was meant; others are worth knowing.
    what, remedy : str
        For people; `what` names the split.
    files : tuple of str
    values : tuple of int
        Label values.
    share : float or None
        0 to 1, of what `what` says.
    """

    kind: str
    grave: bool
    what: str
    remedy: str = ""
    files: Tuple[str, ...] = ()
    values: Tuple[int, ...] = ()
    share: Optional[float] = None

    def __str__(self) -> str:
        return f"{self.what}; {self.remedy}" if self.remedy else self.what
