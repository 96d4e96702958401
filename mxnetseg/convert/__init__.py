"""Other toolkits' checkpoints become ours: one table of names per source. Whole files: `mxnetseg.conversion`."""

import importlib
from typing import Any

from ..foreign import read_pth
from .state import dialect_of, has_auxiliary, load_state, options_for

__all__ = ["convert_checkpoint", "dialect_of", "has_auxiliary", "load_state", "options_for", "read_pth"]


def __getattr__(name: str) -> Any:
    if name == "convert_checkpoint":  # it opens networks, so it stands above this room
        return importlib.import_module("mxnetseg.conversion").convert_checkpoint
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
