"""A network's symbol as nodes: what deploy, FLOPs and export read."""

from .symbol import VARIABLE, Entry, Graph, Node, Sizes, single_user

__all__ = ["VARIABLE", "Entry", "Graph", "Node", "Sizes", "single_user"]
