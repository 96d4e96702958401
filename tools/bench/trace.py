"""A network's inference graph -> `plan.Plan`, for images of one size.

What does not depend on the image's pixels (resized position tables) is computed here. The spellings that suit MXNet
become the operators that other toolkits have: x * sigmoid(x) is a SiLU, products with matrices of weights are resizes,
and attention, of all positions or over displaced samples, is one operator.
"""

import ast
import contextlib
import os
from typing import Any, Dict, Tuple
from unittest import mock

import mxnet as mx
import numpy as np

from mxnetseg.errors import MXNetSegError
from mxnetseg.graph import VARIABLE, Entry, Graph, infer_shapes, known, operator_name, sees
from mxnetseg.graph import Node as Operator
from mxnetseg.nn import inference_graph

from .plan import Node, Plan

__all__ = ["trace"]

ATTENTION, SELF_ATTENTION, NEAREST = "bench_deform_attention", "bench_self_attention", "bench_nearest"
SAME = ("BlockGrad", "Dropout", "_copy", "identity", "amp_cast")
PAIRS = {f"{kind}_{name}": name for kind in ("elemwise", "broadcast") for name in ("add", "sub", "mul", "div")}
SCALARS = {"_plus_scalar": "add", "_minus_scalar": "sub", "_mul_scalar": "mul", "_div_scalar": "div"}


def trace(net, shape: Tuple[int, int, int, int]) -> Plan:
    """The plan of an initialized network for images (N, 3, H, W) of `shape`.

    MXNETSEG_OPS=0 must be set: operators of our own library have no counterparts in other toolkits.

    Raises
    ------
    MXNetSegError
        The graph holds an operator that is not known here.
    """
    with _as_others_write_it(), inference_graph() as constants:
        graph = Graph(net(mx.sym.var("data")))
    arrays = {parameter.name: parameter.data() for parameter in net.collect_params().values()}
    return _Trace(graph, {**arrays, **constants}, tuple(shape)).plan()


