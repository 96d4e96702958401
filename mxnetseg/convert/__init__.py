"""Other toolkits' checkpoints become ours: one table of names per source. Whole files: `mxnetseg.conversion`."""

from .pth import read_pth
from .state import dialect_of, has_auxiliary, load_state, options_for

__all__ = ["dialect_of", "has_auxiliary", "load_state", "options_for", "read_pth"]
