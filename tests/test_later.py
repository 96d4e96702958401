"""MXNet's functions of operators, made when they are called: they are those that MXNet makes at once."""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FunctionType, SimpleNamespace

import pytest

from mxnetseg import later

ROOT = Path(__file__).resolve().parents[1]

# every function that the makers of operators have put into a module of MXNet, as {module.name: what it is}
ALL = """
import json, sys
import mxnetseg
import mxnet
modules = ["ndarray.op", "symbol._internal", "ndarray.contrib", "ndarray.numpy._internal", "symbol.numpy_extension._op"]
found = {}
for module in modules:
    for name, function in sorted(vars(sys.modules["mxnet." + module]).items()):
        code = getattr(function, "__code__", None)
        if code is None or not (code.co_filename == "<string>" or "_become" in (function.__kwdefaults__ or {})):
            continue
        waits = code.co_filename != "<string>"
        if waits:
            function.__kwdefaults__["_become"]()
            code = function.__code__
        handles = ["a handle" if isinstance(c, int) and c > 2**20 else repr(c) for c in code.co_consts]
        about = [code.co_names, code.co_varnames, code.co_argcount, code.co_flags, len(function.__defaults__ or ())]
        names = function.__module__, function.__name__, function.__qualname__, function.__doc__
        what = [code.co_code.hex(), handles, about, names, waits]
        found[f"{module}.{name}"] = what
print(json.dumps(found))
"""


def python(script, *options, **environment):
    command = [sys.executable, *options, "-c", script]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "MXNETSEG_STARTUP": "1", **environment}
    done = subprocess.run(command, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_function_is_the_one_that_mxnet_makes():
    made, waiting = (json.loads(python(ALL, MXNETSEG_STARTUP=setting)) for setting in "01")
    assert made.keys() == waiting.keys() and len(waiting) > 1000
    for name, (*what, waits) in waiting.items():
        *expected, waited = made[name]
        assert what == expected, name
        at_once = name.split(".")[-1] in ("adamw_update", *later.DOCUMENTED)
        assert waits != at_once and not waited, name


def test_who_holds_a_function_calls_the_one_it_became():
    script = """
import mxnetseg, mxnet as mx
from mxnet.ndarray import concat as before
x = mx.nd.ones((1, 2))
assert before.__kwdefaults__, "it waits"
assert before(x, x, dim=1).shape == (1, 4)
assert mx.nd.concat is before and mx.nd.op.concat is before and "dim" in before.__doc__
assert mx.nd.relu(x).sum().asscalar() == 2
mx.npx.relu(mx.np.ones(2))
assert mx.nd.contrib.adamw_update.__doc__ and "ndarray" in mx.npx.relu.__doc__
import inspect, pickle
box = pickle.loads(pickle.dumps(mx.nd.contrib.box_iou))
assert box is mx.nd.contrib.box_iou and repr(box).startswith("<function box_iou at")
try:
    mx.nd.arctan(1, 2, 3, 4)
except TypeError as err:
    assert "arctan()" in str(err)
assert list(inspect.signature(mx.nd.relu).parameters)[0] == "data"
try:
    mx.nd.softmax(x, axis="last")
except mx.MXNetError as err:
    assert "axis" in str(err)
else:
    raise AssertionError
"""
    python(script)


@pytest.mark.parametrize("option, setting", [("-i", "1"), ("-B", "0")])
def test_all_are_made_at_once(option, setting):
    """In interactive sessions, where people ask what a function takes, and where that is wished."""
    script = "import mxnetseg, mxnet as mx; print('axis' in mx.nd.slice_axis.__doc__, mx.nd.relu.__kwdefaults__)"
    assert python(script, option, MXNETSEG_STARTUP=setting).split() == ["True", "None"]


def test_threads_may_call_a_function_for_the_first_time_together():
    def make(handle, operator, name):
        time.sleep(0.002)  # others come meanwhile
        return lambda x, y=2: x**y

    for _ in range(10):
        function = later._waiting(make, "NDArray", None, "power", "power")
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(function, range(16))) == [x**2 for x in range(16)]
        assert function(2, y=3) == 8 and function.__code__.co_argcount == 2


def test_arguments_reach_the_maker_however_they_are_given(monkeypatch):
    """MXNet 1.9 names them in some modules."""
    monkeypatch.setenv("MXNETSEG_STARTUP", "1")
    made = []

    def make(handle, operator, name):
        exec(f"def {name}(x=2): return x", None, space := {})
        made.append(operator)
        return space[name]

    def make_all(root, module, make_op_func):
        function = make_op_func(1, "_np_double", "double")
        function.__doc__.replace("a", "b")
        setattr(module, function.__name__, function)

    base = SimpleNamespace(_init_op_module=make_all, _init_np_op_module=make_all)
    later.make_later(base)
    for call in (
        lambda: base._init_op_module("mxnet", base, make),
        lambda: base._init_np_op_module(root="mxnet", module=base, make_op_func=make),
    ):
        call()
        assert isinstance(base.double, FunctionType) and not made
        assert base.double() == 2 and base.double(3) == 3 and made.pop() == "_np_double" and not made
