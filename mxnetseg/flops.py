"""Parameters and FLOPs of a network, read off its inference graph: nothing is computed, no weights are needed.

The FLOPs are multiply-accumulates, counted the way of mmcv's `get_model_complexity_info`
(mmcv 1.7, mmcv/cnn/utils/flops_counter.py), because that is what the papers' tables show; docs/flops.md has the rules.
"""

import ast
import contextlib
import dataclasses
import itertools
import json
import math
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple, Union

import mxnet as mx
from mxnet.gluon import Block, HybridBlock

from .errors import MXNetSegError
from .nn.norm import GroupNorm, SyncBatchNorm

__all__ = ["Complexity", "Row", "count", "short"]

Shape = Tuple[int, ...]

# Operators that move data, or make it of a shape alone: no arithmetic worth counting.
FREE = frozenset(
    """
    Reshape Flatten transpose expand_dims squeeze Concat stack slice slice_axis SliceChannel _split_v2 Crop SwapAxis
    reverse tile repeat Pad depth_to_space space_to_depth broadcast_to broadcast_axis broadcast_like reshape_like
    slice_like take Embedding gather_nd pick one_hot im2col UpSampling Cast amp_cast amp_multicast _copy BlockGrad
    Dropout _contrib_arange_like shape_array size_array ones_like zeros_like _zeros _ones _full _arange _linspace
    """.split()  # noqa: SIM905
)
# What these put out depends on the shape of the image, not on the image.
SHAPE_ONLY = frozenset({"_contrib_arange_like", "shape_array", "size_array", "ones_like", "zeros_like"})
# These take values from their first input and only the shape of the second.
LIKE = frozenset({"broadcast_like", "reshape_like", "slice_like"})
REDUCTIONS = frozenset({"mean", "sum", "max", "min", "prod", "nansum", "nanprod", "norm", "argmax", "argmin"})
SOFTMAX = frozenset({"softmax", "softmin", "log_softmax", "SoftmaxActivation"})
TAPS = 9  # the deformable operators look at a window of 3 x 3


class Row(NamedTuple):
    """One operator of the graph, or the parameters of a layer that inference does not run.

    `layer` is the structural name, as in `save_parameters` ("" is the network itself); `output` the shape of
    the first output for a batch of one, None for what is not run; `flops` are multiply-accumulates.
    """

    layer: str
    operator: str
    output: Optional[Shape]
    parameters: int
    flops: int


@dataclasses.dataclass(frozen=True)
class Complexity:
    """What `count` found.

    Attributes
    ----------
    rows : list of Row
        In the order of the graph; every learnable number and every FLOP is in exactly one of them.
    statistics : int
        Numbers that are stored but not learned: running means and variances, frozen parameters, constants.
    shape : (int, int)
        Height and width of the image, in pixels.
    everything : bool
        Whether all operators were counted, or those that mmcv counts.
    parameters : int
        Learnable numbers, auxiliary heads included.
    flops : int
        Multiply-accumulates of one image in inference; `macs` is the same number under its exact name.
    """

    rows: List[Row] = dataclasses.field(repr=False)
    statistics: int
    shape: Tuple[int, int]
    everything: bool = False
    parameters: int = dataclasses.field(init=False)
    flops: int = dataclasses.field(init=False)

    def __post_init__(self):
        object.__setattr__(self, "parameters", sum(row.parameters for row in self.rows))
        object.__setattr__(self, "flops", sum(row.flops for row in self.rows))

    @property
    def macs(self) -> int:
        """Multiply-accumulates: another name for `flops`."""
        return self.flops

    def by_depth(self, depth: int) -> List[Row]:
        """The rows added up over the first `depth` parts of their structural names (1: backbone, head, ...)."""
        if isinstance(depth, bool) or not isinstance(depth, int) or depth < 1:
            raise MXNetSegError(f"depth={depth!r}: must be an integer from 1 on; 1 shows backbone and heads")
        sums: Dict[str, List[int]] = {}
        for row in self.rows:
            total = sums.setdefault(".".join(row.layer.split(".")[:depth]), [0, 0])
            total[0] += row.parameters
            total[1] += row.flops
        return [Row(layer, "", None, *total) for layer, total in sums.items()]

    def table(self, depth: Optional[int] = None) -> str:
        """A text table: one line per row, or per layer at `depth`."""
        from tabulate import tabulate

        rows = self.rows if depth is None else self.by_depth(depth)
        lines = []
        for row in rows:
            output = "x".join(map(str, row.output)) if row.output else ""
            share = f"{100 * row.flops / self.flops:.1f}" if self.flops else ""
            numbers = [f"{row.parameters:,}", f"{row.flops:,}", share]
            lines.append([row.layer or "(network)", *([row.operator, output] if depth is None else []), *numbers])
        headers = ["layer", *(["operator", "output"] if depth is None else []), "parameters", "FLOPs", "%"]
        aligned = ["left"] * (len(headers) - 3) + ["right"] * 3
        return tabulate(lines, headers=headers, disable_numparse=True, colalign=aligned)

    def to_dict(self) -> Dict[str, Any]:
        """For JSON; shapes are lists."""
        return {
            "shape": list(self.shape),
            "counted": "everything" if self.everything else "as mmcv does",
            "parameters": self.parameters,
            "statistics": self.statistics,
            "flops": self.flops,
            "layers": [dict(row._asdict(), output=row.output and list(row.output)) for row in self.rows],
        }


