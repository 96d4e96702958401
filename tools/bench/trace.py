"""A network's inference graph -> `plan.Plan`, for images of one size.

What does not depend on the image's pixels (the matrices of a resize, resized position tables) is computed here. The
spellings that suit MXNet become the operators that other toolkits have: two products with interpolation matrices are a
bilinear resize again, x * sigmoid(x) a SiLU, and attention over displaced samples is one operator.
"""

import ast
import contextlib
import json
import os
from typing import Any, Dict, List, Tuple

import mxnet as mx
import numpy as np

from mxnetseg.errors import MXNetSegError

from .plan import Node, Plan

__all__ = ["trace"]

ATTENTION = "bench_deform_attention"
SAME = ("BlockGrad", "Dropout", "_copy", "identity", "amp_cast")
BY_SHAPE = ("_contrib_arange_like", "ones_like", "zeros_like", "shape_array")  # of an input, only its shape counts
BY_FIRST = ("broadcast_like", "reshape_like", "slice_like")
PAIRS = {
    "elemwise_add": "add",
    "broadcast_add": "add",
    "elemwise_sub": "sub",
    "broadcast_sub": "sub",
    "elemwise_mul": "mul",
    "broadcast_mul": "mul",
    "elemwise_div": "div",
    "broadcast_div": "div",
}
SCALARS = {"_plus_scalar": "add", "_minus_scalar": "sub", "_mul_scalar": "mul", "_div_scalar": "div"}


def trace(net, shape: Tuple[int, int, int, int]) -> Plan:
    """The plan of an initialized network for images (N, 3, H, W) of `shape`.

    MXNETSEG_OPS=0 must be set: operators of our own library have no counterparts in other toolkits.

    Raises
    ------
    MXNetSegError
        The graph holds an operator, or a resize, that is not known here.
    """
    with _one_attention():
        symbol = net(mx.sym.var("data"))
    return _Trace(symbol, {p.name: p for p in net.collect_params().values()}, shape).plan()


