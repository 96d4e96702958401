"""Checkpoints: whole or not at all, damage is found, the right network comes back."""

import hashlib
import json
import os

import mxnet as mx
import numpy as np
import pytest

from mxnetseg import create_model, load
from mxnetseg.config import Recipe
from mxnetseg.engine import checkpoint
from mxnetseg.engine.record import Feeding, NetworkSpec, Record
from mxnetseg.errors import MXNetSegError

RECORD = Record(feeding=Feeding(classes=["ä"]))


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
    found = checkpoint.read(saved)
    assert found.record == RECORD and set(found.arrays) == {"a", "b.c"} and found.path == saved
    np.testing.assert_array_equal(found.arrays["a"], arrays()["a"].asnumpy())
    assert os.listdir(saved.parent) == ["x.params"]
    umask = os.umask(0)
    os.umask(umask)
    assert saved.stat().st_mode & 0o777 == 0o666 & ~umask


def test_plain_gluon_reads_it_too(saved):
    found = mx.nd.load(str(saved))
    assert set(found) == {"a", "b.c"} and (found["a"] == arrays()["a"]).asnumpy().all()


def test_every_flipped_bit_is_found(saved):
    content = saved.read_bytes()
    for place in range(len(content)):
        for bit in range(8):
            damaged = bytearray(content)
            damaged[place] ^= 1 << bit
            saved.write_bytes(damaged)
            with pytest.raises(MXNetSegError, match=r"x\.params"):
                checkpoint.read(saved)


def test_every_truncation_is_found(saved):
    content = saved.read_bytes()
    for length in range(len(content)):
        saved.write_bytes(content[:length])
        with pytest.raises(MXNetSegError, match="cut off" if length >= 16 else "not a parameter file|cut off"):
            checkpoint.read(saved)
    saved.write_bytes(content + b"more")
    with pytest.raises(MXNetSegError, match="damaged at its end"):
        checkpoint.read(saved)


def of_format_1(path, payload, record):
    """As version 0.1.0 wrote it."""
    text = json.dumps({**record, "format": 1, "sha256": hashlib.sha256(payload).hexdigest()}).encode()
    path.write_bytes(payload + text + len(text).to_bytes(8, "little") + b"MXNETSEG")


def test_files_of_format_1_are_read(tmp_path):
    mx.nd.save(str(tmp_path / "plain"), arrays())
    payload, path = (tmp_path / "plain").read_bytes(), tmp_path / "old.params"
    old = {
        "kind": "training",
        "model": {"name": "fcn", "backbone": "resnet18", "num_classes": 3, "width": 8},
        "data": {"name": "camvid", "classes": list("abc"), "base": 480, "fit": None},
        "recipe": {"train": {"epochs": 2, "of_the_future": 1}, "future": {"a": 1}},
        "score": {"pa": 0.5, "macc": 0.25, "miou": 0.125, "classes": {}, "absent": []},
        **{"iteration": 7, "iterations": 9, "best": 0.125, "stale": 1, "unscored": True},
        **{"name": "run_1", "weights": "/etc/passwd", "note": "unknown keys are nobody's mistake"},
    }
    of_format_1(path, payload, old)
    record = checkpoint.read(path).record
    assert record.model.arguments() == old["model"] and record.feeding.classes == list("abc")
    assert record.recipe.train.epochs == 2 and record.feeding.base == 480
    assert record.scores.miou == 0.125 and record.scores.of == "unknown"
    assert record.state.iteration == 7 and record.state.unscored and record.state.csv.rows is None
    assert record.run.name == "run_1" and record.run.id == record.run.weights_dir == ""
    content = path.read_bytes()
    for length in range(len(payload) + 1, len(content)):  # cut at the very end of the arrays, it is a plain file
        path.write_bytes(content[:length])
        with pytest.raises(MXNetSegError):
            checkpoint.read(path)
    for place in range(len(payload)):
        damaged = bytearray(content)
        damaged[place] ^= 4
        path.write_bytes(damaged)
        with pytest.raises(MXNetSegError, match="checksum does not match"):
            checkpoint.read(path)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"kind": "something"}, "wrong at kind: input should be"),
        ({"feeding": {"mean": [1, 2]}}, "wrong at feeding.mean"),
        ({"feeding": {"std": [1, 2, 0]}}, "wrong at feeding.std.2: .*greater than or equal to 0.001"),
        ({"feeding": []}, "wrong at feeding"),
        ({"recipe": {"optimizer": {"lr": "fast"}}}, r"wrong at recipe.optimizer.lr: .*got 'fast'"),
        ({"model": {"name": "../../x", "backbone": "resnet18", "num_classes": 3}}, "wrong at model.name"),
        ({"model": {"name": "fcn", "num_classes": 3}}, "wrong at model.backbone: field required"),
        ({"run": {"name": "../x"}}, "wrong at run.name"),
        ({"iteration": -1}, "wrong at iteration"),
        ({"iteration": 10**400}, "record is wrong|can't be read"),
        ({"format": 99}, "format 99, this version reads up to 2; update"),
        ({"state": {"csv": {"losses": ["a"]}}}, "wrong at state.csv.losses.0"),
    ],
)
def test_a_record_that_is_wrong(saved, change, message):
    with_record(saved, {**json.loads(RECORD.dump()), **change})
    with pytest.raises(MXNetSegError, match=rf"x\.params: .*{message}"):
        checkpoint.read(saved)


