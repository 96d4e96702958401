"""Counting: every operator of the graph, by the layer that it belongs to."""

import contextlib
import itertools
import math
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple, Union

import mxnet as mx
from mxnet.gluon import Block, HybridBlock

from ..errors import MXNetSegError
from ..graph import (
    INPUT,
    OPERATORS,
    VARIABLE,
    Call,
    Entry,
    Graph,
    Node,
    Operator,
    Shape,
    free_name,
    infer_shapes,
    known,
    operator_name,
    sees,
    with_input,
)
from ..network import channels_of
from ..nn import tracing
from ..nn.norm import GroupNorm, SyncBatchNorm
from .report import Complexity, Row

__all__ = ["count"]


def count(net: HybridBlock, shape: Union[int, Tuple[int, int]] = 512, everything: bool = False) -> Complexity:
    """Count the parameters of `net` and the FLOPs of one image (1, channels, *shape) through its inference graph.

    Parameters
    ----------
    net : HybridBlock
        Initialized or not; nothing in it changes.
    shape : int or (int, int)
        Side, or height and width, in pixels.
    everything : bool
        Count all operators; when False, what mmcv counts (docs/flops.md).

    Raises
    ------
    MXNetSegError
        `shape` is not one or two positive integers, or the network can't take such an image.
    """
    height, width = _sides(shape)
    if not isinstance(net, HybridBlock):
        raise MXNetSegError(f"FLOPs are counted of a HybridBlock, not of {type(net).__name__}; give a Gluon network")
    parameters = {parameter.name: parameter for parameter in net.collect_params().values()}
    name = free_name(INPUT, parameters)
    with _labelled(net) as blocks, tracing():
        output = net(mx.sym.var(name))
    grouped = mx.sym.Group(list(output)) if isinstance(output, (list, tuple)) else output
    graph, renamed = with_input(grouped, name, parameters)
    parameters = {renamed.get(name, name): parameter for name, parameter in parameters.items()}
    shapes = infer_shapes(graph, {"data": (1, channels_of(net), height, width)})
    sizes = {name: parameter.shape for name, parameter in parameters.items() if parameter.shape is not None}
    sizes.update({entry.node.name: shape for entry, shape in shapes.items() if entry.node.op == VARIABLE})

    learnable: Dict[str, int] = {}
    statistics = 0
    for name, parameter in parameters.items():
        number = math.prod(sizes.get(name, (0,)))
        if number <= 0:
            raise MXNetSegError(
                f"parameter {name} has no shape yet and inference does not use it; run the network once, "
                "or build it with mxnetseg.create_model, before its parameters are counted"
            )
        if parameter.grad_req == "null":
            statistics += number
        else:
            learnable[name] = number

    lines = list(_folded(_lines(graph, shapes, blocks)))
    rows = [_row(line, learnable, everything) for line in lines]
    rows = [row for row in rows if row.parameters or row.flops]
    unknown = tuple(sorted({line.operator for line in lines} - set(OPERATORS)))
    return Complexity(rows + _not_run(net, learnable), statistics, (height, width), everything, unknown)


class _Line(NamedTuple):
    """An operator of the graph. `turn` tells the calls of a layer apart; `weights` are parameters among its inputs."""

    operator: str
    facts: Operator
    call: Call
    layer: str
    turn: str
    block: Optional[Block]
    weights: List[str]
    sees_image: bool


def _sides(shape) -> Tuple[int, int]:
    sides = (shape, shape) if isinstance(shape, int) else shape
    if (
        not isinstance(sides, (list, tuple))
        or len(sides) != 2
        or any(isinstance(side, bool) or not isinstance(side, int) or side < 1 for side in sides)
    ):
        raise MXNetSegError(f"shape={shape!r}: give the side or (height, width), in whole pixels from 1 on")
    return tuple(sides)


class _Namer(mx.name.NameManager):
    """Names nodes "layer|number of the call|number of the node"."""

    def __init__(self, layer: str, call: int):
        super().__init__()
        self._label = f"{layer}|{call}"
        self._made = 0

    def get(self, name, hint) -> str:
        self._made += 1
        return f"{self._label}|{self._made}"