class _Trace:
    def __init__(self, symbol, parameters, shape):
        internals = symbol.get_internals()
        sizes = internals.infer_shape(data=shape)[1]
        graph = json.loads(internals.tojson())
        self.graph = graph["nodes"]
        self.heads = {(node, index): i for i, (node, index, *_) in enumerate(graph["heads"])}
        self.sizes = {key: tuple(sizes[i]) for key, i in self.heads.items()}
        self.internals = internals
        self.parameters = parameters
        self.image_shape = tuple(shape)
        self.output = self._output(symbol)
        self.sees_image = self._seeing()
        self.constants = self._constants()
        self.nodes: Dict[str, Node] = {}
        self.arrays: Dict[str, np.ndarray] = {}
        self.values: Dict[Tuple[int, int], str] = {}

    def plan(self) -> Plan:
        for index, node in enumerate(self.graph):
            if node["op"] == "null":
                if node["name"] == "data":
                    self.values[index, 0] = self._emit("data", "input", shape=self.image_shape)
            elif self.sees_image[index]:
                self._translate(index, node)
        return self._needed(self.values[self.output])

    def _output(self, symbol):
        names = symbol.list_outputs()
        if len(names) != 1:
            raise MXNetSegError(f"the inference graph has {len(names)} outputs; one is expected")
        at = self.internals.list_outputs().index(names[0])
        return next(key for key, i in self.heads.items() if i == at)

    def _seeing(self) -> List[bool]:
        seeing: List[bool] = []
        for node in self.graph:
            sources = [source for source, *_ in node["inputs"]]
            op = node["op"]
            sources = [] if op in BY_SHAPE else sources[:1] if op in BY_FIRST else sources
            seeing.append(node["name"] == "data" if op == "null" else any(seeing[s] for s in sources))
        return seeing

    def _constants(self) -> Dict[Tuple[int, int], np.ndarray]:
        """The values that do not depend on the image, as far as operators that do are fed with them."""
        wanted = set()
        for index, node in enumerate(self.graph):
            if node["op"] == "null" or not self.sees_image[index] or node["op"] in BY_FIRST + BY_SHAPE:
                continue
            for entry in node["inputs"]:
                source, which = self._unbroadcast(entry[0], entry[1])
                if self.graph[source]["op"] != "null" and not self.sees_image[source]:
                    wanted.add((source, which))
        if not wanted:
            return {}
        wanted = sorted(wanted)
        group = mx.sym.Group([self.internals[self.heads[key]] for key in wanted])
        data = {name: p.data() for name, p in self.parameters.items()}
        data["data"] = mx.nd.zeros(self.image_shape)
        executor = group.bind(
            mx.cpu(),
            {name: data[name] for name in group.list_arguments()},
            grad_req="null",
            aux_states={name: data[name] for name in group.list_auxiliary_states()},
        )
        return {key: out.asnumpy() for key, out in zip(wanted, executor.forward())}

    def _unbroadcast(self, source, which):
        """A constant before it is repeated along the batch and the channels, as matrix products want it."""
        node = self.graph[source]
        if node["op"] == "broadcast_like" and not self.sees_image[source]:
            return tuple(node["inputs"][0][:2])
        return source, which

    def _translate(self, index: int, node) -> None:
        op, attrs = node["op"], _attributes(node)
        if op in SAME:
            self.values[index, 0] = self._value(node["inputs"][0])
            return
        op = attrs.get("op_type", op) if op == "Custom" else op
        method = getattr(self, "_do_" + op.strip("_").lower(), None)
        if op in PAIRS:
            method = self._pair
        elif op in SCALARS:
            method = self._scalar
        if method is None:
            raise MXNetSegError(f"{node['name']}: the benchmark can't convert operator {op}; add it to tools/bench")
        self.current = f"n{index}_{node['name']}", self.sizes[index, 0]
        result = method(node, attrs) if op not in (*PAIRS, *SCALARS) else method(op, node, attrs)
        for which, name in enumerate(result if isinstance(result, list) else [result]):
            self.values[index, which] = name

    # -- values

    def _emit(self, name, op, inputs=(), arrays=None, shape=None, **attrs) -> str:
        name = name.replace("/", "_").replace("|", "_")
        self.nodes[name] = Node(name, op, list(inputs), arrays or {}, attrs, tuple(shape))
        return name

    def _add(self, op, inputs, arrays=None, **attrs) -> str:
        name, shape = self.current
        return self._emit(name, op, inputs, arrays, shape, **attrs)

    def _value(self, entry) -> str:
        """The node that gives an input; constants and parameters become nodes."""
        source, which = entry[0], entry[1]
        if (source, which) not in self.values:
            array = self._array(source, which)
            name = f"constant_{source}_{which}"
            self.arrays[name] = array
            self.values[source, which] = self._emit(name, "constant", arrays={"value": name}, shape=array.shape)
        return self.values[source, which]

    def _array(self, source, which=0) -> np.ndarray:
        node = self.graph[source]
        return self._parameter(node["name"]) if node["op"] == "null" else self.constants[source, which]

    def _parameter(self, name) -> np.ndarray:
        return self.parameters[name].data().asnumpy()

    def _weights(self, node, *roles) -> Dict[str, str]:
        """The names of a layer's parameters, its inputs from the second on."""
        names = {}
        for role, (source, which, *_) in zip(roles, node["inputs"][1:]):
            name = self.graph[source]["name"]
            self.arrays[name] = self._array(source, which)
            names[role] = name
        return names

    def _input(self, node, at=0) -> str:
        return self._value(node["inputs"][at])

    def _node(self, entry):
        return self.graph[entry[0]]

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
            raise MXNetSegError(f"{node['name']}: a fully connected layer that flattens is not known here")
        return self._add("linear", [self._input(node)], self._weights(node, "weight", "bias"))

    def _do_activation(self, node, attrs):
        if attrs["act_type"] not in ("relu", "sigmoid"):
            raise MXNetSegError(f"{node['name']}: activation {attrs['act_type']} is not known here")
        return self._add(attrs["act_type"], [self._input(node)])

    def _do_leakyrelu(self, node, attrs):
        if attrs["act_type"] != "gelu":
            raise MXNetSegError(f"{node['name']}: activation {attrs['act_type']} is not known here")
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
            raise MXNetSegError(f"{node['name']}: pooling {attrs} is not known here")
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
        return self._add("concat", [self._value(entry) for entry in node["inputs"]], axis=attrs.get("dim", 1))

    def _do_expand_dims(self, node, attrs):
        return self._do_reshape(node, attrs)

    def _do_squeeze(self, node, attrs):
        concat = self._node(node["inputs"][0])
        parts = [self._node(entry) for entry in concat["inputs"]] if concat["op"] == "Concat" else []
        if parts and all(part["op"] == "expand_dims" and _attributes(part)["axis"] == 2 for part in parts):
            # mxnetseg.nn.concat's way around oneDNN
            return self._add("concat", [self._value(part["inputs"][0]) for part in parts], axis=1)
        return self._do_reshape(node, attrs)

    def _do_reshape(self, node, attrs):
        return self._add("reshape", [self._input(node)], to=list(self.current[1]))

    def _do_reshape_like(self, node, attrs):
        return self._do_reshape(node, attrs)

    def _do_transpose(self, node, attrs):
        return self._add("transpose", [self._input(node)], axes=list(attrs["axes"]))

    def _do_slice_axis(self, node, attrs):
        length = self.sizes[tuple(node["inputs"][0][:2])][attrs["axis"]]
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
            [self._value(entry) for entry in node["inputs"]],
            transpose_a=bool(attrs.get("transpose_a")),
            transpose_b=bool(attrs.get("transpose_b")),
        )

    def _do_contrib_bilinearresize2d(self, node, attrs):
        corners = bool(attrs.get("align_corners", True))  # MXNet's default
        return self._add("resize", [self._input(node)], size=list(self.current[1][2:]), align_corners=corners)

    def _do_dot(self, node, attrs):
        return self._add("unfinished resize", [self._input(node)])

    def _do_linalg_gemm2(self, node, attrs):
        """The second product of a resize, whose first was a `dot`; see mxnetseg.nn.resize."""
        rows, first = node["inputs"]
        dot = self._node(first)
        if dot["op"] != "dot" or not _attributes(dot).get("transpose_b") or self.sees_image[rows[0]]:
            raise MXNetSegError(f"{node['name']}: a matrix product that is no resize is not known here")
        rows = self.constants[self._unbroadcast(*rows[:2])]
        columns = self.constants[tuple(dot["inputs"][1][:2])]
        rows = rows.reshape(rows.shape[-2:])
        source = self._value(dot["inputs"][0])
        kinds = [_interpolation(matrix) for matrix in (rows, columns)]
        if all("same" in kind for kind in kinds):
            return source
        corners = kinds[0] & kinds[1] - {"same"}
        if not corners:
            raise MXNetSegError(f"{node['name']}: a resize that is not bilinear is not known here")
        return self._add("resize", [source], size=[len(rows), len(columns)], align_corners="half pixels" not in corners)

    def _pair(self, op, node, attrs):
        values = [self._value(entry) for entry in node["inputs"]]
        if PAIRS[op] == "mul":
            for x, gate in (values, values[::-1]):
                if self.nodes[gate].op == "sigmoid" and self.nodes[gate].inputs == [x]:
                    return self._add("silu", [x])
        return self._add(PAIRS[op], values)

    def _scalar(self, op, node, attrs):
        name, _ = self.current
        self.arrays[name] = np.float32(attrs["scalar"])
        constant = self._emit(f"{name}_constant", "constant", arrays={"value": name}, shape=())
        return self._add(SCALARS[op], [self._input(node), constant])

    def _do_bench_deform_attention(self, node, attrs):
        values = [self._value(entry) for entry in node["inputs"]]
        return self._add("deform_attention", values, heads=int(attrs["heads"]), scale=float(attrs["scale"]))