def count(net: HybridBlock, shape: Union[int, Tuple[int, int]] = 512, everything: bool = False) -> Complexity:
    """Count the parameters of `net` and the FLOPs of one RGB image (1, 3, *shape) through its inference graph.

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
    with _labelled(net) as blocks:
        output = net(mx.sym.var("data"))
    output = mx.sym.Group(list(output)) if isinstance(output, (list, tuple)) else output
    nodes, sizes = _nodes(output, (1, 3, height, width), blocks)
    sizes.update({name: p.shape for name, p in parameters.items() if name not in sizes and p.shape is not None})

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

    rows = [_row(node, learnable, everything) for node in _folded(nodes)]
    rows = [row for row in rows if row.parameters or row.flops]
    return Complexity(rows + _not_run(net, learnable), statistics, (height, width), everything)


def short(number: int, unit: str) -> str:
    """As published tables write it: short(55_300_000, "M") is "55.3 M", and "G" counts billions.

    They round what mmcv prints, which has two decimals: 86.148 is 86.15, and that is 86.2.
    """
    value = Decimal(number) / {"M": 10**6, "G": 10**9}[unit]
    if value < 1:
        return f"{value:.3f} {unit}"
    for step in ("0.01", "0.1"):
        value = value.quantize(Decimal(step), ROUND_HALF_UP)
    return f"{value} {unit}"


class _Node(NamedTuple):
    """An operator of the graph. `weights` are the names of parameters among its inputs."""

    operator: str
    attrs: Dict[str, str]
    layer: str
    call: str
    block: Optional[Block]
    inputs: List[Shape]
    outputs: List[Shape]
    weights: List[str]
    sees_image: bool

    def flag(self, name: str) -> bool:
        return self.attrs.get(name) in ("True", "1")


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


def _nodes(output, shape: Shape, blocks) -> Tuple[List[_Node], Dict[str, Shape]]:
    """The operators in the order they run, and the shapes of all variables by name."""
    internals = output.get_internals()
    problem = "some of its shapes stay open"
    try:
        inferred = internals.infer_shape(data=shape)[1]
    except mx.MXNetError as err:
        inferred, problem = None, _reason(err)
    if inferred is None:
        raise MXNetSegError(
            f"the network can't take an image of height {shape[2]} and width {shape[3]}: {problem}; "
            "try another shape, e.g. sides that are multiples of 32"
        )
    graph = json.loads(internals.tojson())
    outputs: Dict[int, List[Shape]] = {}
    at: Dict[Tuple[int, int], Shape] = {}
    for (node, index, *_), size in zip(graph["heads"], inferred):
        at[node, index] = tuple(size)
        outputs.setdefault(node, []).append(tuple(size))

    raw = graph["nodes"]
    sizes = {node["name"]: at[index, 0] for index, node in enumerate(raw) if node["op"] == "null"}
    sees_image: List[bool] = []
    nodes = []
    for index, node in enumerate(raw):
        operator, attrs = node["op"], node.get("attrs", {})
        sources = [source for source, *_ in node["inputs"]]
        if operator == "null":
            sees_image.append(node["name"] == "data")
            continue
        values = sources[:1] if operator in LIKE else [] if operator in SHAPE_ONLY else sources
        sees_image.append(any(sees_image[source] for source in values))
        layer, call = node["name"].split("|")[:2] if "|" in node["name"] else ("", "")
        nodes.append(
            _Node(
                # mx.operator.CustomOp is one operator for all of them
                operator=attrs.get("op_type", operator) if operator == "Custom" else operator,
                attrs=attrs,
                layer=layer,
                call=call,
                block=blocks.get(layer),
                inputs=[at[source, which] for source, which, *_ in node["inputs"]],
                outputs=outputs[index],
                weights=[raw[source]["name"] for source in sources if raw[source]["op"] == "null"],
                sees_image=sees_image[index],
            )
        )
    return nodes, sizes


def _reason(err: Exception) -> str:
    """The telling line of MXNet's report."""
    lines = [line.strip() for line in str(err).splitlines() if line.strip()]
    told = [line for line in lines if line.startswith("Error in operator") or "Check failed" in line]
    return (told or lines or ["MXNet does not say why"])[0]


def _folded(nodes: List[_Node]) -> Iterator[_Node]:
    """The nodes, with those of our own group normalisation, which has no operator, made one."""
    groups: Dict[str, List[_Node]] = {}
    for node in nodes:
        if isinstance(node.block, GroupNorm):
            groups.setdefault(node.call, []).append(node)
    for node in nodes:
        parts = groups.get(node.call, ()) if isinstance(node.block, GroupNorm) else ()
        if not parts:
            yield node
        elif node is parts[-1]:
            weights = [name for part in parts for name in part.weights]
            yield node._replace(operator="GroupNorm", inputs=[node.outputs[0]], weights=weights)


