"""`mxnetseg new`: a recipe for a folder of one's own, drafted from a look at it."""

from .draft import Draft, draft

__all__ = ["Draft", "draft"]
