"""Other toolkits' checkpoints become ours: one table of names per source."""

from .pth import read_pth
from .state import load_state

__all__ = ["load_state", "read_pth"]
