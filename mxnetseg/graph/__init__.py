"""A network's symbol as nodes, and what is known of their operators: what deploy, FLOPs and export read."""

from .costs import Call
from .inputs import INPUT, free_name, with_input
from .operators import ALL, FIRST, NONE, OPERATORS, Operator, is_relu, keeps_size_3x3, known, operator_name, sees
from .pieces import Piece, in_pieces, numbers_held
from .shapes import Shape, infer_shapes, wrong_reshape
from .symbol import VARIABLE, Current, Entry, Graph, Node, operators_named

__all__ = [
    "ALL",
    "FIRST",
    "INPUT",
    "NONE",
    "OPERATORS",
    "VARIABLE",
    "Call",
    "Current",
    "Entry",
    "Graph",
    "Node",
    "Operator",
    "Piece",
    "Shape",
    "free_name",
    "in_pieces",
    "infer_shapes",
    "is_relu",
    "keeps_size_3x3",
    "known",
    "numbers_held",
    "operator_name",
    "operators_named",
    "sees",
    "with_input",
    "wrong_reshape",
]
