"""A plan as an ONNX file (opset 20), which ONNX Runtime and OpenVINO read.

Two operators have no ONNX counterpart and are composed: attention over displaced samples (GridSample), and adaptive
pooling to a grid that does not divide the map (a product with the windows' matrix).
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from .plan import Plan

__all__ = ["to_onnx"]

TAPS = 9


def to_onnx(plan: Plan, path) -> None:
    """Write the model to `path`; its input is called "image", its output "logits"."""
    model = _Model(plan)
    for node in plan.nodes:
        model.add(node)
    onnx.save(model.finish(), str(path))


class _Model:
    def __init__(self, plan: Plan):
        self.plan = plan
        self.sizes = {node.name: node.shape for node in plan.nodes}
        self.names = {}  # of values, by the plan's nodes
        self.nodes, self.initializers = [], []

    def add(self, node) -> None:
        if node.op == "input":
            self.names[node.name] = "image"
            return
        if node.op == "constant":
            self.names[node.name] = self.constant(self.plan.arrays[node.arrays["value"]])
            return
        self.shape = node.shape
        inputs = [self.names[name] for name in node.inputs]
        self.shapes = [self.sizes[name] for name in node.inputs]
        arrays = {role: self.plan.arrays[name] for role, name in node.arrays.items()}
        if node.op == "linear":
            arrays["weight"] = arrays["weight"].T  # (out, in); MatMul's second operand is (in, out)
        weights = {role: self.constant(array) for role, array in arrays.items()}
        method = getattr(self, "_do_" + node.op)
        self.names[node.name] = method(*inputs, **weights, **node.attrs)

    def finish(self) -> onnx.ModelProto:
        last, first = self.plan.nodes[-1], next(node for node in self.plan.nodes if node.op == "input")
        self.nodes.append(helper.make_node("Identity", [self.names[last.name]], ["logits"]))
        graph = helper.make_graph(
            self.nodes,
            "network",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, first.shape)],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, last.shape)],
            self.initializers,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
        model.ir_version = 10
        onnx.checker.check_model(model)
        return model

    def constant(self, array, dtype=np.float32) -> str:
        name = f"constant{len(self.initializers)}"
        self.initializers.append(
            numpy_helper.from_array(np.ascontiguousarray(array, dtype).reshape(np.shape(array)), name)
        )
        return name

    def whole(self, *numbers) -> str:
        return self.constant(numbers, np.int64)

    def node(self, op, *inputs, **attributes) -> str:
        name = f"value{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], **attributes))
        return name

    # -- operators

    def _do_conv(self, x, weight, bias=None, *, stride, pad, dilation, groups):
        return self.node(
            "Conv", x, weight, *([bias] if bias else []), strides=stride, pads=pad * 2, dilations=dilation, group=groups
        )

    def _do_batch_norm(self, x, gamma, beta, mean, var, eps):
        return self.node("BatchNormalization", x, gamma, beta, mean, var, epsilon=eps)

    def _do_layer_norm(self, x, gamma, beta, eps, axis):
        if axis == -1:
            return self.node("LayerNormalization", x, gamma, beta, axis=-1, epsilon=eps)
        x = self.node("Transpose", x, perm=[0, 2, 3, 1])
        x = self.node("LayerNormalization", x, gamma, beta, axis=-1, epsilon=eps)
        return self.node("Transpose", x, perm=[0, 3, 1, 2])

    def _do_linear(self, x, weight, bias=None):
        x = self.node("MatMul", x, weight)
        return self.node("Add", x, bias) if bias else x

    def _do_relu(self, x):
        return self.node("Relu", x)

    def _do_sigmoid(self, x):
        return self.node("Sigmoid", x)

    def _do_gelu(self, x):
        return self.node("Gelu", x)

    def _do_silu(self, x):
        return self.node("Mul", x, self.node("Sigmoid", x))

    def _do_max_pool(self, x, kernel, stride, pad):
        return self.node("MaxPool", x, kernel_shape=kernel, strides=stride, pads=pad * 2)

    def _do_adaptive_pool(self, x, size):
        (n, c, h, w), (rows, columns) = self.shapes[0], size
        if rows == columns == 1:
            return self.node("GlobalAveragePool", x)
        if h % rows == 0 and w % columns == 0:
            step = [h // rows, w // columns]
            return self.node("AveragePool", x, kernel_shape=step, strides=step)
        windows = np.einsum("ih,jw->hwij", _windows(rows, h), _windows(columns, w)).reshape(h * w, rows * columns)
        x = self.node("Reshape", x, self.whole(n, c, h * w))
        return self.node("Reshape", self.node("MatMul", x, self.constant(windows)), self.whole(n, c, rows, columns))

    def _do_mean(self, x, axes, keepdims):
        return self.node("ReduceMean", x, self.whole(*axes), keepdims=int(keepdims))

    def _do_add(self, a, b):
        return self.node("Add", a, b)

    def _do_sub(self, a, b):
        return self.node("Sub", a, b)

    def _do_mul(self, a, b):
        return self.node("Mul", a, b)

    def _do_div(self, a, b):
        return self.node("Div", a, b)

    def _do_concat(self, *values, axis):
        return self.node("Concat", *values, axis=axis)

    def _do_reshape(self, x, to):
        return self.node("Reshape", x, self.whole(*to))

    def _do_transpose(self, x, axes):
        return self.node("Transpose", x, perm=axes)

    def _do_slice(self, x, axis, begin, end):
        return self.node("Slice", x, self.whole(begin), self.whole(end), self.whole(axis))

    def _do_matmul(self, a, b, transpose_a, transpose_b):
        a = self._swapped(a, len(self.shapes[0])) if transpose_a else a
        b = self._swapped(b, len(self.shapes[1])) if transpose_b else b
        return self.node("MatMul", a, b)

    def _swapped(self, x, count):
        return self.node("Transpose", x, perm=[*range(count - 2), count - 1, count - 2])

    def _do_resize(self, x, size, align_corners):
        (n, c, h, w) = self.shapes[0]
        if h == w == 1:
            return self.node("Expand", x, self.whole(n, c, *size))
        return self.node(
            "Resize",
            x,
            "",
            "",
            self.whole(n, c, *size),
            mode="linear",
            coordinate_transformation_mode="align_corners" if align_corners else "half_pixel",
        )

    def _do_deform_attention(self, q, k, v, offset, position, heads, scale):
        n, h, w, channels = self.shapes[0]
        depth = channels // heads
        batch = n * heads

        def maps(x, count):  # (n, h, w, heads * count) -> (n * heads, count, h, w)
            x = self.node("Reshape", x, self.whole(n, h, w, heads, count))
            return self.node("Reshape", self.node("Transpose", x, perm=[0, 3, 4, 1, 2]), self.whole(batch, count, h, w))

        # positions (y, x) of all samples, on the scale of -1 to 1
        at = self.node("Reshape", offset, self.whole(n, h, w, heads, TAPS, 2))
        at = self.node("Reshape", self.node("Transpose", at, perm=[0, 3, 4, 1, 2, 5]), self.whole(batch, TAPS, h, w, 2))
        scales = 2 / np.maximum([h - 1, w - 1], 1)
        at = self.node("Add", self.node("Mul", at, self.constant(scales)), self.constant(_places(h, w) * scales - 1))
        at = self.node("Gather", at, self.whole(1, 0), axis=-1)  # GridSample takes x before y
        grid = self.node("Reshape", at, self.whole(batch, TAPS * h, w, 2))

        def sampled(x):
            x = self.node("GridSample", maps(x, depth), grid, mode="linear", padding_mode="zeros", align_corners=1)
            return self.node("Reshape", x, self.whole(batch, depth, TAPS, h * w))

        query = self.node("Reshape", maps(q, depth), self.whole(batch, depth, 1, h * w))
        products = self.node("Mul", sampled(k), query)
        logits = self.node("Mul", self.node("ReduceSum", products, self.whole(1), keepdims=1), self.constant(scale))
        bias = self.node("Reshape", maps(position, TAPS), self.whole(batch, 1, TAPS, h * w))
        p = self.node("Softmax", self.node("Add", logits, bias), axis=2)
        out = self.node("ReduceSum", self.node("Mul", sampled(v), p), self.whole(2), keepdims=0)
        out = self.node("Reshape", out, self.whole(n, heads, depth, h, w))
        return self.node("Reshape", self.node("Transpose", out, perm=[0, 3, 4, 1, 2]), self.whole(n, h, w, channels))


def _windows(targets: int, sources: int) -> np.ndarray:
    """The matrix (targets, sources) of adaptive average pooling."""
    at = np.arange(targets)
    begin, end = at * sources // targets, -(-(at + 1) * sources // targets)
    source = np.arange(sources)
    inside = (source >= begin[:, None]) & (source < end[:, None])
    return inside / inside.sum(1, keepdims=True)


def _places(h: int, w: int) -> np.ndarray:
    """Where the taps lie when nothing displaces them, in pixels: (9, h, w, 2)."""
    tap = np.arange(TAPS)[:, None, None]
    y = np.arange(h)[:, None] - 1 + tap // 3 + np.zeros((1, 1, w))
    x = np.arange(w) - 1 + tap % 3 + np.zeros((1, h, 1))
    return np.stack([y, x], axis=-1)
