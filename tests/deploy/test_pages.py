"""Weights that are pages of a file: in memory while they are read, and the same ever after."""

import gc
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest

from mxnetseg.deploy import DTYPES, load, optimize, pages

from .networks import images

ROOT = Path(__file__).resolve().parents[2]
FILE = "wide.optimized"
CHANNELS = 400  # weights of more than a page, of a layer that Winograd does not serve (stride 2)

reads_proc = pytest.mark.skipif(sys.platform != "linux", reason="what is in memory is read from Linux's /proc")


def made(dtype, monkeypatch=None):
    """With `monkeypatch` its weights stay in memory."""
    if monkeypatch:
        monkeypatch.setattr(pages, "LEAST", 1 << 40)
    mx.random.seed(0)
    np.random.seed(0)
    net = mx.gluon.nn.HybridSequential()
    net.add(
        mx.gluon.nn.Conv2D(CHANNELS, 3, 2, 1, in_channels=3, activation="relu"),
        mx.gluon.nn.Conv2D(CHANNELS, 3, 2, 1, in_channels=CHANNELS, activation="relu"),
        mx.gluon.nn.Conv2D(5, 1, in_channels=CHANNELS),
    )
    net.initialize(mx.init.Xavier())
    return optimize(net, dtype, [images(64, 96, seed=3)] if dtype == "int8" else None)


@pytest.fixture(scope="module", params=DTYPES)
def fast(request):
    return made(request.param)


def resident():
    """Kilobytes of unnamed files of networks that are in this process's memory."""
    found, inside = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split(" ", 1)[0]:
            inside = is_unnamed(line)
        elif inside and line.startswith("Rss:"):
            found += int(line.split()[1])
    return found


def is_unnamed(mapping):
    return mapping.endswith("(deleted)") and f" {os.path.realpath(tempfile.gettempdir())}/" in mapping


def files():
    return sum(map(is_unnamed, Path("/proc/self/maps").read_text().splitlines()))


def equal(one, other, *size):
    x = images(*size)
    np.testing.assert_array_equal(one(x).asnumpy(), other(x).asnumpy())


@reads_proc
def test_weights_leave_the_memory_and_come_back(fast, monkeypatch):
    plain = made(fast.dtype, monkeypatch)
    assert pages.read_once(fast.symbol) and plain._pages is None
    for size in [(64, 96), (64, 96), (72, 56), (64, 96), (96, 96)]:
        equal(fast, plain, *size)
        assert resident() == 0
    for one, other in zip(fast.arrays.values(), plain.arrays.values()):
        np.testing.assert_array_equal(one.asnumpy(), other.asnumpy())
    assert resident() == 0
    for name in pages.read_once(fast.symbol):
        fast._arrays[name].asnumpy()
    assert resident() > 1000, "they come from the file again"
    fast.save(FILE)
    assert resident() == 0


@reads_proc
def test_what_is_loaded_does_the_same(fast):
    fast.save(FILE)
    loaded = load(FILE)
    assert resident() == 0
    equal(loaded, fast, 40, 56)
    loaded.save(FILE, overwrite=True)
    equal(load(FILE), fast, 72, 56)


@reads_proc
def test_files_of_networks_that_are_gone_are_closed_when_others_are_made(monkeypatch):
    gc.collect()
    one = made("float32")
    before = files()
    for _ in range(3):
        fast = made("float32")
        fast(images(40, 56))  # not waited for
        del fast
        gc.collect()
    assert files() == before + 1
    equal(one, made("float32", monkeypatch), 40, 56)
    assert files() == before


def test_garbage_in_a_thread_of_mxnet():
    """There it must not wait for MXNet, which waits for it."""

    class Collects(mx.operator.CustomOp):
        def forward(self, is_train, req, in_data, out_data, aux):
            gc.collect()
            self.assign(out_data[0], req[0], in_data[0])

    @mx.operator.register("collects_garbage")
    class Prop(mx.operator.CustomOpProp):
        def create_operator(self, ctx, shapes, dtypes):
            return Collects()

    gc.disable()
    try:
        fast = made("float32")
        fast.itself = fast
        del fast
        assert mx.nd.Custom(mx.nd.ones(2), op_type="collects_garbage").sum().asscalar() == 2
    finally:
        gc.enable()


@pytest.mark.parametrize("problem", ["folder", "mmap", "disk"])
def test_where_there_is_no_room_for_a_file(fast, monkeypatch, problem):
    def fail(*args, **kwargs):
        raise OSError(28, "No space left on device")

    if problem == "folder":
        monkeypatch.setattr(tempfile, "TemporaryFile", fail)
    elif problem == "mmap":
        monkeypatch.setattr(pages.mmap, "mmap", fail)
    else:
        monkeypatch.setattr(pages, "_append", fail)
    other = made(fast.dtype)
    assert other._pages is None
    equal(other, fast, 40, 56)


def test_two_contexts(fast, tmp_path):
    fast.save(FILE)
    both = load(FILE, ["cpu:0", "cpu:1"])
    for _ in range(2):
        for context in both.contexts:
            x = images(40, 56)
            np.testing.assert_array_equal(both(x.as_in_context(context)).asnumpy(), fast(x).asnumpy())


@pytest.mark.parametrize("end", ["", "sys.exit(3)", "raise SystemExit(3)", "del net", "os.kill(os.getpid(), 15)"])
def test_a_process_may_end_while_it_has_a_network(end):
    made("float32").save(FILE)
    script = f"""
import os, sys
import mxnetseg, mxnet as mx
net = mxnetseg.load({FILE!r})
net(mx.nd.zeros((1, 3, 40, 56)))
{end}
"""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True)
    assert done.returncode == (3 if "3" in end else -15 if "kill" in end else 0) and not done.stderr
