"""Deformable sampling and attention: goldens, reference, operator and composition agree, wherever MXNet runs them.

tests/goldens/families/deform_unfold.npz: values of DGMN2's own CUDA functions compiled for a CPU, float64.
"""

import hashlib
import importlib.util
import subprocess
import sys
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, nd
from mxnet.gluon import HybridBlock, SymbolBlock

from mxnetseg import ops
from mxnetseg.errors import MXNetSegError
from mxnetseg.ops import build, compilers
from mxnetseg.ops.deform import composed

from . import deform_reference as reference
from .helpers import assert_close, finish, run, run_forward_backward

ROOT = Path(__file__).resolve().parents[2]
GOLDENS = np.load(ROOT / "tests" / "goldens" / "families" / "deform_unfold.npz")
CASES = sorted({name.split("/")[0] for name in GOLDENS.files})
# positions that are whole numbers: the composition may take the other one-sided derivative there
SMOOTH = ("randn_odd", "randn_big", "borders_3x3", "far_outside")
TOLERANCE = {"float64": 1e-12, "float32": 1e-5}

# heads, channels per head, batch, height, width; channels cover blocks of four vectors, of one, and what is left
SIZES = ((2, 5, 2, 5, 7), (1, 64, 1, 6, 5), (3, 20, 1, 4, 9), (2, 150, 1, 3, 3), (1, 1, 1, 1, 1), (1, 16, 2, 1, 6))


@pytest.fixture(params=["operator", "composed"])
def implementation(request):
    return request.getfixturevalue("operators") if request.param == "operator" else composed


def golden(case, *names):
    return [GOLDENS[f"{case}/{name}"].astype("float64") for name in names]


def attention_inputs(heads, d, batch, height, width, seed=0, spread=1.5):
    """q, k, v, offset, position and a gradient; whole pixels are kept away from."""
    rng = np.random.RandomState(seed)
    shape = (batch, height, width)
    maps = [rng.randn(*shape, heads * d) * 0.5 for _ in range(3)]
    offset = np.floor(rng.randn(*shape, heads * 18) * spread) + rng.uniform(0.05, 0.95, (*shape, heads * 18))
    return [*maps, offset, rng.randn(*shape, heads * 9), rng.randn(*shape, heads * d)]


def reference_attention(inputs, **options):
    return [
        reference.deform_attention(*inputs[:-1], **options),
        *reference.deform_attention_backward(*inputs, **options),
    ]


# ---- values


@pytest.mark.parametrize("case", CASES)
def test_reference_gives_the_goldens(case):
    x, offset, cotangent, *wanted = golden(case, "x", "offset", "cotangent", "out64", "gin64", "goff64")
    got = [reference.deform_unfold(x, offset), *reference.deform_unfold_backward(x, offset, cotangent)]
    assert_close(got, wanted, 1e-14)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", CASES)