@contextlib.contextmanager
def _labelled(net: Block) -> Iterator[Dict[str, Block]]:
    """Inside, nodes that `net` makes are named by `_Namer`; gives the blocks by structural name.

    Gluon's own names would not do: prefixes of blocks need not be nested, and a block may run twice. Attributes
    (`mx.AttrScope`) would not either: custom operators take them for arguments of theirs.
    """
    blocks: Dict[str, Block] = {"": net}
    names = {id(net): ""}

    def walk(block, path):
        for key, child in block._children.items():
            if id(child) not in names:  # a shared block goes by its first name
                names[id(child)] = name = f"{path}.{key}" if path else key
                blocks[name] = child
                walk(child, name)

    walk(net, "")
    calls = itertools.count()

    def enter(block, inputs):
        block._scope = _Namer(names[id(block)], next(calls))  # what `name_scope()` hands out

    with contextlib.ExitStack() as undo:
        for block in blocks.values():
            undo.callback(setattr, block, "_scope", block._scope)
            undo.callback(block.register_forward_pre_hook(enter).detach)
        yield blocks


def _lines(graph: Graph, shapes: Dict[Entry, Shape], blocks: Dict[str, Block]) -> List[_Line]:
    """The operators in the order they run."""
    outputs: Dict[Node, List[Shape]] = {}
    for entry, shape in shapes.items():
        outputs.setdefault(entry.node, []).append(shape)
    sees_image, lines = sees(graph), []
    for node in graph.operators():
        layer, turn = node.name.split("|")[:2] if "|" in node.name else ("", "")
        block, facts = blocks.get(layer), known(node)
        if node.op == "BatchNorm" and isinstance(block, SyncBatchNorm):
            facts = OPERATORS["_contrib_SyncBatchNorm"]  # on one device MXNet's plain operator takes its place
        call = Call(node, [shapes[entry] for entry in node.inputs], outputs[node])
        weights = [entry.node.name for entry in node.inputs if entry.node.op == VARIABLE]
        lines.append(_Line(operator_name(node), facts, call, layer, turn, block, weights, sees_image[node]))
    return lines


def _folded(lines: List[_Line]) -> Iterator[_Line]:
    """The lines, with those of our own group normalisation, which has no operator, made one."""
    groups: Dict[str, List[_Line]] = {}
    for line in lines:
        if isinstance(line.block, GroupNorm):
            groups.setdefault(line.turn, []).append(line)
    for line in lines:
        parts = groups[line.turn] if isinstance(line.block, GroupNorm) else []
        if not parts:
            yield line
        elif line is parts[-1]:
            weights = [name for part in parts for name in part.weights]
            yield line._replace(operator="GroupNorm", facts=OPERATORS["GroupNorm"], weights=weights)


def _row(line: _Line, learnable: Dict[str, int], everything: bool) -> Row:
    """What an operator costs; takes the parameters it uses first out of `learnable`."""
    parameters = sum(learnable.pop(name, 0) for name in line.weights)
    # what only sizes or weights decide (the matrices of a resize) is no layer to mmcv
    flops = line.facts.flops(line.call, everything) if everything or line.sees_image else 0
    return Row(line.layer, line.operator, line.call.outputs[0], parameters, flops)


def _not_run(net: Block, learnable: Dict[str, int]) -> List[Row]:
    """The parameters that no node used: auxiliary heads."""
    sums: Dict[str, int] = {}
    for path, parameter in net._collect_params_with_prefix().items():
        number = learnable.pop(parameter.name, 0)
        if number:
            layer = path.rpartition(".")[0]
            sums[layer] = sums.get(layer, 0) + number
    if learnable:  # known to the network's dictionary only, not as an attribute of a block
        sums[""] = sums.get("", 0) + sum(learnable.values())
    return [Row(layer, "(not run)", None, number, 0) for layer, number in sums.items()]
