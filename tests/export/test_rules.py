"""Every operator's rule against MXNet itself, on small arrays of two shapes, in one file of free sizes."""

import mxnet as mx
import numpy as np
import pytest

from mxnetseg import MXNetSegError
from mxnetseg.export.builder import Builder, translate
from mxnetseg.export.model import Port, compute_once, open_model
from mxnetseg.export.runtime import session_of
from mxnetseg.export.shapes import name_apart, shapes
from mxnetseg.graph import Graph
from mxnetseg.graph.onnx_rules import RULES
from mxnetseg.ops.library import serves

S, c = mx.sym, mx.sym.contrib
x = S.var("data")  # (N, 8, H, W)
SHAPES = [(2, 8, 7, 10), (1, 8, 12, 5), (3, 8, 6, 6)]
small = S.Pooling(x, kernel=(2, 2), stride=(2, 2))
one = c.AdaptiveAvgPooling2D(x, output_size=1)
row = S.mean(x, axis=2)  # (N, 8, W)
tokens = S.transpose(S.reshape(x, shape=(0, 0, -1)), axes=(0, 2, 1))  # (N, H * W, 8)
last = S.transpose(x, axes=(0, 2, 3, 1))  # (N, H, W, 8)
columns, rows = c.arange_like(x, axis=3), c.arange_like(x, axis=2)
w, b = S.var("weight"), S.var("bias")
positive = S.abs(x) + 0.1
flow = S.slice_axis(x, axis=1, begin=0, end=2) * 0.4


def norm(op=S.BatchNorm, **options):
    return op(x, S.var("gamma"), S.var("beta"), S.var("mean"), S.var("var"), **options)


