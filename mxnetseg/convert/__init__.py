"""Other toolkits' checkpoints become ours: one table of names per source."""

from .checkpoint import convert_checkpoint
from .pth import read_pth
from .state import has_auxiliary, load_state

__all__ = ["convert_checkpoint", "has_auxiliary", "load_state", "read_pth"]