def test_unfold_gives_the_goldens(implementation, case, dtype):
    x, offset, cotangent, *wanted = golden(case, "x", "offset", "cotangent", "out64", "gin64", "goff64")
    got = run_forward_backward(lambda *a: implementation.deform_unfold(nd, *a), (x, offset), cotangent, dtype)
    if implementation is composed and case not in SMOOTH:
        got, wanted = got[:2], wanted[:2]
    assert_close(got, wanted, TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", ["float64", pytest.param("float32", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "height, width, options",
    [
        (7, 9, dict(stride=2)),
        (8, 5, dict(stride=3, padding=2, dilation=2)),
        (9, 6, dict(padding=0)),
        (5, 5, dict(padding=3, dilation=3)),
        (3, 11, dict(padding=0, stride=2)),
    ],
)
def test_stride_dilation_and_padding(implementation, height, width, options, dtype):
    rng = np.random.RandomState(1)
    given = {"padding": 1, "dilation": 1, "stride": 1, **options}
    sizes = [
        (size + 2 * given["padding"] - 2 * given["dilation"] - 1) // given["stride"] + 1 for size in (height, width)
    ]
    x = rng.randn(2, 3, height, width)
    offset = np.floor(rng.randn(2, 18, *sizes) * 2) + rng.uniform(0.05, 0.95, (2, 18, *sizes))
    grad = rng.randn(2, 27, sizes[0] * sizes[1])
    wanted = [
        reference.deform_unfold(x, offset, **options),
        *reference.deform_unfold_backward(x, offset, grad, **options),
    ]
    got = run_forward_backward(lambda *a: implementation.deform_unfold(nd, *a, **options), (x, offset), grad, dtype)
    assert_close(got, wanted, TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("size", SIZES)
def test_attention_gives_the_reference(implementation, size, dtype):
    *inputs, grad = attention_inputs(*size)
    options = dict(heads=size[0], scale=size[1] ** -0.5)
    got = run_forward_backward(lambda *a: implementation.deform_attention(nd, *a, **options), inputs, grad, dtype)
    assert_close(got, reference_attention([*inputs, grad], **options), TOLERANCE[dtype])


def test_attention_dilation_and_padding(implementation):
    *inputs, grad = attention_inputs(2, 6, 1, 7, 6)
    options = dict(heads=2, scale=0.3, dilation=2, padding=2)
    got = run_forward_backward(lambda *a: implementation.deform_attention(nd, *a, **options), inputs, grad)
    assert_close(got, reference_attention([*inputs, grad], **options), 1e-12)


def test_attention_is_unfold_and_softmax():
    """The reference of the one operator against that of the other, written out."""
    q, k, v, offset, position, _ = attention_inputs(1, 4, 1, 3, 5)
    maps = [array.transpose(0, 3, 1, 2) for array in (k, v, offset)]
    keys, values = (reference.deform_unfold(array, maps[2]).reshape(4, 9, 3, 5) for array in maps[:2])
    logits = 0.5 * np.einsum("hwc,cthw->hwt", q[0], keys) + position[0]
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    got = reference.deform_attention(q, k, v, offset, position, heads=1, scale=0.5)
    np.testing.assert_allclose(got[0], np.einsum("hwt,cthw->hwc", p, values), rtol=1e-12)


def test_gradients_are_the_differences(operators):
    *inputs, grad = attention_inputs(2, 3, 1, 4, 3)
    options = dict(heads=2, scale=0.6)

    def value(*arrays):
        out = ops.deform_attention(nd, *(nd.array(a, dtype="float64") for a in arrays), **options)
        return (out.asnumpy() * grad).sum()

    gradients = run_forward_backward(lambda *a: ops.deform_attention(nd, *a, **options), inputs, grad)[1:]
    rng = np.random.RandomState(2)
    for which, gradient in enumerate(gradients):
        for place in rng.randint(0, gradient.size, 12):
            step = np.zeros(gradient.size)
            step[place] = 1e-6
            step = step.reshape(gradient.shape)
            up, down = ([a + s * step if i == which else a for i, a in enumerate(inputs)] for s in (1, -1))
            assert (value(*up) - value(*down)) / 2e-6 == pytest.approx(gradient.flat[place], abs=1e-7)


@pytest.mark.parametrize("side", ["top", "bottom", "left", "right"])
def test_borders(implementation, side):
    """Just inside, on and beyond each border of a map of ones: the sample fades to 0 over one pixel."""
    size, channel = 4, 0 if side in ("top", "bottom") else 1
    places = {"top": [-1.5, -1, -0.75, -0.25, 0.25], "bottom": [4.5, 4, 3.75, 3.25, 2.75]}
    places = places["top" if side in ("top", "left") else "bottom"]
    for place, wanted in zip(places, (0, 0, 0.25, 0.75, 1)):
        offset = np.zeros((1, 18, size, size))
        # sample 4 of output pixel (1, 1) has its place at (1, 1)
        offset[0, 8 + channel, 1, 1] = place - 1
        got = run_forward_backward(
            lambda *a: implementation.deform_unfold(nd, *a),
            (np.ones((1, 1, size, size)), offset),
            np.eye(9)[4][:, None] * np.eye(16)[5] * np.ones((1, 1, 1)),
        )
        assert got[0][0, 4, 5] == pytest.approx(wanted, abs=1e-12)
        slope = 0 if wanted in (0, 1) else 1 if side in ("top", "left") else -1
        assert got[2][0, 8 + channel, 1, 1] == pytest.approx(slope, abs=1e-12)


def test_far_and_undefined_positions_count_as_outside(implementation):
    x, offset = nd.ones((1, 1, 3, 3)), nd.zeros((1, 18, 3, 3))
    offset[:] = nd.array([1e30, -1e30, np.nan, np.inf, -np.inf, 1e9] * 3).reshape((1, 18, 1, 1))
    assert (implementation.deform_unfold(nd, x, offset).asnumpy() == 0).all()


def test_undefined_logits_stay_undefined(operators):
    *inputs, _ = attention_inputs(1, 4, 1, 2, 2)
    inputs[4][0, 0, 0, 3] = np.nan
    out = ops.deform_attention(nd, *map(nd.array, inputs), heads=1, scale=1).asnumpy()
    assert np.isnan(out[0, 0, 0]).all() and np.isfinite(out[0, 1]).all()


def test_sharp_logits(operators):
    *inputs, _ = attention_inputs(1, 8, 1, 3, 3)
    inputs[4] *= 100
    out = ops.deform_attention(nd, *map(nd.array, inputs), heads=1, scale=1).asnumpy()
    assert_close([out], [reference.deform_attention(*inputs, heads=1, scale=1)], 1e-5)


# ---- MXNet's ways of running an operator


class Attention(HybridBlock):
    """The operator between others, its first input used twice."""

    def __init__(self, module=ops):
        super().__init__()
        self.module = module

    def hybrid_forward(self, F, q, k, v, offset, position):
        return self.module.deform_attention(F, q * 2, k + q, v, offset, position, heads=2, scale=0.5) + q


class Unfold(HybridBlock):
    def __init__(self, module=ops):
        super().__init__()
        self.module = module

    def hybrid_forward(self, F, x, offset):
        return self.module.deform_unfold(F, x * 1, offset, stride=2).sum(axis=1)


@pytest.mark.parametrize("flags", [{}, dict(static_alloc=True), dict(static_alloc=True, static_shape=True)])
def test_hybridize(implementation, flags):
    for block, shapes in (
        (Attention, [(2, 4, 5, 6)] * 3 + [(2, 4, 5, 36), (2, 4, 5, 18), (2, 4, 5, 6)]),
        (Unfold, [(2, 3, 7, 6), (2, 18, 4, 3), (2, 12)]),
    ):
        rng = np.random.RandomState(3)
        plain, compiled = block(implementation), block(implementation)
        compiled.hybridize(**flags)
        for _ in range(3):
            *inputs, grad = (rng.randn(*shape) for shape in shapes)
            assert_close(run_forward_backward(compiled, inputs, grad), run_forward_backward(plain, inputs, grad), 1e-13)


def test_a_second_shape_after_hybridize(operators):
    net = Attention()
    net.hybridize(static_alloc=True)
    for height in (4, 6):
        inputs = [nd.array(a, dtype="float64") for a in attention_inputs(2, 3, 1, height, 5)[:5]]
        assert_close([net(*inputs).asnumpy()], [Attention()(*inputs).asnumpy()], 1e-13)


@pytest.mark.parametrize("uses", [1, 2, 9])
def test_gradients_add_up(implementation, uses):
    """grad_req="add", and inputs that several operators share."""
    *inputs, grad = attention_inputs(2, 3, 1, 3, 4)
    options = dict(heads=2, scale=0.5)
    wanted = reference.deform_attention_backward(*inputs, grad, **options)
    arrays = [nd.array(value, dtype="float64") for value in inputs]
    for array in arrays:
        array.attach_grad("add")
    for _ in range(2):
        with autograd.record():
            outs = [implementation.deform_attention(nd, *arrays, **options) for _ in range(uses)]
            total = nd.add_n(*outs)
        total.backward(nd.array(grad, dtype="float64"))
    assert_close([a.grad.asnumpy() for a in arrays], [2 * uses * g for g in wanted], 1e-12)


def test_gradients_of_some_inputs_only(operators):
    *inputs, grad = attention_inputs(2, 3, 1, 3, 4)
    wanted = reference.deform_attention_backward(*inputs, grad, heads=2, scale=0.5)
    for which in range(5):
        arrays = [nd.array(value, dtype="float64") for value in inputs]
        arrays[which].attach_grad()
        with autograd.record():
            out = ops.deform_attention(nd, *arrays, heads=2, scale=0.5)
        out.backward(nd.array(grad, dtype="float64"))
        assert_close([arrays[which].grad.asnumpy()], [wanted[which]], 1e-12)


RELOAD = """
import hashlib, sys
import numpy as np
import mxnetseg, mxnet as mx
from mxnetseg import ops
ops.load()
from mxnet import autograd, nd
from mxnet.gluon import SymbolBlock
names = ["q", "k", "v", "offset", "position"]
net = SymbolBlock.imports(sys.argv[1] + "-symbol.json", names)
saved = np.load(sys.argv[1] + ".npz")
arrays = [nd.array(saved[name], dtype="float32") for name in names]
for array in arrays:
    array.attach_grad()
with autograd.record():
    out = net(*arrays)
out.backward(nd.array(saved["grad"], dtype="float32"))
digest = hashlib.sha256(b"".join(a.asnumpy().tobytes() for a in [out, *(a.grad for a in arrays)]))
print(digest.hexdigest())
"""


def test_export_and_another_process(operators, tmp_path):
    """An exported network runs in a fresh process."""
    values = attention_inputs(2, 40, 1, 24, 9)
    names = ("q", "k", "v", "offset", "position", "grad")
    path = str(tmp_path / "net")
    np.savez(path + ".npz", **dict(zip(names, values)))
    symbols = [mx.sym.var(name) for name in names[:5]]
    Attention()(*symbols).save(path + "-symbol.json")
    net = SymbolBlock.imports(path + "-symbol.json", list(names[:5]))
    got = run_forward_backward(net, values[:5], values[5], "float32")
    code = f"import sys; sys.argv.append({path!r})\n{RELOAD}"
    out, _ = finish(run(code))
    assert out.strip() == hashlib.sha256(b"".join(a.tobytes() for a in got)).hexdigest()


def test_hybrid_block_export(operators, tmp_path):
    net = Unfold()
    net.hybridize()
    x, offset = nd.random.normal(shape=(1, 2, 7, 6)), nd.random.normal(shape=(1, 18, 4, 3))
    wanted = net(x, offset).asnumpy()
    net.export(str(tmp_path / "net"))
    again = SymbolBlock.imports(str(tmp_path / "net-symbol.json"), ["data0", "data1"])
    np.testing.assert_array_equal(again(x, offset).asnumpy(), wanted)


def test_repeats_are_identical(operators):
    *inputs, grad = attention_inputs(3, 20, 2, 9, 8)
    function = lambda *a: ops.deform_attention(nd, *a, heads=3, scale=0.2)  # noqa: E731
    first = run_forward_backward(function, inputs, grad, "float32")
    for _ in range(5):
        for one, other in zip(run_forward_backward(function, inputs, grad, "float32"), first):
            np.testing.assert_array_equal(one, other)


def test_symbolic_shapes(operators):
    names = ("q", "k", "v", "offset", "position")
    symbol = ops.deform_attention(mx.sym, *map(mx.sym.var, names), heads=2, scale=1, padding=1)
    shapes = dict(zip(names, [(1, 3, 4, 10)] * 3 + [(1, 3, 4, 36), (1, 3, 4, 18)]))
    assert symbol.infer_shape(**shapes)[1] == [(1, 3, 4, 10)]
    assert symbol.infer_type(**dict.fromkeys(names, "float64"))[1] == [np.float64]
    with pytest.raises(mx.MXNetError, match=r"offset is \(1, 3, 4, 18\), but must be \(1, 3, 4, 36\)"):
        symbol.infer_shape(**dict(shapes, offset=(1, 3, 4, 18)))
    with pytest.raises(mx.MXNetError, match="can't be divided among heads=2"):
        symbol.infer_shape(**dict(shapes, q=(1, 3, 4, 9), k=(1, 3, 4, 9), v=(1, 3, 4, 9)))
    symbol = ops.deform_unfold(mx.sym, mx.sym.var("x"), mx.sym.var("offset"), stride=2, padding=2)
    assert symbol.infer_shape(x=(2, 3, 9, 7), offset=(2, 18, 6, 5))[1] == [(2, 27, 30)]
    with pytest.raises(mx.MXNetError, match=r"must be \(2, 18, 6, 5\)"):
        symbol.infer_shape(x=(2, 3, 9, 7), offset=(2, 18, 5, 5))
    with pytest.raises(mx.MXNetError, match="must have 4 axes"):
        symbol.infer_shape(x=(2, 3, 9), offset=(2, 18, 5, 5))
    # one message, not all that came before it
    with pytest.raises(mx.MXNetError) as caught:
        symbol.infer_shape(x=(2, 3, 1, 0), offset=(2, 18, 5, 5))
    assert "axes" not in str(caught.value).split("Stack trace")[0]


def test_foreign_attributes_are_ignored(operators):
    with mx.AttrScope(ctx_group="dev1", __padding__="wide"):
        symbol = ops.deform_unfold(mx.sym, mx.sym.var("x"), mx.sym.var("offset"))
    assert symbol.infer_shape(x=(1, 2, 3, 4), offset=(1, 18, 3, 4))[1] == [(1, 18, 12)]
    assert nd.mxnetseg_deform_unfold(nd.ones((1, 2, 3, 4)), nd.zeros((1, 18, 3, 4)), colour="red").shape == (1, 18, 12)


def test_bad_arrays(operators):
    x = nd.zeros((1, 2, 5, 5))
    with pytest.raises(MXNetSegError, match=r"offset is \(1, 18, 4, 5\), but must be \(1, 18, 5, 5\)"):
        ops.deform_unfold(nd, x, nd.zeros((1, 18, 4, 5)))
    with pytest.raises(MXNetSegError, match="must be .B, C, H, W."):
        ops.deform_unfold(nd, x[0], nd.zeros((1, 18, 5, 5)))
    with pytest.raises(MXNetSegError, match="smaller than the window"):
        ops.deform_unfold(nd, x, nd.zeros((1, 18, 5, 5)), dilation=5, padding=0)
    with pytest.raises(MXNetSegError, match="stride=0 must be a whole number, 1 or more"):
        ops.deform_unfold(nd, x, nd.zeros((1, 18, 5, 5)), stride=0)
    *inputs, _ = (nd.array(a) for a in attention_inputs(2, 4, 1, 3, 3))
    with pytest.raises(MXNetSegError, match="with heads=3"):
        ops.deform_attention(nd, *inputs, heads=3, scale=1)
    with pytest.raises(MXNetSegError, match="position is"):
        ops.deform_attention(nd, *inputs[:4], inputs[3], heads=2, scale=1)
    # and where nobody checks before MXNet does
    for bad in (nd.zeros((1, 17, 5, 5)), nd.zeros((18, 5, 5)), nd.zeros((1, 18, 5, 5), dtype="float64")):
        with pytest.raises(mx.MXNetError, match="mxnetseg_deform_unfold"):
            nd.mxnetseg_deform_unfold(x, bad).wait_to_read()
    with pytest.raises(mx.MXNetError, match="float32 and float64 only"):
        nd.mxnetseg_deform_unfold(x.astype("float16"), nd.zeros((1, 18, 5, 5), dtype="float16")).wait_to_read()
    with pytest.raises(mx.MXNetError, match="padding=x must be a whole number"):
        nd.mxnetseg_deform_unfold(x, nd.zeros((1, 18, 5, 5)), padding="x")
    with pytest.raises(mx.MXNetError, match="heads is missing"):
        nd.mxnetseg_deform_attention(*inputs, scale=1)
    assert nd.mxnetseg_deform_unfold(x, nd.zeros((1, 18, 5, 5))).shape == (1, 18, 25)


# ---- CUDA


def test_cuda_kernels_compile(tmp_path):
    nvcc = compilers.find_nvcc()
    if nvcc is None:
        pytest.skip("no nvcc")
    target = tmp_path / "kernels.o"
    command = [*compilers.nvcc_command(nvcc, (75,)), "-c", str(build.KERNELS), "-o", str(target)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert target.stat().st_size > 10_000


def test_cuda_kernels_emulated(operators, tmp_path, monkeypatch):
    """The kernels' C++ on the CPU; tools/gpu/check_kernels.py has more of it."""
    spec = importlib.util.spec_from_file_location("check_kernels", ROOT / "tools" / "gpu" / "check_kernels.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    attention = [tool.Attention(1, 1, 64, 3, 4), tool.Attention(1, 2, 40, 2, 3)]  # 64: kernels of their own
    cases = [tool.Unfold(1, 9, 5, 4, padding=2, dilation=2, stride=2), *attention]
    monkeypatch.setattr(tool, "CHECKS", cases)
    device = tool.Device(tool.compile_kernels(tmp_path, emulate=True))
    assert tool.check(device) == 0


def test_kernels_are_checked_without_mxnet():
    code = "import sys; sys.modules['mxnet'] = None; sys.argv.append('--help')\nimport tools.gpu.check_kernels"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
