"""Other toolkits' checkpoints become ours: one table of names per source."""

from .state import load_state

__all__ = ["load_state"]