class _Trace:
    def __init__(self, graph: Graph, weights: Dict[str, mx.nd.NDArray], shape):
        if len(graph.heads) != 1:
            raise MXNetSegError(f"the inference graph has {len(graph.heads)} outputs; one is expected")
        self.graph = graph
        self.shapes = infer_shapes(graph, {"data": shape, **{name: one.shape for name, one in weights.items()}})
        self.sees_image = sees(graph)
        self.weights = {**weights, "data": mx.nd.zeros(shape)}
        self.constants = self._constants()
        self.nodes: Dict[str, Node] = {}
        self.arrays: Dict[str, np.ndarray] = {}
        self.values: Dict[Entry, str] = {}

    def plan(self) -> Plan:
        for index, node in enumerate(self.graph.nodes()):
            if not self.sees_image[node]:
                continue
            self.current = f"n{index}_{node.name}", self.shapes[Entry(node)]
            results = self._add("input", []) if node.op == VARIABLE else self._translate(node)
            for which, name in enumerate(results if isinstance(results, list) else [results]):
                self.values[Entry(node, which)] = name
        return self._needed(self.values[self.graph.heads[0]])

    def _constants(self) -> Dict[Entry, np.ndarray]:
        """The values that do not depend on the image, as far as operators that do are fed with them."""
        operators = [node for node in self.graph.operators() if self.sees_image[node]]
        fed = {entry for node in operators for entry in node.inputs[known(node).values]}
        wanted = [entry for entry in fed if entry.node.op != VARIABLE and not self.sees_image[entry.node]]
        if not wanted:
            return {}
        outputs, self.graph.heads = self.graph.heads, wanted
        group, self.graph.heads = self.graph.symbol(), outputs
        arguments = {name: self.weights[name] for name in group.list_arguments()}
        statistics = {name: self.weights[name] for name in group.list_auxiliary_states()}
        results = group.bind(mx.cpu(), arguments, grad_req="null", aux_states=statistics).forward()
        return {entry: result.asnumpy() for entry, result in zip(wanted, results)}

    def _translate(self, node: Operator):
        op, attrs = operator_name(node), _attributes(node)
        if op in SAME:
            return self._value(node.inputs[0])
        if op in PAIRS:
            return self._pair(PAIRS[op], node)
        if op in SCALARS:
            return self._scalar(SCALARS[op], node, attrs)
        method = getattr(self, "_do_" + op.strip("_").lower(), None)
        if method is None:
            raise MXNetSegError(f"{node.name}: the benchmark can't convert operator {op}; add it to tools/bench")
        return method(node, attrs)

    # -- values

    def _emit(self, name, op, inputs=(), arrays=None, shape=None, **attrs) -> str:
        name = name.replace("/", "_").replace("|", "_")
        self.nodes[name] = Node(name, op, list(inputs), arrays or {}, attrs, tuple(shape))
        return name

    def _add(self, op, inputs, arrays=None, **attrs) -> str:
        name, shape = self.current
        return self._emit(name, op, inputs, arrays, shape, **attrs)

    def _value(self, entry: Entry) -> str:
        """The node that gives an input; constants and parameters become nodes."""
        if entry not in self.values:
            name = f"constant_{len(self.values)}"
            self.arrays[name] = array = self._array(entry)
            self.values[entry] = self._emit(name, "constant", arrays={"value": name}, shape=array.shape)
        return self.values[entry]

    def _array(self, entry: Entry) -> np.ndarray:
        is_weight = entry.node.op == VARIABLE
        return self.weights[entry.node.name].asnumpy() if is_weight else self.constants[entry]

    def _weights(self, node: Operator, *roles) -> Dict[str, str]:
        """The names of a layer's parameters, its inputs from the second on."""
        names = {role: entry.node.name for role, entry in zip(roles, node.inputs[1:])}
        self.arrays.update((entry.node.name, self._array(entry)) for entry in node.inputs[1:])
        return names

    def _input(self, node: Operator) -> str:
        return self._value(node.inputs[0])

    def _needed(self, output: str) -> Plan:
        needed, stack = set(), [output]
        while stack:
            name = stack.pop()
            if name not in needed:
                needed.add(name)
                stack += self.nodes[name].inputs
        nodes = [node for name, node in self.nodes.items() if name in needed]
        nodes.sort(key=lambda node: node.name == output)  # an alias may have been its last use
        used = {name for node in nodes for name in node.arrays.values()}
        return Plan(nodes, {name: array for name, array in self.arrays.items() if name in used})

    # -- operators

    def _do_convolution(self, node, attrs):
        count = len(attrs["kernel"])
        return self._add(
            "conv",
            [self._input(node)],
            self._weights(node, "weight", "bias"),
            stride=list(attrs.get("stride") or [1] * count),
            pad=list(attrs.get("pad") or [0] * count),
            dilation=list(attrs.get("dilate") or [1] * count),
            groups=attrs.get("num_group", 1),
        )

    def _do_batchnorm(self, node, attrs):
        weights = self._weights(node, "gamma", "beta", "mean", "var")
        if attrs.get("fix_gamma", True):
            self.arrays[weights["gamma"]] = np.ones_like(self.arrays[weights["gamma"]])
        return self._add("batch_norm", [self._input(node)], weights, eps=attrs["eps"])

    def _do_layernorm(self, node, attrs):
        weights = self._weights(node, "gamma", "beta")
        return self._add("layer_norm", [self._input(node)], weights, eps=attrs["eps"], axis=attrs.get("axis", -1))

    def _do_fullyconnected(self, node, attrs):
        if attrs.get("flatten", True):
            raise MXNetSegError(f"{node.name}: a fully connected layer that flattens is not known here")
        return self._add("linear", [self._input(node)], self._weights(node, "weight", "bias"))

    def _do_activation(self, node, attrs):
        if attrs["act_type"] not in ("relu", "sigmoid"):
            raise MXNetSegError(f"{node.name}: activation {attrs['act_type']} is not known here")
        return self._add(attrs["act_type"], [self._input(node)])

    def _do_clip(self, node, attrs):
        if (attrs["a_min"], attrs["a_max"]) != (0, 6):
            raise MXNetSegError(f"{node.name}: clipping to {attrs['a_min']}..{attrs['a_max']} is not known here")
        return self._add("relu6", [self._input(node)])

    def _do_pad(self, node, attrs):
        if attrs["mode"] != "constant" or attrs.get("constant_value", 0):
            raise MXNetSegError(f"{node.name}: padding {attrs} is not known here")
        return self._add("pad", [self._input(node)], width=list(attrs["pad_width"]))

    def _do_leakyrelu(self, node, attrs):
        if attrs["act_type"] != "gelu":
            raise MXNetSegError(f"{node.name}: activation {attrs['act_type']} is not known here")
        return self._add("gelu", [self._input(node)])

    def _do_relu(self, node, attrs):
        return self._add("relu", [self._input(node)])

    def _do_sigmoid(self, node, attrs):
        return self._add("sigmoid", [self._input(node)])

    def _do_pooling(self, node, attrs):
        if (
            attrs.get("pool_type", "max") != "max"
            or attrs.get("pooling_convention", "valid") != "valid"
            or attrs.get("global_pool")
        ):
            raise MXNetSegError(f"{node.name}: pooling {attrs} is not known here")
        stride, pad = attrs.get("stride") or (1, 1), attrs.get("pad") or (0, 0)
        return self._add(
            "max_pool", [self._input(node)], kernel=list(attrs["kernel"]), stride=list(stride), pad=list(pad)
        )

    def _do_contrib_adaptiveavgpooling2d(self, node, attrs):
        size = attrs["output_size"]
        return self._add("adaptive_pool", [self._input(node)], size=[size] * 2 if isinstance(size, int) else list(size))

    def _do_mean(self, node, attrs):
        return self._add("mean", [self._input(node)], axes=list(attrs["axis"]), keepdims=bool(attrs.get("keepdims")))

    def _do_concat(self, node, attrs):
        return self._add("concat", [self._value(entry) for entry in node.inputs], axis=attrs.get("dim", 1))

    def _do_reshape(self, node, attrs):
        return self._add("reshape", [self._input(node)], to=list(self.current[1]))

    _do_expand_dims = _do_squeeze = _do_reshape_like = _do_reshape

    def _do_transpose(self, node, attrs):
        return self._add("transpose", [self._input(node)], axes=list(attrs["axes"]))

    def _do_slice_axis(self, node, attrs):
        length = self.shapes[node.inputs[0]][attrs["axis"]]
        end = attrs.get("end")
        return self._add(
            "slice",
            [self._input(node)],
            axis=attrs["axis"],
            begin=attrs["begin"] % length,
            end=length if end is None else end if end >= 0 else length + end,
        )

    def _do_slicechannel(self, node, attrs):
        name, shape = self.current
        width = shape[attrs["axis"]]
        source = self._input(node)
        return [
            self._emit(
                f"{name}_{i}", "slice", [source], shape=shape, axis=attrs["axis"], begin=i * width, end=(i + 1) * width
            )
            for i in range(attrs["num_outputs"])
        ]

    def _do_batch_dot(self, node, attrs):
        return self._add(
            "matmul",
            [self._value(entry) for entry in node.inputs],
            transpose_a=bool(attrs.get("transpose_a")),
            transpose_b=bool(attrs.get("transpose_b")),
        )

    def _do_contrib_bilinearresize2d(self, node, attrs):
        if self.shapes[node.inputs[0]] == self.current[1]:
            return self._input(node)
        corners = bool(attrs.get("align_corners", True))  # MXNet's default
        return self._add("resize", [self._input(node)], size=list(self.current[1][2:]), align_corners=corners)

    def _pair(self, op, node):
        values = [self._value(entry) for entry in node.inputs]
        if op == "mul":
            for x, gate in (values, values[::-1]):
                if self.nodes[gate].op == "sigmoid" and self.nodes[gate].inputs == [x]:
                    return self._add("silu", [x])
        return self._add(op, values)

    def _scalar(self, op, node, attrs):
        name, _ = self.current
        self.arrays[name] = np.float32(attrs["scalar"])
        constant = self._emit(f"{name}_constant", "constant", arrays={"value": name}, shape=())
        return self._add(op, [self._input(node), constant])

    def _do_bench_nearest(self, node, attrs):
        return self._add("nearest", [self._input(node)], size=list(self.current[1][2:]))

    def _do_bench_self_attention(self, node, attrs):
        return self._add("self_attention", [self._input(node)], heads=int(attrs["heads"]))

    def _do_bench_deform_attention(self, node, attrs):
        values = [self._value(entry) for entry in node.inputs]
        return self._add("deform_attention", values, heads=int(attrs["heads"]), scale=float(attrs["scale"]))


