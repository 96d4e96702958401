"""Progress bars: on a terminal or in a notebook, never in a file or a pipe."""

import sys
from typing import Any

from tqdm import tqdm

__all__ = ["progress_bar"]


def progress_bar(iterable: Any = None, *, shown: bool = True, leave: bool = False, **look: Any) -> Any:
    """A bar of tqdm on standard error, which stays at its end if `leave`; none where nobody would see it move."""
    seen = shown and (sys.stderr.isatty() or "ipykernel" in sys.modules)
    return tqdm(iterable, disable=not seen, leave=leave, **look)