def windows(d):
    """Inputs of attention with two heads of `d` channels: q, k, v, offsets, positions."""

    def many(count):
        return S.concat(*[last * (0.3 + 0.2 * i) for i in range(-(-count // 8))], dim=3).slice_axis(
            axis=3, begin=0, end=count
        )

    return [many(2 * d), many(2 * d) * 0.7, many(2 * d) - 1, many(36) * 2, many(18)]


def unary():
    for name in ("relu", "sigmoid", "tanh", "softsign", "abs", "floor", "ceil", "negative", "erf", "square", "exp"):
        yield name, getattr(S, name)(x)
    for name in ("log", "sqrt"):
        yield name, getattr(S, name)(positive)
    for kind in ("relu", "sigmoid", "tanh", "softsign", "softrelu"):
        yield f"Activation {kind}", S.Activation(x, act_type=kind)
    yield "_copy", S.relu(S.identity(x))
    yield "BlockGrad", S.relu(S.BlockGrad(x))
    yield "Dropout", S.relu(S.Dropout(x, p=0.5))


def pairs():
    for kind, other in (("elemwise", positive), ("broadcast", one)):
        for name in ("add", "sub", "mul", "div"):
            yield f"{kind}_{name}", getattr(S, f"{kind}_{name}")(x, other)
    for name in ("maximum", "minimum", "greater", "greater_equal", "lesser", "lesser_equal", "equal"):
        yield f"broadcast_{name}", getattr(S, f"broadcast_{name}")(S.floor(x), S.floor(one))
    yield "zeros for the order", S.broadcast_add(S.zeros_like(S.slice_axis(x, axis=1, begin=0, end=1)), x)
    yield "zeros that widen", S.broadcast_add(S.zeros_like(x), one)
    yield "where", S.where(x > 0, x * 2, x - 1)


def scalars():
    for value in (0, 1, 2.5):
        yield f"_plus_scalar {value}", S.relu(x) + value
        yield f"_minus_scalar {value}", S.relu(x) - value
        yield f"_mul_scalar {value}", S.relu(x) * value
    for value in (1, 2.5):
        yield f"_div_scalar {value}", S.relu(x) / value
        yield f"_power_scalar {value}", positive**value
    yield "_rminus_scalar", 2 - x
    yield "_rdiv_scalar", 2 / positive
    yield "_rpower_scalar", S.pow(2, x)
    yield "_maximum_scalar", S.maximum(x, 0.5)
    yield "_minimum_scalar", S.minimum(x, 0.5)
    whole = S.floor(x)
    yield "_greater_scalar", whole > 0
    yield "_greater_equal_scalar", whole >= 0
    yield "_lesser_scalar", whole < 0
    yield "_lesser_equal_scalar", whole <= 0
    yield "_equal_scalar", whole == 0
    yield "clip", S.clip(x, -0.5, 1)


def reductions():
    for name in ("sum", "mean", "max", "min"):
        reduce = getattr(S, name)
        yield f"{name} of all", reduce(x)
        yield f"{name} of a row", reduce(columns)
        yield f"{name} over one axis", reduce(x, axis=-2)
        yield f"{name} over two axes", reduce(x, axis=(2, 3), keepdims=True)
        yield f"{name} but one axis", reduce(x, axis=1, exclude=True)
    yield "softmax", S.softmax(x)
    yield "softmax of an axis", S.softmax(x, axis=1, temperature=2.0)
    yield "softmin", S.softmin(x)
    yield "softmin of an axis", S.softmin(x, axis=1)


def products():
    yield "batch_dot", S.batch_dot(row, S.transpose(row, axes=(0, 2, 1)))
    yield "batch_dot, first turned", S.batch_dot(row, row, transpose_a=True)
    yield "batch_dot, second turned", S.batch_dot(row, row, transpose_b=True)
    table = S.var("table")  # (8, 4)
    yield "dot", S.dot(last, table)
    yield "dot, turned", S.dot(last, S.transpose(table), transpose_b=True)
    yield "dot, first turned", S.broadcast_add(S.dot(table, table, transpose_a=True), S.max(x).reshape((1, 1)))
    yield "dot of vectors", S.dot(columns, columns)
    yield "dot with three axes", S.dot(last, S.reshape(table, shape=(8, 2, 2)))
    yield (
        "dot with three axes, turned",
        S.dot(last, S.transpose(S.reshape(table, shape=(8, 2, 2)), axes=(1, 2, 0)), transpose_b=True),
    )
    square = S.broadcast_like(
        S.reshape(S.dot(table, table, transpose_b=True), shape=(1, 8, 8)), tokens, lhs_axes=(0,), rhs_axes=(0,)
    )
    yield "_linalg_gemm2", S.linalg.gemm2(tokens, square)
    yield "_linalg_gemm2, turned", S.linalg.gemm2(tokens, tokens, transpose_a=True, alpha=0.5)
    yield "FullyConnected", S.FullyConnected(last, w, b, num_hidden=6, flatten=False)
    yield "FullyConnected, flat", S.FullyConnected(S.mean(x, axis=(2, 3), keepdims=True), w, num_hidden=6, no_bias=True)


def moves():
    for shape in (
        (0, 0, -1),
        (-3, 0, 0),
        (0, -4, 2, -1, 0, 0),
        (0, 0, -3),
        (-2,),
        (0, 0, 0, 0, 1),
        (1, -1),
        (0, 2, -1),
        (-1, 0, 0),
        (0, -4, -1, 4, -2),
    ):
        yield f"Reshape {shape}", S.reshape(x, shape=shape)
    yield "Reshape, then merged axes", S.reshape(S.reshape(x, shape=(-4, -1, 1, 0, 0, 0)), shape=(0, -3, 0, 0))
    yield "reshape_like", S.reshape_like(S.reshape(x, shape=(-3, 0, 0)), x)
    yield "reshape_like of ranges", S.reshape_like(tokens, last, lhs_begin=1, lhs_end=2, rhs_begin=1, rhs_end=3)
    yield "Flatten", S.Flatten(x)
    yield "squeeze", S.squeeze(one, axis=(2, 3))
    yield "expand_dims", S.expand_dims(x, axis=-1)
    yield "expand_dims in front", S.expand_dims(x, axis=0)
    yield "transpose", S.transpose(x)
    yield "transpose of axes", last
    yield "SwapAxis", S.SwapAxis(x, dim1=1, dim2=3)
    yield "Concat", S.concat(x, positive, dim=1)
    yield "Concat of lengths", S.concat(columns, rows, dim=0)
    yield "stack", S.stack(x, x * 2, axis=2)
    yield "stack behind", S.stack(x, x * 2, axis=4)
    for squeezed in (False, True):
        parts = S.split(x, num_outputs=8 if squeezed else 2, axis=1, squeeze_axis=squeezed)
        yield f"SliceChannel {squeezed}", parts[1] - parts[0]
    yield "slice", S.slice(x, begin=(None, 1, None, 2), end=(None, -1, None, None))
    yield (
        "slice with steps",
        S.slice(x, begin=(None, None, 1, None), end=(None, None, None, -1), step=(None, None, 2, 3)),
    )
    yield "slice backwards", S.slice(x, begin=(None, None, None, -1), end=(None, None, 0, None), step=(None, 1, -2, -1))
    yield "slice of nothing", S.relu(S.slice(x, begin=(None,), end=(None,)))
    yield "slice_axis", S.slice_axis(x, axis=-1, begin=1, end=-1)
    yield "slice_axis to the end", S.slice_axis(x, axis=2, begin=-3, end=None)
    yield "slice_like", S.slice_like(x, small, axes=(2, 3))
    yield "slice_like of all axes", S.slice_like(x, small)
    yield "slice_like of the same size", S.relu(S.slice_like(x, x))
    yield "tile", S.tile(columns, reps=(3,))
    yield "tile with fewer", S.tile(x, reps=(2, 3))
    yield "tile with more", S.tile(columns, reps=(2, 1, 3))
    yield "broadcast_like", S.broadcast_like(one, x)
    yield (
        "broadcast_like of axes",
        S.broadcast_like(S.slice_axis(x, axis=1, begin=0, end=1), x, lhs_axes=(1,), rhs_axes=(1,)),
    )
    for mode in ("constant", "edge", "reflect"):
        more = {"constant_value": 1.5} if mode == "constant" else {}
        yield f"Pad {mode}", S.pad(x, mode=mode, pad_width=(0, 0, 0, 0, 1, 2, 3, 0), **more)
    yield "_contrib_arange_like", columns
    yield "_contrib_arange_like, of channels", S.broadcast_add(c.arange_like(x, axis=1), S.max(x))
    yield "_contrib_arange_like, with steps", c.arange_like(x, axis=2, start=3.0, step=0.5)
    yield "zeros_like", S.zeros_like(x)
    yield "ones_like", S.ones_like(S.max(x)) + S.max(x)


def layers():
    for key, options in {
        "plain": {},
        "strided": dict(stride=(2, 1), pad=(1, 2), dilate=(1, 2)),
        "grouped": dict(num_group=2, no_bias=True),
    }.items():
        biases = [] if "no_bias" in options else [b]
        yield f"Convolution, {key}", S.Convolution(x, w, *biases, kernel=(3, 2), num_filter=6, **options)
    yield "Convolution of one axis", S.Convolution(row, w, b, kernel=(3,), num_filter=6, pad=(1,))
    yield "BatchNorm", norm()
    yield "BatchNorm, scaled", norm(fix_gamma=False, eps=1e-5)
    for axis in (-1, 1):
        gamma, beta = (S.var("gamma"), S.var("beta")) if axis == 1 else (S.var("table1"), S.var("table2"))
        yield f"LayerNorm {axis}", S.LayerNorm(x if axis == 1 else last, gamma, beta, axis=axis, eps=1e-2)
    yield "LeakyReLU prelu", S.LeakyReLU(x, S.var("gamma"), act_type="prelu")
    yield "LeakyReLU prelu of one", S.LeakyReLU(x, S.var("single"), act_type="prelu")
    for kind in ("leaky", "elu", "gelu"):
        yield f"LeakyReLU {kind}", S.LeakyReLU(x, act_type=kind, slope=0.3)
    for kind in ("max", "avg"):
        yield f"Pooling {kind} of all", S.Pooling(x, pool_type=kind, global_pool=True, kernel=(1, 1))
        for convention in ("valid", "full"):
            for counted in (True, False):
                options = dict(pool_type=kind, pooling_convention=convention, count_include_pad=counted)
                yield (
                    f"Pooling {kind} {convention} {counted}",
                    S.Pooling(x, kernel=(3, 3), stride=(2, 2), pad=(1, 1), **options),
                )
                yield f"Pooling {kind} {convention} {counted} 2", S.Pooling(x, kernel=(2, 2), stride=(2, 2), **options)
    yield "Pooling of one", S.relu(S.Pooling(x, kernel=(1, 1), pool_type="avg"))


def resizes():
    for corners in (True, False):
        for of, to in ((small, "small"), (one, "one pixel")):
            yield (
                f"_contrib_BilinearResize2D of {to} {corners}",
                c.BilinearResize2D(of, x, mode="like", align_corners=corners),
            )
        for factor in (2, 3):
            options = dict(mode="size", scale_height=factor, scale_width=factor, align_corners=corners)
            yield f"_contrib_BilinearResize2D by {factor} {corners}", c.BilinearResize2D(x, **options)
        yield (
            f"_contrib_BilinearResize2D down {corners}",
            c.BilinearResize2D(x, small, mode="like", align_corners=corners),
        )
        yield (
            f"_contrib_BilinearResize2D to a size {corners}",
            c.BilinearResize2D(x, height=9, width=4, align_corners=corners),
        )
        yield (
            f"_contrib_BilinearResize2D to the same {corners}",
            c.BilinearResize2D(x, S.relu(x), mode="like", align_corners=corners),
        )
    yield "_contrib_BilinearResize2D to one pixel", c.BilinearResize2D(x, one, mode="like", align_corners=True)
    for size in (1, 2, 5, 6, (3, 1), (2, 9)):
        yield f"_contrib_AdaptiveAvgPooling2D {size}", c.AdaptiveAvgPooling2D(x, output_size=size)


def sampling():
    grid = S.tanh(flow) * 1.2
    yield "BilinearSampler", S.BilinearSampler(x, grid)
    yield "BilinearSampler of one pixel", S.BilinearSampler(one, grid)
    yield "BilinearSampler of a row", S.BilinearSampler(S.mean(x, axis=2, keepdims=True), grid)
    if serves(None):
        offsets = S.concat(x, x * 2, x * 3, dim=1).slice_axis(axis=1, begin=0, end=18)
        yield "mxnetseg_deform_unfold", S.mxnetseg_deform_unfold(x, offsets, padding=1, dilation=1, stride=1)
        options = dict(padding=2, dilation=2, stride=1)
        yield "mxnetseg_deform_unfold, dilated", S.mxnetseg_deform_unfold(x, offsets, **options)
        strided = S.Pooling(offsets, kernel=(1, 1), stride=(2, 2))
        yield "mxnetseg_deform_unfold, strided", S.mxnetseg_deform_unfold(x, strided, padding=1, dilation=1, stride=2)
        pixel = S.mean(offsets, axis=(2, 3), keepdims=True)
        yield (
            "mxnetseg_deform_unfold of one pixel",
            S.mxnetseg_deform_unfold(one, pixel, padding=1, dilation=1, stride=1),
        )
        options = dict(heads=2, scale=0.3, padding=1, dilation=1)
        yield "mxnetseg_deform_attention", S.mxnetseg_deform_attention(*windows(4), **options)


GROUPS = (unary, pairs, scalars, reductions, products, moves, layers, resizes, sampling)
WEIGHTS = {
    "table": (8, 4),
    "table1": (8,),
    "table2": (8,),
    "single": (1,),
    **dict.fromkeys(("gamma", "beta", "mean", "var"), (8,)),
}


def numbers(shape, seed):
    """As likely below zero as above."""
    return np.random.RandomState(seed).uniform(-2, 2, shape).astype("float32")


def outcomes(symbol, spoil=None):
    """What MXNet and ONNX Runtime give for each of SHAPES; `spoil` may change the attributes of the ONNX nodes."""
    graph = Graph(symbol)
    name_apart(graph)
    symbol = graph.symbol()
    names = [name for name in symbol.list_inputs() if name != "data"]
    given = {name: shape for name, shape in WEIGHTS.items() if name in names}
    inferred = symbol.infer_shape(data=SHAPES[0], **given)
    sizes = dict(zip(symbol.list_arguments() + symbol.list_auxiliary_states(), inferred[0] + inferred[2]))
    arrays = {name: mx.nd.array(numbers(sizes[name], seed)) for seed, name in enumerate(names)}
    if "var" in arrays:
        arrays["var"] = arrays["var"].abs() + 0.1
    builder = Builder()
    values = translate(builder, graph, "image", arrays, {}, shapes(graph, arrays, SHAPES))
    output = values[graph.heads[0].node.name]
    compute_once(builder, [output])
    if spoil:
        builder.nodes = [node._replace(attributes=spoil(node.attributes)) for node in builder.nodes]
    port = Port("image", "float32", ["batch", 8, "height", "width"])
    session = session_of(open_model(builder, [port], [output]), plain=True)
    for shape in SHAPES[:2]:
        image = numbers(shape, 99)
        wanted = mx.nd.CachedOp(symbol)(
            *(mx.nd.array(image) if n == "data" else arrays[n] for n in symbol.list_inputs())
        )
        yield wanted.asnumpy(), session.run([output], {"image": image})[0]


def check(name, symbol, spoil=None):
    for wanted, found in outcomes(symbol, spoil):
        assert found.shape == wanted.shape and found.dtype == np.float32, f"{name}: {found.shape}, not {wanted.shape}"
        np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=5e-6, err_msg=name)


@pytest.mark.parametrize("group", GROUPS, ids=[group.__name__ for group in GROUPS])
def test_rules(group):
    for name, symbol in group():
        check(name, symbol)


def test_every_rule_has_a_case():
    tried = {node.op for group in GROUPS for _, symbol in group() for node in Graph(symbol).operators()}
    own = {name for name in RULES if name.startswith("mxnetseg_")}
    assert set(RULES) - (set() if serves(None) else own) <= tried


OTHER = {
    "align_corners": lambda value: 1 - value,
    "coordinate_transformation_mode": lambda value: "half_pixel" if value == "align_corners" else "align_corners",
    "count_include_pad": lambda value: 1 - value,
    "epsilon": lambda value: 10 * value + 0.1,
    "alpha": lambda value: value / 2,
    "axis": lambda value: value - 1,
}


@pytest.mark.parametrize(
    "attribute, name",
    [
        ("align_corners", "BilinearSampler"),
        ("coordinate_transformation_mode", "_contrib_BilinearResize2D of small True"),
        ("coordinate_transformation_mode", "_contrib_BilinearResize2D of small False"),
        ("coordinate_transformation_mode", "_contrib_BilinearResize2D by 2 True"),
        ("coordinate_transformation_mode", "_contrib_BilinearResize2D by 2 False"),
        ("count_include_pad", "Pooling avg valid True"),
        ("count_include_pad", "Pooling avg full False"),
        ("epsilon", "BatchNorm"),
        ("epsilon", "LayerNorm -1"),
        ("alpha", "LeakyReLU elu"),
        ("axis", "softmax of an axis"),
    ],
)
def test_a_wrong_attribute_is_noticed(attribute, name):
    symbol = dict(case for group in (layers, reductions, resizes, sampling) for case in group())[name]

    def spoil(attributes):
        return {key: OTHER[key](value) if key == attribute else value for key, value in attributes.items()}

    with pytest.raises(AssertionError, match=name):
        check(name, symbol, spoil)


@pytest.mark.parametrize(
    "symbol, message",
    [
        (S.erfinv(x), "operator erfinv can't be written as ONNX"),
        (S.Pooling(x, kernel=(2, 2), pool_type="lp", p_value=2), "Pooling with pool_type=lp"),
        (c.BilinearResize2D(x, mode="odd_scale", scale_height=2, scale_width=2), "with mode=odd_scale"),
        (c.BilinearResize2D(x, scale_height=1.5, scale_width=1.5), "with scale_height=1.5"),
        (S.softmax(x, S.sum(x, axis=3), use_length=True), "softmax with use_length=True"),
        (c.arange_like(x), "with axis=None"),
    ],
)
def test_what_has_no_counterpart_is_an_error(symbol, message):
    with pytest.raises(MXNetSegError, match=message):
        list(outcomes(symbol))
