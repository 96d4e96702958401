"""Weights of a loaded network that are pages of its file: in memory while they are read, and the same ever after."""

import gc
import os
import shutil
import subprocess
import sys
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest

from mxnetseg.deploy import DTYPES, load, optimize, pages
from mxnetseg.engine import checkpoint, mapped
from mxnetseg.errors import MXNetSegError

from .networks import images

ROOT = Path(__file__).resolve().parents[2]
FILE = "wide.optimized"
CHANNELS = 160  # weights of more than a page, of a layer that Winograd does not serve (stride 2)

pytestmark = pytest.mark.skipif(not hasattr(mapped.mmap, "MADV_DONTNEED"), reason="needs madvise")


def made(dtype):
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


@pytest.fixture
def loaded(fast, tmp_path):
    fast.save(FILE)
    return load(tmp_path / FILE)


def resident(path=FILE):
    """Kilobytes of a file that are in this process's memory."""
    found, inside = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split(" ", 1)[0]:
            inside = line.endswith(f"/{path}")
        elif inside and line.startswith("Rss:"):
            found += int(line.split()[1])
    return found


def equal(one, other, *size):
    x = images(*size)
    np.testing.assert_array_equal(one(x).asnumpy(), other(x).asnumpy())


def test_weights_leave_the_memory_and_come_back(loaded, fast):
    assert pages.read_once(loaded.symbol)
    for size in [(64, 96), (64, 96), (72, 56), (64, 96), (96, 96)]:
        equal(loaded, fast, *size)
        assert resident() == 0
    for name, array in loaded.arrays.items():
        np.testing.assert_array_equal(array.asnumpy(), fast.arrays[name].asnumpy(), err_msg=name)
    assert resident() > 200 or fast.dtype == "bfloat16" and resident() > 100, "the weights are read from the file"


def test_the_network_can_be_kept_again_in_the_place_of_its_file(loaded, fast):
    loaded.save(FILE, overwrite=True)
    equal(loaded, fast, 40, 56)  # the old file is still there for it
    equal(load(FILE), fast, 40, 56)


def test_a_file_that_is_written_to_is_noticed_and_a_new_one_is_not(loaded, fast):
    equal(loaded, fast, 40, 56)
    shutil.copy(FILE, "copy.optimized")
    os.replace("copy.optimized", FILE)
    equal(loaded, fast, 64, 56)
    other = load(FILE)
    with open(FILE, "r+b") as file:
        file.seek(2000)
        file.write(b"\0" * 1000)
    with pytest.raises(
        MXNetSegError, match=r"wide.optimized was written to while .* load it again, .* renaming \(mv\)"
    ):
        other(images(40, 56))
    equal(loaded, fast, 32, 56)


def test_a_network_that_is_gone_has_let_go_of_its_file(fast):
    fast.save(FILE)
    loaded = load(FILE)

    def is_open():
        return FILE in Path("/proc/self/maps").read_text()

    loaded(images(40, 56))  # not waited for
    assert is_open()
    del loaded
    gc.collect()
    assert not is_open()


def test_without_mapping_it_is_the_same(loaded, fast, monkeypatch):
    monkeypatch.delattr(mapped.mmap, "MADV_DONTNEED")
    read = load(FILE)
    equal(read, fast, 40, 56)
    assert checkpoint.read(FILE).file is None


def test_weights_that_do_not_begin_at_a_multiple_of_four_are_copied(loaded, fast):
    found = checkpoint.read(FILE)
    graph = np.append(found.arrays["graph"], np.frombuffer(b" ", np.uint8))
    checkpoint.write("odd.optimized", {**found.arrays, "graph": graph}, found.record)
    equal(load("odd.optimized"), fast, 40, 56)


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
