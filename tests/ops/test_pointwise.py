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
        run("sigmoid 0", numbers((8, 8)))
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