def with_record(path, record):
    """Another record in a file, with the right checksum."""
    content = path.read_bytes()
    payload = content[: -48 - int.from_bytes(content[-48:-40], "little")]
    text = record if isinstance(record, bytes) else json.dumps(record).encode()
    size = (len(payload) + len(text) + 48).to_bytes(8, "little")
    new = payload[:8] + size + payload[16:] + text + len(text).to_bytes(8, "little")
    path.write_bytes(new + hashlib.sha256(new).digest() + checkpoint.MARK)


@pytest.mark.parametrize("text", [b"", b"[]", b"3", b"{", b"[" * 100_000, b'{"a":' * 50_000, b"\xff\xfe"])
def test_a_record_that_is_none(saved, text):
    with_record(saved, text)
    with pytest.raises(MXNetSegError, match=r"x\.params"):
        checkpoint.read(saved)


def test_a_network_that_can_not_be_built(tmp_path):
    """Whatever a builder makes of wrong values, the file is named; and nothing large is allocated for them."""
    net = small_net()
    for change in (
        {"width": -3},
        {"width": "x"},
        {"width": 10**9},
        {"name": "nonsense"},
        {"output_stride": 7},
        {"q": 1},
    ):
        checkpoint.write(tmp_path / "n.params", checkpoint.weights(net), Record(model={**net.spec, **change}))
        with pytest.raises(MXNetSegError, match=r"n\.params"):
            load(tmp_path / "n.params")


def test_a_file_of_pytorch(tmp_path):
    (tmp_path / "net.pth").write_bytes(b"PK\x03\x04 and more")
    with pytest.raises(MXNetSegError, match=r"net.pth: is a file of PyTorch; `.*convert --config RECIPE"):
        checkpoint.read(tmp_path / "net.pth")


def test_values_that_are_not_finite_are_told(tmp_path, caplog):
    net = small_net()
    broken = checkpoint.weights(net)
    name = next(name for name in broken if name.endswith("running_mean"))
    broken[name] = broken[name] * np.nan
    checkpoint.write(tmp_path / "n.params", broken, Record(model=NetworkSpec(**net.spec)))
    load(tmp_path / "n.params")
    assert f"n.params holds values that are not finite (NaN or infinity), in {name}" in caplog.text
    with pytest.raises(MXNetSegError, match="holds NaN or infinity"):
        checkpoint.load_matching(net, checkpoint.read(tmp_path / "n.params"))


@pytest.mark.parametrize("content", [b"", b"text", b"\x80\x04K\x01."])
def test_something_else(tmp_path, content):
    path = tmp_path / "y.params"
    path.write_bytes(content)
    with pytest.raises(MXNetSegError, match=r"y\.params: (not a parameter file|is a file of PyTorch)"):
        checkpoint.read(path)
    with pytest.raises(MXNetSegError, match="can't be read"):
        checkpoint.read(tmp_path / "none.params")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(saved, monkeypatch):
    before = saved.read_bytes()
    monkeypatch.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        checkpoint.write(saved, {"a": mx.nd.zeros((2,))}, Record())
    assert saved.read_bytes() == before and os.listdir(saved.parent) == ["x.params"]


def test_the_record_rebuilds_the_network(tmp_path):
    net = create_model("bisenet", "mobilenet_v2_0_25", 4, aux=True, norm="gn", width=16, spatial_width=8)
    net.initialize(mx.init.Xavier())
    path = tmp_path / "net.params"
    record = Record(model=NetworkSpec(**net.spec), feeding=Feeding(classes=list("abcd")))
    checkpoint.write(path, checkpoint.weights(net), record)
    again = load(str(path))
    assert again.spec == net.spec and again.record == record
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
    wrong = {n: a.asnumpy() for n, a in checkpoint.weights(other).items()}
    wrong["extra"] = np.ones(1)
    name = next(n for n in before if n.endswith("weight"))
    wrong[name] = np.ones((1, 2))
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
    checkpoint.write(path, checkpoint.weights(source), Record())
    net = small_net()
    matched, total = checkpoint.load_matching(net, checkpoint.read(path))
    assert matched == total - 2  # all but the classifier's weight and bias
    name = "backbone.layer1.0.weight"
    name = (
        name
        if name in checkpoint.weights(net)
        else next(n for n in checkpoint.weights(net) if n.startswith("backbone"))
    )
    np.testing.assert_array_equal(checkpoint.weights(net)[name].asnumpy(), checkpoint.weights(source)[name].asnumpy())


def test_the_record_is_json_at_the_end(saved):
    """docs/checkpoints.md, byte by byte."""
    content = saved.read_bytes()
    assert content[-8:] == checkpoint.MARK and hashlib.sha256(content[:-40]).digest() == content[-40:-8]
    length = int.from_bytes(content[-48:-40], "little")
    assert json.loads(content[-48 - length : -48])["format"] == 2
    assert int.from_bytes(content[8:16], "little") == len(content)


def test_a_training_state_gives_its_weights(tmp_path):
    net = small_net()
    values = {f"param:{name}": array for name, array in checkpoint.weights(net).items()}
    values["state:x:0"] = mx.nd.zeros((3,))
    checkpoint.write(tmp_path / "state.ckpt", values, Record(kind="training", model=NetworkSpec(**net.spec)))
    assert load(tmp_path / "state.ckpt").spec == net.spec
    matched, total = checkpoint.load_matching(small_net(), checkpoint.read(tmp_path / "state.ckpt"))
    assert matched == total


def test_a_record_that_could_not_be_read_again_is_not_written(tmp_path):
    recipe = Recipe(model={"options": {"many": list(range(1001))}})
    with pytest.raises(MXNetSegError, match="has a list of more than 1000 items; shorten the recipe"):
        checkpoint.write(tmp_path / "x.params", {"a": np.zeros(1, np.float32)}, Record(recipe=recipe))
    assert not list(tmp_path.iterdir())
