"""What --ctx says."""

import os
import subprocess
import sys
from pathlib import Path

import mxnet as mx
import pytest

from mxnetseg.context import check_contexts, parse_contexts
from mxnetseg.errors import MXNetSegError


@pytest.fixture
def four_gpus(monkeypatch):
    monkeypatch.setattr(mx.context, "num_gpus", lambda: 4)


def test_cpu():
    assert parse_contexts(["cpu"]) == [mx.cpu(0)]
    assert parse_contexts(["CPU:0", "cpu:1"]) == [mx.cpu(0), mx.cpu(1)]


def test_gpus(four_gpus):
    assert parse_contexts(["0", "1", "2", "3"]) == [mx.gpu(i) for i in range(4)]
    assert parse_contexts(["gpu:2"]) == [mx.gpu(2)]
    assert parse_contexts(None) == [mx.gpu(i) for i in range(4)]
    with pytest.raises(MXNetSegError, match="--ctx 4: this machine has 4 GPUs"):
        parse_contexts(["4"])
    with pytest.raises(MXNetSegError, match="not both"):
        parse_contexts(["0", "cpu"])


def test_no_gpus(monkeypatch):
    monkeypatch.setattr(mx.context, "num_gpus", lambda: 0)
    assert parse_contexts(None) == [mx.cpu()]
    with pytest.raises(MXNetSegError, match="finds no GPU here.*--ctx cpu"):
        parse_contexts(["0"])


@pytest.mark.parametrize("tokens", [["tpu"], ["-1"], ["cpu:x"], ["0:1"], [""], ["cpu:²"], ["²"], ["9" * 5000]])
def test_mistakes(four_gpus, tokens):
    with pytest.raises(MXNetSegError, match="write GPU numbers"):
        parse_contexts(tokens)


def test_a_number_that_no_machine_has():
    assert parse_contexts(["cpu:1023"]) == [mx.cpu(1023)]
    for number in ("1024", "99999999999"):
        with pytest.raises(MXNetSegError, match=f"--ctx cpu:{number}: CPU contexts are cpu:0 to cpu:1023"):
            parse_contexts([f"cpu:{number}"])


def test_a_context_named_twice(four_gpus):
    with pytest.raises(MXNetSegError, match="named twice"):
        parse_contexts(["0", "gpu:0"])


SIDE_BY_SIDE = """
import sys
from mxnetseg.context import parse_contexts
contexts = parse_contexts(["cpu:0", "cpu:1"])
import os
import subprocess
import sys
from pathlib import Path

import mxnet as mx
pairs = [(mx.nd.ones((3000, 60), ctx=c), mx.nd.ones((60, 480), ctx=c)) for c in contexts]
for _ in range(300):
    products = [mx.nd.dot(a, b) for a, b in pairs]
assert all(float(p.min().asscalar()) == 60 for p in products)
"""


def test_matrix_products_of_two_contexts_do_not_wait_for_ever():
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OMP_")}
    environment["PYTHONPATH"] = str(Path(__file__).resolve().parents[1])
    subprocess.run([sys.executable, "-c", SIDE_BY_SIDE], env=environment, timeout=60, check=True)


def test_contexts_that_would_hang_are_refused(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    check_contexts([mx.cpu()])
    with pytest.raises(MXNetSegError, match="set OMP_NUM_THREADS=1 before MXNet is imported"):
        check_contexts([mx.cpu(0), mx.cpu(1)])