def _row(node: _Node, learnable: Dict[str, int], everything: bool) -> Row:
    """What a node costs; takes the parameters it uses first out of `learnable`."""
    parameters = sum(learnable.pop(name, 0) for name in node.weights)
    # what only sizes or weights decide (the matrices of a resize) is no layer to mmcv
    seen = _as_mmcv(node) if node.sees_image else 0
    flops = _every_flop(node) if everything else seen
    return Row(node.layer, node.operator, node.outputs[0], parameters, flops)


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


def _as_mmcv(node: _Node) -> int:
    """Multiply-accumulates of a node as mmcv counts the layer it stands for; 0 where it counts none."""
    operator, elements = node.operator, math.prod(node.outputs[0])
    if operator == "Convolution":
        bias = elements if len(node.inputs) > 2 else 0
        return elements * math.prod(node.inputs[1][1:]) + bias  # the weight is (out, in / groups, kh, kw)
    if operator == "Deconvolution":
        bias = elements if len(node.inputs) > 2 else 0
        return math.prod(node.inputs[0]) * math.prod(node.inputs[1][1:]) + bias  # (in, out / groups, kh, kw)
    if operator == "FullyConnected":
        return elements * node.inputs[1][1]  # mmcv leaves the bias out, here only
    if operator == "BatchNorm":
        # mmcv looks layers up by their exact type, and the synchronised class is not in its table
        return 0 if isinstance(node.block, SyncBatchNorm) else 2 * elements
    if operator in ("GroupNorm", "InstanceNorm"):
        return 2 * elements
    if operator == "LayerNorm":
        # over channels first it is a class of the originals' own, which mmcv does not know
        return 2 * elements if _last_axis(node) else 0
    if operator in ("Pooling", "_contrib_AdaptiveAvgPooling2D"):
        return math.prod(node.inputs[0])
    return elements if _rectifier(node) else 0


def _last_axis(node: _Node) -> bool:
    return int(node.attrs.get("axis", -1)) in (-1, len(node.outputs[0]) - 1)


def _rectifier(node: _Node) -> bool:
    """ReLU, ReLU6, LeakyReLU, PReLU and ELU: the activations that mmcv counts."""
    if node.operator == "Activation":
        return node.attrs.get("act_type") == "relu"
    if node.operator == "LeakyReLU":
        return node.attrs.get("act_type", "leaky") in ("leaky", "prelu", "elu")
    if node.operator == "clip":
        return float(node.attrs["a_min"]) == 0 and float(node.attrs["a_max"]) == 6
    return node.operator == "relu"


def _every_flop(node: _Node) -> int:
    """Multiply-accumulates of any node; one per output element where nothing better is known."""
    operator = node.operator
    elements = sum(map(math.prod, node.outputs))
    if operator in FREE:
        return 0
    if operator == "FullyConnected":
        return _as_mmcv(node) + (elements if len(node.inputs) > 2 else 0)
    if operator in ("BatchNorm", "_contrib_SyncBatchNorm", "LayerNorm"):
        return 2 * math.prod(node.outputs[0])
    if operator in REDUCTIONS:
        return math.prod(node.inputs[0])
    if operator in SOFTMAX:
        return 3 * elements  # exponential, sum, quotient
    if operator in ("_contrib_BilinearResize2D", "BilinearSampler"):
        return 4 * elements  # corners
    if operator in ("dot", "batch_dot", "_linalg_gemm2", "_linalg_gemm"):
        return _product(node)
    if operator == "_contrib_interleaved_matmul_selfatt_qk":  # (length, N, heads * 3 * d) -> (.., length, length)
        return elements * (node.inputs[0][-1] // (3 * int(node.attrs["heads"])))
    if operator == "_contrib_interleaved_matmul_selfatt_valatt":  # sums over the length
        return elements * node.inputs[0][0]
    if operator == "mxnetseg_deform_attention":
        # per output element: q.k, bilinear samples of k and v from four corners each, the weighted sum of v
        return (TAPS + 2 * TAPS * 4 + TAPS) * math.prod(node.outputs[0])
    if operator == "mxnetseg_deform_unfold":
        return 4 * math.prod(node.outputs[0])  # puts out all nine taps of every pixel, each from four corners
    return _as_mmcv(node) or elements


def _product(node: _Node) -> int:
    """Multiply-accumulates of a matrix product: output elements times the length of the sums."""
    left = node.inputs[0]
    if not node.flag("transpose_a"):
        length = left[-1]
    elif node.operator == "dot":
        length = left[0]  # dot takes the first axis, whatever the number of axes
    else:
        length = left[int(ast.literal_eval(node.attrs.get("axis", "-2")))]
    elements = math.prod(node.outputs[0])
    return elements * length + (elements if node.operator == "_linalg_gemm" else 0)
