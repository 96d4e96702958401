"""What --ctx says."""

import mxnet as mx
import pytest

from mxnetseg.context import parse_contexts
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


@pytest.mark.parametrize("tokens", [["tpu"], ["-1"], ["cpu:x"], ["0:1"], [""]])
def test_mistakes(four_gpus, tokens):
    with pytest.raises(MXNetSegError, match="write GPU numbers"):
        parse_contexts(tokens)


def test_a_context_named_twice(four_gpus):
    with pytest.raises(MXNetSegError, match="named twice"):
        parse_contexts(["0", "gpu:0"])