def _attributes(node) -> Dict[str, Any]:
    attributes = {}
    for key, text in node.get("attrs", {}).items():
        try:
            attributes[key] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            attributes[key] = text
    return attributes


def _interpolation(matrix: np.ndarray) -> set:
    """What a matrix (targets, sources) does: of "same", "corners" (aligned) and "half pixels", all that fit."""
    targets, sources = matrix.shape
    fits = {name for name in ("corners", "half pixels") if _close(matrix, _bilinear(targets, sources, name))}
    return fits | {"same"} if targets == sources and _close(matrix, np.eye(targets)) else fits


def _close(a, b) -> bool:
    return bool(np.allclose(a, b, atol=1e-3))


def _bilinear(targets: int, sources: int, kind: str) -> np.ndarray:
    at = np.arange(targets)
    if kind == "corners":
        position = at * ((sources - 1) / max(targets - 1, 1))
    else:
        position = np.clip((at + 0.5) * (sources / targets) - 0.5, 0, sources - 1)
    return np.maximum(1 - np.abs(position[:, None] - np.arange(sources)), 0)


class _Attention(mx.operator.CustomOp):
    def __init__(self, heads, scale):
        super().__init__()
        self.options = dict(heads=heads, scale=scale)

    def forward(self, is_train, req, in_data, out_data, aux):
        from mxnetseg.ops.deform import composed

        self.assign(out_data[0], req[0], composed.deform_attention(mx.nd, *in_data, **self.options))


@mx.operator.register(ATTENTION)
class _AttentionProp(mx.operator.CustomOpProp):
    """Stands in a graph for `mxnetseg.ops.deform_attention`."""

    def __init__(self, heads, scale):
        super().__init__(need_top_grad=False)
        self.options = int(heads), float(scale)

    def list_arguments(self):
        return ["q", "k", "v", "offset", "position"]

    def infer_shape(self, in_shape):
        return in_shape, [in_shape[0]], []

    def create_operator(self, ctx, shapes, dtypes):
        return _Attention(*self.options)


@contextlib.contextmanager
def _one_attention():
    """Inside, DGMN2's attention is one operator of the graph."""
    from mxnetseg.backbones import dgmn2

    if os.environ.get("MXNETSEG_OPS") != "0":
        raise MXNetSegError("a network is traced with MXNETSEG_OPS=0 in the environment")
    own = dgmn2.deform_attention

    def single(F, q, k, v, offset, position, *, heads, scale):
        return F.Custom(q, k, v, offset, position, op_type=ATTENTION, heads=heads, scale=scale)

    dgmn2.deform_attention = single
    try:
        yield
    finally:
        dgmn2.deform_attention = own
