"""Optimized networks in files: equal bit for bit when they are loaded, refused where they would not be."""

import json

import mxnet as mx
import numpy as np
import pytest

import mxnetseg
from mxnetseg import ops
from mxnetseg.deploy import DTYPES, load, optimize, saved
from mxnetseg.engine import checkpoint
from mxnetseg.engine.record import Record
from mxnetseg.errors import MXNetSegError

from ..small import SMALL
from .networks import FEEDING, SIZES, block, build, images


def made(name=None, dtype="float32", backbone="mobilenet_v2_0_25"):
    net = build(name, backbone=backbone) if name else block(stride=2)
    net.record = Record(feeding=FEEDING, source="x.pth")
    return optimize(net, dtype, [images(64, 96, seed=3)] if dtype == "int8" else None)


def kept(fast, path="fast.optimized"):
    fast.save(path)
    return load(path)


def same(one, other):
    """Bit for bit, at sizes that change."""
    for size in SIZES:
        x = images(*size)
        np.testing.assert_array_equal(one(x).asnumpy(), other(x).asnumpy())
        np.testing.assert_array_equal(one.class_map(x).asnumpy(), other.class_map(x).asnumpy())


@pytest.mark.parametrize(
    "name, dtype, backbone",
    [
        (None, "bfloat16", None),  # with operators of our own
        (None, "int8", None),
        pytest.param("bisenet", "bfloat16", "mobilenet_v2_0_25", marks=pytest.mark.slow),
        pytest.param("setr_naive", "float32", "dgmn2_tiny", marks=pytest.mark.slow),
        pytest.param("setr_naive", "bfloat16", "dgmn2_tiny", marks=pytest.mark.slow),
    ],
)
def test_loaded_it_equals_what_was_saved(name, dtype, backbone):
    fast = made(name, dtype, backbone)
    fast(images(40, 56))  # oneDNN has brought the weights into layouts of its own
    loaded = kept(fast)
    same(loaded, fast)
    assert (loaded.dtype, loaded.align_corners) == (dtype, fast.align_corners)
    assert {**loaded.spec, **fast.spec} == loaded.spec
    record = loaded.record
    assert (record.kind, record.feeding, record.source, record.scores) == ("optimized", FEEDING, "x.pth", None)
    same(kept(loaded, "again.optimized"), fast)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", mxnetseg.list_models())
def test_every_model_in_every_dtype(name, dtype):
    fast = made(name, dtype, SMALL.get(name, {}).get("backbone", "resnet18"))
    same(kept(fast), fast)


def test_whatever_takes_a_checkpoint_opens_it(tmp_path):
    fast = made()
    fast.save("fast.optimized")
    image = np.random.RandomState(0).randint(0, 256, (48, 64, 3), np.uint8)
    predictor = mxnetseg.Predictor("fast.optimized", "cpu")
    assert predictor.classes == FEEDING.classes
    np.testing.assert_array_equal(predictor(image), mxnetseg.Predictor(fast)(image))
    same(mxnetseg.load(tmp_path / "fast.optimized"), fast)
    same(mxnetseg.open_network(checkpoint.read("fast.optimized")), fast)
    with pytest.raises(MXNetSegError, match=r"optimized already, in float32; leave dtype \(--dtype\) out"):
        mxnetseg.Predictor("fast.optimized", "cpu", dtype="int8")


def test_a_foreign_block_and_two_contexts():
    block = mx.gluon.nn.Conv2D(4, 3, padding=1, in_channels=3)
    block.initialize()
    fast = optimize(block)
    fast.save("fast.optimized")
    loaded = load("fast.optimized", ["cpu:0", "cpu:1"])
    assert (loaded.spec, loaded.contexts) == ({}, [mx.cpu(0), mx.cpu(1)])
    x = images(33, 40)
    for context in loaded.contexts:
        np.testing.assert_array_equal(loaded(x.as_in_context(context)).asnumpy(), fast(x).asnumpy())


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "fast.optimized"
    made().save(path)
    return path.read_bytes()


@pytest.fixture
def small_file(content, tmp_path):
    (tmp_path / "fast.optimized").write_bytes(content)


def changed(arrays=None, record=None, facts=None, drop=""):
    """The file fast.optimized with other contents, whose digest is right."""
    found = checkpoint.read("fast.optimized")
    about = {**(record or {})}
    if facts:
        about["optimized"] = found.record.optimized.model_copy(update=facts)
    left = {name: array for name, array in {**found.arrays, **(arrays or {})}.items() if not drop or drop not in name}
    checkpoint.write("other.optimized", left, found.record.model_copy(update=about))
    return "other.optimized"


