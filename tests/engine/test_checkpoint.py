"""Checkpoints: whole or not at all, damage is found, the right network comes back."""

import json
import os

import mxnet as mx
import numpy as np
import pytest

from mxnetseg import create_model, load
from mxnetseg.engine import checkpoint
from mxnetseg.errors import MXNetSegError

RECORD = {"kind": "weights", "note": "ä"}


def arrays():
    return {"a": mx.nd.arange(6).reshape((2, 3)), "b.c": mx.nd.ones((4,))}


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "deep" / "x.params"
    checkpoint.write(path, arrays(), RECORD)
    return path


def small_net(**kwargs):
    net = create_model("fcn", backbone="mobilenet_v2_0_25", num_classes=3, **kwargs)
    net.initialize()
    return net


def test_round_trip(saved):
    got, record = checkpoint.read(saved)
    assert record["note"] == "ä" and set(got) == {"a", "b.c"} and checkpoint.read_record(saved) == record
    np.testing.assert_array_equal(got["a"].asnumpy(), arrays()["a"].asnumpy())
    assert os.listdir(saved.parent) == ["x.params"]
    assert saved.stat().st_mode & 0o777 == 0o666 & ~checkpoint._umask()


def test_plain_gluon_reads_it_too(saved):
    assert set(mx.nd.load(str(saved))) == {"a", "b.c"}


def test_every_flipped_bit_is_found(saved):
    content = saved.read_bytes()
    rng = np.random.RandomState(0)
    for place in [*rng.randint(0, len(content), 60), 0, len(content) - 1, len(content) - 9]:
        damaged = bytearray(content)
        damaged[place] ^= 1 << rng.randint(8)
        saved.write_bytes(damaged)
        try:
            record = checkpoint.read(saved)[1]
        except MXNetSegError as err:
            assert "x.params" in str(err)
        else:  # a bit of the record's free text; the weights are intact
            assert record["sha256"] in content.decode("latin1")


def test_every_truncation_is_found(saved):
    content = saved.read_bytes()
    arrays_end = len(content) - 16 - int.from_bytes(content[-16:-8], "little")
    for length in range(len(content)):
        saved.write_bytes(content[:length])
        try:
            got, record = checkpoint.read(saved)
        except MXNetSegError as err:
            assert "x.params" in str(err)
        else:  # cut behind the arrays: like a plain Gluon file they are whole, and without a record
            assert length >= arrays_end and not record and set(got) == {"a", "b.c"}


@pytest.mark.parametrize("content", [b"", b"text", b"\x80\x04K\x01."])
def test_something_else(tmp_path, content):
    path = tmp_path / "y.params"
    path.write_bytes(content)
    with pytest.raises(MXNetSegError, match=r"y\.params: not a parameter file"):
        checkpoint.read(path)
    with pytest.raises(MXNetSegError, match="can't be read"):
        checkpoint.read(tmp_path / "none.params")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(saved, monkeypatch):
    before = saved.read_bytes()
    monkeypatch.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        checkpoint.write(saved, {"a": mx.nd.zeros((2,))}, {})
    assert saved.read_bytes() == before and os.listdir(saved.parent) == ["x.params"]


def test_the_record_rebuilds_the_network(tmp_path):
    net = create_model("bisenet", "mobilenet_v2_0_25", 4, aux=True, norm="gn", width=16, spatial_width=8)
    net.initialize(mx.init.Xavier())
    path = tmp_path / "net.params"
    checkpoint.write(path, checkpoint.weights(net), {"model": net.spec, "data": {"classes": list("abcd")}})
    again = load(str(path))
    assert again.spec == net.spec and again.record["data"]["classes"] == list("abcd")
    x = mx.nd.random.normal(shape=(1, 3, 40, 48))
    np.testing.assert_array_equal(again(x).asnumpy(), net(x).asnumpy())


def test_a_bare_file_is_refused_with_the_remedy(tmp_path):
    net = small_net()
    net.save_parameters(str(tmp_path / "bare.params"))
    with pytest.raises(MXNetSegError, match="has no record of its model; build the network with create_model"):
        load(tmp_path / "bare.params")


def test_weights_that_do_not_fit_change_nothing():
    net, other = small_net(), small_net(aux=True)
    before = {n: a.asnumpy() for n, a in checkpoint.weights(net).items()}
    wrong = checkpoint.weights(other)
    wrong["extra"] = mx.nd.ones((1,))
    name = next(n for n in before if n.endswith("weight"))
    wrong[name] = mx.nd.ones((1, 2))
    with pytest.raises(MXNetSegError) as error:
        checkpoint.load_weights(net, wrong, "checkpoint w.params")
    for part in ("w.params", "not in the network: aux_heads", "other shapes", name, "(1, 2)"):
        assert part in str(error.value)
    with pytest.raises(MXNetSegError, match="missing in the file"):
        checkpoint.load_weights(net, {}, "w")
    assert all((a.asnumpy() == before[n]).all() for n, a in checkpoint.weights(net).items())


def test_matching_layers_only(tmp_path):
    source = create_model("fcn", "mobilenet_v2_0_25", 7)
    source.initialize(mx.init.Xavier())
    path = tmp_path / "seven.params"
    checkpoint.write(path, checkpoint.weights(source), {})
    net = small_net()
    matched, total = checkpoint.load_matching(net, path)
    assert matched == total - 2  # all but the classifier's weight and bias
    name = "backbone.layer1.0.weight"
    name = (
        name
        if name in checkpoint.weights(net)
        else next(n for n in checkpoint.weights(net) if n.startswith("backbone"))
    )
    np.testing.assert_array_equal(checkpoint.weights(net)[name].asnumpy(), checkpoint.weights(source)[name].asnumpy())


def test_the_record_is_json_at_the_end(saved):
    content = saved.read_bytes()
    length = int.from_bytes(content[-16:-8], "little")
    assert content[-8:] == checkpoint.MARK and json.loads(content[-16 - length : -16])["format"] == 1
