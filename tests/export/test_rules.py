"""Every operator's rule against MXNet itself, on small arrays of two shapes, in one file of free sizes."""

import mxnet as mx
import numpy as np
import pytest

from mxnetseg import MXNetSegError
from mxnetseg.export.builder import Builder, translate
from mxnetseg.export.model import Port, compute_once, open_model
from mxnetseg.export.runtime import session_of
from mxnetseg.export.shapes import shapes
from mxnetseg.graph import Graph
from mxnetseg.graph.onnx_rules import RULES
from mxnetseg.ops.library import serves

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

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


def norm(op=S.BatchNorm, of=x, **options):
    return op(of, S.var("gamma"), S.var("beta"), S.var("mean"), S.var("var"), **options)


def windows(d):
    """Inputs of attention with two heads of `d` channels: q, k, v, offsets, positions."""

    def many(count):
        return S.concat(*[last * (0.3 + 0.2 * i) for i in range(-(-count // 8))], dim=3).slice_axis(
            axis=3, begin=0, end=count
        )

    return [many(2 * d), many(2 * d) * 0.7, many(2 * d) - 1, many(36) * 2, many(18)]


ANYWHERE = """relu sigmoid tanh softsign hard_sigmoid abs sign floor ceil negative erf square exp expm1 reciprocal cbrt
sin cos tan sinh cosh arctan arcsinh degrees radians fix trunc"""
ABOVE_ZERO = "log log2 log10 log1p sqrt rsqrt"
SMALL = "arcsin arccos arctanh"  # between -1 and 1


def unary():
    for names, of in ((ANYWHERE, x), (ABOVE_ZERO, positive), (SMALL, x * 0.4)):
        for name in names.split():
            yield name, getattr(S, name)(of)
    yield "arccosh", S.arccosh(positive + 1)
    for name in ("rint", "round", "fix", "trunc"):
        yield f"{name} of halves", getattr(S, name)(S.floor(x * 4) / 2)
    yield "logical_not", S.logical_not(S.floor(x))
    yield "hard_sigmoid of its own slope", S.hard_sigmoid(x, alpha=0.3, beta=0.4)
    for dtype in ("int8", "int32", "int64", "bool", "float16", "float64", "float32"):
        yield f"Cast {dtype}", S.cast(S.cast(x * 3, dtype), "float32")
    yield "Cast uint8", S.cast(S.cast(positive * 60, "uint8"), "float32")
    yield "amp_cast", S.amp_cast(S.amp_cast(x, dtype="float16"), dtype="float32")
    for name in ("make_loss", "MakeLoss"):
        yield name, S.relu(getattr(S, name)(x))
    for kind in ("relu", "sigmoid", "tanh", "softsign", "softrelu"):
        yield f"Activation {kind}", S.Activation(x, act_type=kind)
    yield "_copy", S.relu(S.identity(x))
    yield "BlockGrad", S.relu(S.BlockGrad(x))
    yield "Dropout", S.relu(S.Dropout(x, p=0.5))


OF_TWO = """maximum minimum mod hypot greater greater_equal lesser lesser_equal equal not_equal
logical_and logical_or logical_xor"""


def pairs():
    for kind, other in (("elemwise", positive), ("broadcast", one)):
        for name in ("add", "sub", "mul", "div"):
            yield f"{kind}_{name}", getattr(S, f"{kind}_{name}")(x, other)
    whole, other = S.floor(x), S.floor(positive)
    for name in OF_TWO.split():
        yield f"broadcast_{name}", getattr(S, f"broadcast_{name}")(whole, S.floor(one))
        yield f"_{name}", getattr(S._internal, f"_{name}")(whole, other)
        yield f"_{name}_scalar", getattr(S._internal, f"_{name}_scalar")(whole, scalar=1)
    yield "_power", positive**x
    yield "broadcast_power", S.broadcast_power(positive, one)
    for divisor in (1.5, -1.5):
        yield f"_mod_scalar {divisor}", x % divisor
    yield "_rmod_scalar", 1.5 % x
    yield "_mod", x % positive
    yield "broadcast_mod", S.broadcast_mod(x, S.floor(one) + 1.5)
    yield "add_n", S.add_n(x, positive, x * 2)
    yield "zeros for the order", S.broadcast_add(S.zeros_like(S.slice_axis(x, axis=1, begin=0, end=1)), x)
    yield "zeros that widen", S.broadcast_add(S.zeros_like(x), one)
    yield "where", S.where(x > 0, x * 2, x - 1)
    yield "where of images", S.where(S.mean(x, axis=0, exclude=True), x * 2, x - 1)


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
    yield "clip", S.clip(x, -0.5, 1)


def reductions():
    for name in ("sum", "mean", "max", "min", "prod", "nansum", "nanprod", "norm"):
        reduce = getattr(S, name)
        yield f"{name} of all", reduce(x)
        yield f"{name} of a row", reduce(columns)
        yield f"{name} over one axis", reduce(x, axis=-2)
        yield f"{name} over two axes", reduce(x, axis=(2, 3), keepdims=True)
        if name != "norm":
            yield f"{name} but one axis", reduce(x, axis=1, exclude=True)
    yield "norm of absolute values", S.norm(x, ord=1, axis=1)
    for name in ("nansum", "nanprod"):
        yield f"{name} with NaN", getattr(S, name)(S.log(x), axis=2)
    for name in ("argmax", "argmin"):
        place = getattr(S, name)
        yield name, place(x, axis=1)
        yield f"{name} kept", place(S.floor(x), axis=-1, keepdims=True)
        yield f"{name} of a row", place(columns, axis=0)
    for kept in (False, True):
        mean, variance = S.moments(x, axes=(2, 3), keepdims=kept)
        yield f"moments {kept}", S.broadcast_add(mean, variance * 2)
    yield "cumsum", S.cumsum(x, axis=2)
    yield "cumsum of all", S.cumsum(x)
    for name in ("softmax", "softmin", "log_softmax"):
        yield name, getattr(S, name)(x)
        yield f"{name} of an axis", getattr(S, name)(x, axis=1, temperature=2.0)
    for mode in ("instance", "channel"):
        yield f"SoftmaxActivation {mode}", S.SoftmaxActivation(x, mode=mode)


def indices():
    places = S.floor(x * 4)  # some are out of range
    table = S.var("table")
    for mode in ("clip", "wrap"):
        yield f"take {mode}", S.take(table, places, mode=mode)
        yield f"take {mode} of columns", S.take(x, S.floor(columns * 1.5 - 2), axis=-1, mode=mode)
        yield f"pick {mode}", S.pick(x, S.max(places, axis=1), axis=1, mode=mode)
    yield "pick kept", S.pick(x, S.max(places, axis=2, keepdims=True), axis=2, keepdims=True)
    yield "Embedding", S.Embedding(places, S.var("w"), input_dim=5, output_dim=3)
    where = S.stack(S.clip(S.floor(columns / 2), 0, 2), columns * 0 + 3, axis=0)
    yield "gather_nd", S.gather_nd(table, where)
    yield "one_hot", S.one_hot(places, depth=3)
    yield "one_hot of other numbers", S.one_hot(S.argmax(x, axis=1), depth=8, on_value=2, off_value=-1)
    for up in (False, True):
        yield f"sort {up}", S.sort(x, axis=2, is_ascend=up)
        yield f"argsort {up}", S.argsort(x, is_ascend=up)
        yield f"topk {up}", S.topk(x, k=3, axis=1, is_ascend=up)
        values, where = S.topk(x, k=2, ret_typ="both", is_ascend=up)
        yield f"topk both {up}", values * 10 + where
    yield "topk of values", S.topk(x, k=4, axis=2, ret_typ="value")
    yield "topk of all", S.topk(x, k=4, axis=None, ret_typ="value")


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
    yield "_contrib_div_sqrt_dim", c.div_sqrt_dim(x)
    sequence = S.concat(*[S.transpose(tokens, axes=(1, 0, 2)) * (1 - 0.3 * i) for i in range(3)], dim=2)
    scores = c.interleaved_matmul_selfatt_qk(sequence, heads=2)
    yield "_contrib_interleaved_matmul_selfatt_qk", scores
    yield "_contrib_interleaved_matmul_selfatt_valatt", c.interleaved_matmul_selfatt_valatt(sequence, scores, heads=2)
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
        parts = S.split_v2(x, 8 if squeezed else 2, axis=1, squeeze_axis=squeezed)
        yield f"_split_v2 {squeezed}", parts[1] - parts[0]
    parts = S.split_v2(x, (2, 3), axis=3)
    yield "_split_v2 at places", S.broadcast_add(S.sum(parts[0] * 2, axis=3, keepdims=True), parts[2])
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
    yield "repeat", S.repeat(x, repeats=2, axis=2)
    yield "repeat of all", S.repeat(x, repeats=3)
    yield "repeat of the last", S.repeat(x, repeats=3, axis=-1)
    yield "reverse", S.flip(x, axis=3)
    yield "reverse of two", S.reverse(x, axis=(1, 2))
    yield "Crop", S.Crop(x, offset=(1, 2), h_w=(3, 2))
    yield "Crop like another", S.Crop(x, small, num_args=2, offset=(1, 0))
    yield "Crop of the middle", S.Crop(c.BilinearResize2D(x, height=9, width=6), h_w=(4, 3), center_crop=True)
    yield "Crop of nothing", S.relu(S.Crop(x, x * 2, num_args=2))
    yield "depth_to_space", S.depth_to_space(x, 2)
    yield "space_to_depth", S.space_to_depth(c.BilinearResize2D(x, height=8, width=6), 2)
    yield "broadcast_to", S.broadcast_to(S.mean(x, axis=1, keepdims=True), shape=(0, 3, 0, 0))
    yield "broadcast_axis", S.broadcast_axis(one, axis=(2, 3), size=(4, 5))
    yield "shape_array", S.cast(S.shape_array(x), "float32")
    yield "size_array", S.cast(S.size_array(x), "float32")
    made = S.zeros((1, 8, 1, 1)) + S.ones((1, 8, 1, 1)) + S._internal._full(shape=(1, 8, 1, 1), value=2.5)
    yield "constants", S.broadcast_add(made, x)
    ranges = S.reshape(S.arange(1, 17, 2) + S.linspace(0, 1, 8), shape=(1, 8))
    yield "ranges", S.broadcast_add(S.dot(ranges, S.eye(8)), S.max(S.max(x, axis=2), axis=2))
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
    for key, options in {
        "plain": dict(kernel=(3, 2)),
        "twice the size": dict(kernel=(4, 4), stride=(2, 2), pad=(1, 1)),
        "with more": dict(kernel=(3, 3), stride=(2, 3), pad=(1, 0), adj=(1, 2)),
        "in groups": dict(kernel=(3, 3), num_group=2, dilate=(2, 1)),
    }.items():
        yield f"Deconvolution, {key}", S.Deconvolution(x, w, num_filter=6, **options)
    yield "Deconvolution with a bias", S.Deconvolution(x, w, b, kernel=(2, 2), num_filter=6, no_bias=False)
    for scale in (2, 3):
        yield f"UpSampling {scale}", S.UpSampling(x, scale=scale, sample_type="nearest")
        options = dict(scale=scale, sample_type="bilinear", num_filter=8)
        yield f"UpSampling bilinear {scale}", S.UpSampling(x, w, **options)
    for mode in ("concat", "sum"):
        options = dict(scale=2, sample_type="nearest", multi_input_mode=mode, num_args=2)
        yield f"UpSampling {mode}", S.UpSampling(x, S.repeat(S.repeat(x, 2, axis=2), 2, axis=3), **options)
    for groups, parts, stride in ((1, 1, (1, 1)), (2, 2, (2, 1))):
        window = dict(kernel=(3, 2), stride=stride, pad=(2, 1), dilate=(2, 1))
        offset = S.Convolution(x, S.var("away"), num_filter=12 * parts, no_bias=True, **window) * 0.1
        mask = S.sigmoid(S.slice_axis(offset, axis=1, begin=0, end=6 * parts))
        options = dict(num_filter=6, num_group=groups, num_deformable_group=parts, **window)
        yield f"_contrib_DeformableConvolution {groups}", c.DeformableConvolution(x * 0.3, offset, w, b, **options)
        convolved = c.ModulatedDeformableConvolution(x, offset, mask, w, b, **options)
        yield f"_contrib_ModulatedDeformableConvolution {groups}", convolved
    yield "BatchNorm", norm()
    yield "BatchNorm of another axis", norm(of=last, axis=3)
    yield "_contrib_SyncBatchNorm", norm(c.SyncBatchNorm, key="a")
    yield "InstanceNorm", S.InstanceNorm(x, S.var("gamma"), S.var("beta"), eps=1e-2)
    yield "GroupNorm", S.GroupNorm(x, w, b, num_groups=4, eps=1e-2)
    for mode in ("instance", "channel", "spatial"):
        yield f"L2Normalization {mode}", S.L2Normalization(x, mode=mode, eps=0.1)
    yield "LRN", S.LRN(x, nsize=3, alpha=0.1, beta=0.7, knorm=1.5)
    yield "BatchNorm, scaled", norm(fix_gamma=False, eps=1e-5)
    for axis in (-1, 1):
        gamma, beta = (S.var("gamma"), S.var("beta")) if axis == 1 else (S.var("table1"), S.var("table2"))
        yield f"LayerNorm {axis}", S.LayerNorm(x if axis == 1 else last, gamma, beta, axis=axis, eps=1e-2)
    yield "LeakyReLU prelu", S.LeakyReLU(x, S.var("gamma"), act_type="prelu")
    yield "LeakyReLU prelu of one", S.LeakyReLU(x, S.var("single"), act_type="prelu")
    for kind in ("leaky", "elu", "gelu", "selu"):
        yield f"LeakyReLU {kind}", S.LeakyReLU(x, act_type=kind, slope=0.3)
    for bounds in ({}, dict(lower_bound=0.2, upper_bound=0.5)):
        yield f"LeakyReLU rrelu {bounds}", S.LeakyReLU(x, act_type="rrelu", **bounds)[0]
    for power in (1, 2):
        for convention in ("valid", "full"):
            options = dict(pool_type="lp", p_value=power, pooling_convention=convention)
            yield f"Pooling lp {power} {convention}", S.Pooling(x, kernel=(3, 2), stride=(2, 2), pad=(1, 1), **options)
    yield "im2col", S.im2col(x, kernel=(3, 2), stride=(2, 1), pad=(1, 1), dilate=(1, 2))
    for kind in ("max", "avg", "sum"):
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
    for factor in (1.125, 1.5):
        larger = c.BilinearResize2D(x, scale_height=factor, scale_width=factor, align_corners=True)
        yield f"_contrib_BilinearResize2D by {factor}", larger
    yield "_contrib_BilinearResize2D to one pixel", c.BilinearResize2D(x, one, mode="like", align_corners=True)
    for size in (1, 2, 5, 6, (3, 1), (2, 9)):
        yield f"_contrib_AdaptiveAvgPooling2D {size}", c.AdaptiveAvgPooling2D(x, output_size=size)


def sampling():
    grid = S.tanh(flow) * 1.2
    yield "GridGenerator warp", S.GridGenerator(flow, transform_type="warp")
    six = S.slice_axis(S.mean(x, axis=(2, 3)), axis=1, begin=0, end=6)
    yield "GridGenerator affine", S.GridGenerator(six, transform_type="affine", target_shape=(4, 5))
    options = dict(transform_type="affine", sampler_type="bilinear", target_shape=(4, 5))
    yield "SpatialTransformer", S.SpatialTransformer(x, six, **options)
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


GROUPS = (unary, pairs, scalars, reductions, indices, products, moves, layers, resizes, sampling)
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
    names = [name for name in symbol.list_inputs() if name != "data"]
    given = {name: shape for name, shape in WEIGHTS.items() if name in names}
    inferred = symbol.infer_shape(data=SHAPES[0], **given)
    sizes = dict(zip(symbol.list_arguments() + symbol.list_auxiliary_states(), inferred[0] + inferred[2]))
    arrays = {name: mx.nd.array(numbers(sizes[name], seed)) for seed, name in enumerate(names)}
    if "var" in arrays:
        arrays["var"] = arrays["var"].abs() + 0.1
    builder = Builder()
    values = translate(builder, graph, "image", arrays, shapes(graph, arrays, SHAPES))
    output = values[graph.heads[0]]
    compute_once(builder, [output])
    if spoil:
        builder.nodes = [node._replace(attributes=spoil(node.attributes)) for node in builder.nodes]
    port = Port("image", "float32", ["batch", 8, "height", "width"])
    session = session_of(open_model(builder, port, [output]), plain=True)
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
        (S.erfinv(x), "operator erfinv has no form in ONNX .ONNX has no such function.; build"),
        (S.smooth_l1(x), "operator smooth_l1 can't be written as ONNX"),
        (
            S.broadcast_add(S.random.uniform(shape=(1, 8, 1, 1)), x),
            "_random_uniform has no form in ONNX .it gives random numbers",
        ),
        (S.Pooling(x, kernel=(2, 2), pool_type="lp", p_value=3), "Pooling with p_value=3"),
        (
            S.Deconvolution(one, w, kernel=(3, 3), num_filter=2, target_shape=(3, 3)),
            "with target_shape=",
        ),
        (S.topk(x, ret_typ="mask"), "with ret_typ=mask"),
        (c.BilinearResize2D(x, mode="odd_scale", scale_height=2, scale_width=2), "with mode=odd_scale"),
        (c.BilinearResize2D(x, scale_height=1.3, scale_width=1.3), "with scale_height=1.3"),
        (c.BilinearResize2D(x, scale_height=1.5, scale_width=1.5, align_corners=False), "with scale_height=1.5"),
        (S.softmax(x, S.sum(x, axis=3), use_length=True), "softmax with use_length=True"),
        (c.arange_like(x), "with axis=None"),
    ],
)
def test_what_has_no_counterpart_is_an_error(symbol, message):
    with pytest.raises(MXNetSegError, match=message):
        list(outcomes(symbol))