def _attributes(node: Operator) -> Dict[str, Any]:
    attributes: Dict[str, Any] = {}
    for key, text in node.attrs.items():
        try:
            attributes[key] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            attributes[key] = text
    return attributes


@mx.operator.register(ATTENTION)
class _AttentionProp(mx.operator.CustomOpProp):
    """Stands in a graph for `mxnetseg.ops.deform_attention`: shapes only."""

    def __init__(self, heads, scale):
        super().__init__(need_top_grad=False)

    def list_arguments(self):
        return ["q", "k", "v", "offset", "position"]

    def infer_shape(self, in_shape):
        return in_shape, [in_shape[0]], []


@mx.operator.register(SELF_ATTENTION)
class _SelfAttentionProp(mx.operator.CustomOpProp):
    """Stands for softmax attention of all tokens to all: queries, keys and values (N, L, 3 C) -> (N, L, C)."""

    def __init__(self, heads):
        super().__init__(need_top_grad=False)

    def infer_shape(self, in_shape):
        count, length, width = in_shape[0]
        return in_shape, [(count, length, width // 3)], []


@mx.operator.register(NEAREST)
class _NearestProp(mx.operator.CustomOpProp):
    """Stands for a resize by the nearest pixel to the size of `like`."""

    def __init__(self):
        super().__init__(need_top_grad=False)

    def list_arguments(self):
        return ["x", "like"]

    def infer_shape(self, in_shape):
        return in_shape, [(*in_shape[0][:2], *in_shape[1][2:])], []


@contextlib.contextmanager
def _as_others_write_it():
    """Inside, attention is one operator of the graph, and so is a resize that is elsewhere a product of matrices."""
    from mxnetseg.backbones import dgmn2, vit
    from mxnetseg.nn import resize

    if os.environ.get("MXNETSEG_OPS") != "0":
        raise MXNetSegError("a network is traced with MXNETSEG_OPS=0 in the environment")

    def deform(F, q, k, v, offset, position, *, heads, scale):
        return F.Custom(q, k, v, offset, position, op_type=ATTENTION, heads=heads, scale=scale)

    def attend(self, F, x):
        return self.project(F.Custom(self.qkv(x), op_type=SELF_ATTENTION, heads=self._heads))

    def bilinear(F, x, like, axis, align_corners, factor):  # to one pixel, too: nothing is computed here
        return lambda: resize.resize_like(F, x, like, align_corners=align_corners, factor=factor)

    def nearest(F, x, like, axis):
        return lambda: F.Custom(x, like, op_type=NEAREST)

    own = resize._resize

    def resized(F, x, rows, columns):
        return rows() if callable(rows) and not isinstance(rows, mx.sym.Symbol) else own(F, x, rows, columns)

    with contextlib.ExitStack() as changes:
        for place, name, value in (
            (dgmn2, "deform_attention", deform),
            (vit.SelfAttention, "hybrid_forward", attend),
            (resize, "_bilinear", bilinear),
            (resize, "_nearest", nearest),
            (resize, "_resize", resized),
        ):
            changes.enter_context(mock.patch.object(place, name, value))
        yield