def graph_of(**node):
    """A file whose graph is that operator."""
    nodes = [{"op": "null", "name": "data", "inputs": []}, {"name": "n", "inputs": [[0, 0, 0]], **node}]
    content = {"nodes": nodes, "arg_nodes": [0], "heads": [[1, 0, 0]]}
    return dict(arrays=dict(graph=np.frombuffer(json.dumps(content).encode(), np.uint8)))


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(facts=dict(format=3)), "is in format 3, this version of mxnetseg reads 2; update it"),
        (
            dict(facts=dict(format=1)),
            "is in format 1 of an older mxnetseg, this one reads 2; optimize the network anew",
        ),
        (dict(record=dict(versions=dict(mxnet="1.8.0"))), "was made with MXNet 1.8.0, and here is 1.9"),
        (dict(record=dict(optimized=None)), "is no optimized network"),
        (dict(drop="probe:output"), "its probe is missing"),
        (dict(drop="weight"), "_weight.* is missing"),
        (dict(drop="graph"), "its graph can't be read: KeyError"),
        (dict(arrays=dict(graph=np.frombuffer(b"{]", np.uint8))), "its graph can't be read: JSONDecodeError"),
        (graph_of(op="_Native"), "has _Native"),
        (graph_of(op="a", subgraphs=[{"nodes": [dict(op="Custom")]}]), "has Custom, which runs code from elsewhere"),
        (graph_of(op="nonsense"), "MXNet can't read"),
        (graph_of(op="abs"), r"\(1, 3, 64, 96\)"),
        (dict(arrays={"probe:output": np.ones((1, 5, 32, 48), np.float32)}), "computes something else here"),
    ],
)
def test_what_can_not_run_here_is_refused(small_file, change, message):
    with pytest.raises(MXNetSegError, match=message):
        load(changed(**change))


def test_nothing_is_overwritten_unless_told(tmp_path, small_file):
    fast = load("fast.optimized")
    before = (tmp_path / "fast.optimized").read_bytes()
    with pytest.raises(MXNetSegError, match="fast.optimized is there already"):
        fast.save("fast.optimized")
    assert (tmp_path / "fast.optimized").read_bytes() == before
    fast.save("fast.optimized", overwrite=True)


def test_its_name_says_that_it_is_no_plain_checkpoint(tmp_path, small_file):
    with pytest.raises(MXNetSegError, match="fast.params: an optimized network is kept in a file whose name ends with"):
        load("fast.optimized").save("fast.params")
    (tmp_path / "fast.optimized").rename("fast.params")
    with pytest.raises(MXNetSegError, match="if it is from someone you trust, rename it to fast.optimized"):
        mxnetseg.load("fast.params")


def test_a_file_cut_off_or_changed_is_found(tmp_path, small_file):
    content = bytearray((tmp_path / "fast.optimized").read_bytes())
    (tmp_path / "cut.optimized").write_bytes(content[: len(content) // 2])
    content[len(content) // 2] ^= 1
    (tmp_path / "flipped.optimized").write_bytes(content)
    with pytest.raises(MXNetSegError, match="cut.optimized: cut off"):
        load("cut.optimized")
    with pytest.raises(MXNetSegError, match="flipped.optimized: damaged"):
        load("flipped.optimized")


def test_without_the_operator_library_it_says_so(monkeypatch, small_file):
    enlarged = changed(**graph_of(op="mxnetseg_upsample_taps"))
    monkeypatch.setattr(ops.library, "_loaded", None)
    monkeypatch.setattr(ops.library, "_problem", None)
    monkeypatch.setenv("MXNETSEG_OPS", "0")
    with pytest.raises(MXNetSegError, match="made with the operator library, which can't be had here: MXNETSEG_OPS=0"):
        load(enlarged)


def test_another_processor_that_computes_something_else(monkeypatch, small_file):
    """The probe is compared as the type allows."""
    found = checkpoint.read("fast.optimized")
    answer = found.arrays["probe:output"]
    noise = np.random.RandomState(0).standard_normal(answer.shape).astype(np.float32) * answer.std()
    load(changed(arrays={"probe:output": answer + noise * saved.MOST["float32"] / 2}))
    with pytest.raises(MXNetSegError, match="float32 graph computes something else here than where it was made"):
        load(changed(arrays={"probe:output": answer + noise * saved.MOST["float32"] * 2}))


def test_on_a_gpu_it_says_cpu(small_file, monkeypatch):
    monkeypatch.setattr("mxnetseg.deploy.network.as_contexts", lambda *_: [mx.gpu(0)])
    with pytest.raises(MXNetSegError, match=r"for CPUs, not for gpu\(0\): say --ctx cpu"):
        load("fast.optimized")


def test_a_network_that_gives_nan_is_not_kept(tmp_path):
    block = mx.gluon.nn.Conv2D(4, 3, padding=1, in_channels=3)
    block.initialize(mx.init.Constant(3e38))
    with pytest.raises(MXNetSegError, match="gives NaN or infinity"):
        optimize(block).save("fast.optimized")
    assert not list(tmp_path.iterdir())
