"""A graph in pieces, one behind the other: of each only what later pieces take need be kept."""

import math
from itertools import accumulate
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from .shapes import Shape, infer_shapes
from .symbol import VARIABLE, Entry, Graph, Node

__all__ = ["Piece", "in_pieces", "numbers_held"]

MOST = 48  # more make the most that is held hardly less


class Piece(NamedTuple):
    """Its variables are some of the whole graph's, and `outputs` of earlier pieces, by name."""

    graph: Graph
    outputs: List[str]


def in_pieces(graph: Graph, known: Mapping[str, Shape]) -> List[Piece]:
    """Cut the graph so that what is held at once is least; the last piece gives the graph's outputs.

    Held is all that pieces take from one another, and everything that is within the largest piece. Shapes of variables
    are `known` as for `infer_shapes`, which see for errors.
    """
    ends, held, _ = _cut(graph, known)
    names = {entry: f"held:{number}" for number, entry in enumerate(held)}
    return [_piece(graph, begin, end, names) for begin, end in zip([0, *ends], ends)]


def numbers_held(graph: Graph, known: Mapping[str, Shape]) -> int:
    """How many numbers pass from one of `in_pieces` to others, or are within the largest."""
    _, held, largest = _cut(graph, known)
    return sum(held.values()) + largest


def _cut(graph: Graph, known: Mapping[str, Shape]) -> Tuple[List[int], Dict[Entry, int], int]:
    """The place behind each piece, what passes and its size, and the size of all within the largest piece."""
    nodes, shapes = graph.operators(), infer_shapes(graph, known)
    sizes = {entry: math.prod(shape) for entry, shape in shapes.items() if entry.node.op != VARIABLE}
    given = dict.fromkeys(nodes, 0)
    for entry, size in sizes.items():
        given[entry.node] += size
    upto = [0, *accumulate(given.values())]
    passing = _passing(graph, nodes)
    widths = [sum(sizes[entry] for entry in entries) for entries in passing]
    narrow = [at for at in range(1, len(nodes) - 1) if widths[at - 1] >= widths[at] <= widths[at + 1]]
    place = {node: at for at, node in enumerate(nodes)}
    made = {at: sorted((place[entry.node], sizes[entry]) for entry in passing[at]) for at in narrow}
    best: Tuple[List[int], Dict[Entry, int], int] = ([len(nodes)], {}, upto[-1])
    for count in range(2, MOST):
        cuts = _cheapest(narrow, made, upto, upto[-1] // count)
        if cuts is None:
            break
        ends = [*(cut + 1 for cut in cuts), len(nodes)]
        largest = max(upto[end] - upto[begin] for begin, end in zip([0, *ends], ends))
        through = set().union(*(passing[cut] for cut in cuts))
        held = {entry: size for entry, size in sizes.items() if entry in through}
        if _cost(held, largest) < _cost(*best[1:]):
            best = ends, held, largest
    return best


def _cost(held: Mapping[Entry, int], largest: int) -> int:
    return sum(held.values()) + 2 * largest  # of the largest the gradients, too


def _passing(graph: Graph, nodes: Sequence[Node]) -> List[Set[Entry]]:
    """For every place behind a node: which outputs, of nodes up to there, are taken behind it."""
    last: Dict[Entry, int] = {}
    for place, node in enumerate(nodes):
        last.update((entry, place) for entry in node.inputs if entry.node.op != VARIABLE)
    last.update((head, len(nodes)) for head in graph.heads)
    starting: Dict[Node, List[Entry]] = {}
    for entry in last:
        starting.setdefault(entry.node, []).append(entry)
    passing: List[Set[Entry]] = []
    for place, node in enumerate(nodes):
        before = passing[-1] if passing else set()
        passing.append({entry for entry in (*before, *starting.get(node, ())) if last[entry] > place})
    return passing


def _cheapest(
    narrow: Sequence[int], made: Mapping[int, Sequence[Tuple[int, int]]], upto: Sequence[int], most: int
) -> Optional[List[int]]:
    """Where to cut, of the `narrow` places, so that no piece gives more than `most` and what passes is least.

    None where that can't be. `made` says of what passes a place where it was made, and its size.
    """
    places = [-1, *narrow, len(upto) - 2]
    held: List[Optional[int]] = [0]  # least that passes all cuts up to here, the last of them at this place
    before = [0]
    for number, at in enumerate(places[1:], start=1):
        fresh, left, least, via = 0, list(made.get(at, ())), None, 0
        for earlier in reversed(range(number)):
            if upto[at + 1] - upto[places[earlier] + 1] > most:
                break
            while left and left[-1][0] > places[earlier]:
                fresh += left.pop()[1]
            already = held[earlier]
            if already is not None and (least is None or already + fresh < least):
                least, via = already + fresh, earlier
        held.append(least)
        before.append(via)
    if held[-1] is None:
        return None
    cuts, number = [], before[-1]
    while number:
        cuts.append(places[number])
        number = before[number]
    return cuts[::-1]


def _piece(graph: Graph, begin: int, end: int, names: Mapping[Entry, str]) -> Piece:
    """The nodes begin to end, as a graph of its own."""
    part = Graph(graph.json())
    theirs, ours = part.operators(), graph.operators()
    inside = set(theirs[begin:end])
    origin = dict(zip(theirs, ours))

    def taken(entry: Entry) -> Entry:
        if entry.node.op == VARIABLE or entry.node in inside:
            return entry
        return part.variable(names[Entry(origin[entry.node], entry.index)])

    for node in inside:
        node.inputs = [taken(entry) for entry in node.inputs]
    if end == len(ours):
        # an output of an earlier piece is passed on by an operator: a variable alone is no graph
        heads = [(head, taken(head)) for head in part.heads]
        part.heads = [
            entry if entry is head else Entry(Node("_copy", entry.node.name + "_copy", {}, [entry]))
            for head, entry in heads
        ]
        return Piece(part, [])
    given = {Entry(theirs[ours.index(entry.node)], entry.index): name for entry, name in names.items()}
    given = {entry: name for entry, name in given.items() if entry.node in inside}
    part.heads = list(given)
    return Piece(part, list(given.values()))
