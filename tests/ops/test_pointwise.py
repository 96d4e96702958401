"""A program gives what its functions give one after the other."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, nd

from mxnetseg.errors import MXNetSegError
from mxnetseg.ops.pointwise import pointwise

WHOLE = (2, 5, 17, 41)  # more than one run of numbers


def numbers(shape, seed=0, scale=1.0):
    return (scale * np.random.RandomState(seed).standard_normal(shape)).astype("float32")


def run(program, *arrays):
    return pointwise(nd, program, [nd.array(array) for array in arrays]).asnumpy()


def sigmoid(x):
    return 1 / (1 + np.exp(-x.astype("float64")))


@pytest.mark.parametrize(
    "function, wanted",
    [
        ("add", np.add),
        ("sub", np.subtract),
        ("mul", np.multiply),
        ("div", np.divide),
        ("max", np.maximum),
        ("min", np.minimum),
    ],
)
@pytest.mark.parametrize("shape", [WHOLE, (1, 5, 1, 1), (2, 1, 17, 41), (2, 5, 1, 1), (1, 1, 17, 41), (1, 1, 1, 1)])
def test_functions_of_two_and_what_is_repeated(operators, function, wanted, shape):
    a, b = numbers(WHOLE), numbers(shape, 1)
    np.testing.assert_array_equal(run(f"{function} 0 1", a, b), wanted(a, b))
    np.testing.assert_array_equal(run(f"{function} 1 0", a, b), wanted(b, a))
    np.testing.assert_array_equal(run(f"{function} 0 =0.25", a), wanted(a, np.float32(0.25)))


def test_sigmoid_of_any_number(operators):
    x = np.concatenate([np.linspace(-200, 200, 999), [-np.inf, np.inf, 0, -0.0, 1e-30, np.nan]])
    x = x.astype("float32").reshape(1, 1, -1, 15)
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(run("sigmoid 0", x), sigmoid(x), rtol=1e-6, atol=1e-37)


def test_gelu_of_any_number(operators):
    x = np.concatenate([np.linspace(-30, 30, 997), [0, -0.0, 1e-30, 1e30, -1e30, np.inf]]).astype("float32")
    wanted = nd.LeakyReLU(nd.array(x, dtype="float64"), act_type="gelu").asnumpy()
    np.testing.assert_allclose(run("gelu 0", x.reshape(1, 1, 17, 59)).ravel(), wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("shape", [(7,), (3, 600), (2, 3, 4, 5, 6)])
def test_inputs_of_one_shape_and_any_number_of_axes(operators, shape):
    a, b = numbers(shape), numbers(shape, 1)
    np.testing.assert_array_equal(run("add 0 1", a, b), a + b)


def integers(kind, shape, seed=0):
    low, high = {"uint8": (0, 256), "int8": (-128, 128)}[kind]
    return np.random.RandomState(seed).randint(low, high, shape)


@pytest.mark.parametrize("out", ["float32", "uint8", "int8"])
@pytest.mark.parametrize("kinds", [("uint8",), ("int8",), ("int8", "float32"), ("uint8", "int8"), ("float32", "int8")])
def test_integers_stand_for_numbers(operators, kinds, out):
    """Of whole maps, and of one number for each."""
    program = {1: "gelu 0;mul 0 1", 2: "mul 0 1;sigmoid 2;add 3 0"}[len(kinds)]
    for shape in (WHOLE, (1, 5, 1, 1)):
        shapes = (WHOLE, shape)
        given = [numbers(s) if kind == "float32" else integers(kind, s) for kind, s in zip(kinds, shapes)]
        steps = [1.0 if kind == "float32" else 0.03 for kind in kinds]
        arrays = [nd.array(array, dtype=kind) for array, kind in zip(given, kinds)]
        limits = {} if out == "float32" else dict(out_type=out, min_calib_range=-1.5, max_calib_range=1)
        got = pointwise(nd, program, arrays, steps=" ".join(map(str, steps)), **limits)
        wanted = run(program, *(array * step for array, step in zip(given, steps)))
        if out == "float32":
            np.testing.assert_allclose(got.asnumpy(), wanted, rtol=1e-5, atol=1e-6)
            continue
        got, low, high = got
        assert got.dtype == np.dtype(out) and (low.asscalar(), high.asscalar()) == (-1.5, 1)
        least, most = {"uint8": (0, 255), "int8": (-128, 127)}[out]
        np.testing.assert_allclose(got.asnumpy(), np.clip(wanted * most / 1.5, least, most), atol=0.51)


def test_bad_integers(operators):
    x = nd.zeros((1, 2, 3, 4), dtype="uint8")
    for arguments, text in (
        (dict(), "float32 only; cast the inputs first"),
        (dict(steps="1 2"), "steps needs a number for each input"),
        (dict(steps="-1"), "must be greater than 0"),
        (dict(steps="a"), "steps=a must be a number"),
        (dict(steps="1", out_type="int16", min_calib_range=0, max_calib_range=1), "out_type=int16 must be"),
        (dict(steps="1", out_type="int8"), "min_calib_range is missing"),
        (dict(steps="1", out_type="int8", min_calib_range=0, max_calib_range=0), "must be the ends of a range"),
    ):
        with pytest.raises(mx.MXNetError, match=text):
            pointwise(nd, "gelu 0", [x], **arguments)
    with pytest.raises(mx.MXNetError, match="float32, uint8 and int8 only"):
        pointwise(nd, "gelu 0", [x.astype("float64")], steps="1").wait_to_read()


def test_steps_take_inputs_numbers_and_other_steps(operators):
    x, mean, scale = numbers(WHOLE), numbers((2, 5, 1, 1), 1), numbers((1, 5, 1, 1), 2)
    got = run("sub 0 1;mul 3 2;add 0 4;sigmoid 5;mul 5 6;max 7 =-0.1", x, mean, scale)
    shifted = x + (x - mean) * scale
    np.testing.assert_allclose(got, np.maximum(shifted * sigmoid(shifted), -0.1), rtol=1e-5, atol=1e-6)


def test_what_is_the_same_everywhere(operators):
    """Steps of numbers that stand for whole maps."""
    x, a, b = numbers((1, 3, 40, 30)), numbers((1, 3, 1, 1), 1), numbers((1, 3, 1, 1), 2)
    wanted = np.broadcast_to(a * b, x.shape)
    np.testing.assert_array_equal(run("add 0 1;mul 1 2", x, a, b), wanted)


def test_what_is_not_a_number_stays_so(operators):
    x = numbers((1, 1, 4, 4))
    x[0, 0, 1, 1] = np.nan
    for program in ("max 0 =0", "min 0 =0", "sigmoid 0", "mul 0 =0"):
        got = run(program, x)
        assert np.isnan(got[0, 0, 1, 1]) and np.isnan(got).sum() == 1, program


def test_as_a_graph_at_sizes_that_change(operators):
    symbol = pointwise(mx.sym, "sigmoid 0;mul 0 2;mul 3 1", [mx.sym.var("x"), mx.sym.var("y")])
    graph = nd.CachedOp(symbol, [("static_alloc", True), ("static_shape", True)])
    for size in ((20, 31), (1, 1), (64, 64), (20, 31)):
        x, y = numbers((2, 3, *size)), numbers((2, 3, *size), 1)
        with autograd.pause():
            got = graph(nd.array(x), nd.array(y)).asnumpy()
        np.testing.assert_allclose(got, x * sigmoid(x) * y, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "program, message",
    [
        ("", "the program is empty"),
        ("power 0 1", "no function called 'power'"),
        ("add 0", "add takes 2 operands, not 1"),
        ("sigmoid 0 1", "sigmoid takes 1 operands, not 2"),
        ("add 0 2", "operand 2 is neither an input nor an earlier step"),
        ("add 0 -1", "operand -1 is neither"),
        ("add 0 0.5", "operand 0.5 is neither"),
        ("add 0 x", "program=x must be steps like"),
        ("add 0 =", "program= must be steps like"),
    ],
)
def test_programs_that_are_none(operators, program, message):
    with pytest.raises(mx.MXNetError, match=message):
        run(program, numbers((1, 1, 8, 8)), numbers((1, 1, 8, 8)))


@pytest.mark.parametrize("shape", [(2, 4, 17, 41), (3, 5, 17, 41), (2, 5, 1, 41), (2, 5, 17, 1), (2, 5, 18, 41)])
def test_shapes_that_do_not_fit(operators, shape):
    with pytest.raises(mx.MXNetError, match="does not fit others"):
        run("add 0 1", numbers(WHOLE), numbers(shape))


def test_other_bad_input(operators):
    with pytest.raises(mx.MXNetError, match="must have 4 axes"):
        run("add 0 1", numbers((8, 8)), numbers((8, 1)))
    with pytest.raises(mx.MXNetError, match="float32 only"):
        pointwise(nd, "sigmoid 0", [nd.zeros((1, 1, 8, 8), dtype="float64")]).wait_to_read()
    x = nd.zeros((1, 1, 8, 8))
    x.attach_grad()
    with pytest.raises(mx.MXNetError, match="for inference alone"):
        with autograd.record():
            out = pointwise(nd, "sigmoid 0", [x])
        out.backward()
        x.grad.wait_to_read()


def test_it_says_that_there_is_no_library(monkeypatch):
    monkeypatch.setattr("mxnetseg.ops.pointwise.serves_pointwise", lambda: False)
    with pytest.raises(MXNetSegError, match="there is no operator library"):
        pointwise(nd, "sigmoid 0", [nd.zeros((1, 1, 1, 1))])
