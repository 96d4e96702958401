"""Networks as files of plain MXNet: run by MXNet's C API, and by Gluon, they give what the network gives."""

import ctypes
import importlib
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
from mxnet.base import _LIB, check_call

import mxnetseg
from mxnetseg import saving
from mxnetseg.deploy import optimize
from mxnetseg.errors import MXNetSegError
from mxnetseg.export import to_mxnet
from tools.bench.networks import build as damped

from ..deploy.networks import FEEDING, SIZES, block, build, images, operators, relative_error
from ..small import SMALL

TOLERANCE = 1e-4
DEEP = 3e-4  # with random weights, which forgive less than trained ones


def by_c(prefix, array):
    """What MXNet's C API for prediction gives for one array."""
    graph, weights = Path(f"{prefix}-symbol.json").read_bytes(), Path(f"{prefix}-0000.params").read_bytes()
    net, name, kind = ctypes.c_void_p(), (ctypes.c_char_p * 1)(b"data"), ctypes.c_int()
    dimensions, shape = (ctypes.c_uint32 * 2)(0, array.ndim), (ctypes.c_uint32 * array.ndim)(*array.shape)
    dtype = (ctypes.c_int * 1)({"float32": 0, "uint8": 3}[array.dtype.name])
    size = ctypes.c_int(len(weights))
    _LIB.MXPredCreateEx.argtypes = None
    made = (graph, weights, size, 1, 0, 1, name, dimensions, shape, 1, name, dtype, ctypes.byref(net))
    check_call(_LIB.MXPredCreateEx(*made))
    array = np.ascontiguousarray(array)
    check_call(_LIB.MXPredSetInput(net, b"data", array.ctypes.data_as(ctypes.c_void_p), ctypes.c_uint32(array.size)))
    check_call(_LIB.MXPredForward(net))
    sizes, count = ctypes.POINTER(ctypes.c_uint32)(), ctypes.c_uint32()
    check_call(_LIB.MXPredGetOutputShape(net, 0, ctypes.byref(sizes), ctypes.byref(count)))
    check_call(_LIB.MXPredGetOutputType(net, 0, ctypes.byref(kind)))
    out = np.empty(sizes[: count.value], {0: np.float32, 3: np.uint8}[kind.value])
    check_call(_LIB.MXPredGetOutput(net, 0, out.ctypes.data_as(ctypes.c_void_p), ctypes.c_uint32(out.size)))
    check_call(_LIB.MXPredFree(net))
    return mx.nd.array(out, dtype=out.dtype)


def by_gluon(prefix):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the input's type, which it finds when it is called
        return mx.gluon.SymbolBlock.imports(f"{prefix}-symbol.json", ["data"], f"{prefix}-0000.params")


def picture(height=48, width=64):
    scene = images(height, width).asnumpy()[0].transpose(1, 2, 0)
    return np.clip(128 + 40 * scene, 0, 255).astype(np.uint8)


def equals_the_network(net, norms=None, tolerance=TOLERANCE):
    report = to_mxnet(net, "out/net")
    assert report.difference < tolerance and report.same > 0.99
    found = operators(mx.sym.load("out/net-symbol.json"))
    assert not any("mxnetseg" in op or "mkldnn" in op or "SyncBatchNorm" in op for op in found)
    assert norms is None or found.count("BatchNorm") == norms
    for run, size in ((lambda x: by_c("out/net", x.asnumpy()), SIZES[1]), (by_gluon("out/net"), SIZES[0])):
        x = images(*size)
        assert relative_error(run(x), net(x)) < tolerance


def test_it_equals_the_network():
    equals_the_network(block(), norms=1)


@pytest.mark.slow
@pytest.mark.parametrize("name", mxnetseg.list_models())
def test_every_model_equals_the_network(name):
    equals_the_network(build(name, backbone=SMALL.get(name, {}).get("backbone", "mobilenet_v2_0_25")), tolerance=DEEP)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, backbone",
    [(f"setr_{kind}", "dgmn2_tiny") for kind in ("naive", "pup", "mla")]
    + [("setr_mla", "vit_base_16"), ("semantic_fpn", "moganet_xtiny"), ("fcn", "resnest26"), ("ffnet", "ffnet_seg")],
)
def test_every_family_of_backbones_equals_the_network(name, backbone):
    equals_the_network(build(name, backbone=backbone), tolerance=DEEP)


@pytest.mark.slow
def test_a_deep_resnest_equals_the_network():
    """With norms that damp, and the usual tolerance: with the weights of the others it amplifies its own rounding."""
    arguments = dict(name="fcn", backbone="resnest50", num_classes=5)
    equals_the_network(damped(arguments, images(64, 96).asnumpy()), tolerance=TOLERANCE)


def test_images_in_class_maps_out():
    net = block()
    report = to_mxnet(net, "out/net", output="class_map", with_preprocessing=True)
    assert str(report.path) == "out/net-symbol.json"
    assert (
        report.bytes == sum(file.stat().st_size for file in Path("out").iterdir())
        and len(list(Path("out").iterdir())) == 3
    )
    image = picture()
    expected = mxnetseg.Predictor(net)(image)
    assert len(np.unique(expected)) > 2
    for out in (by_c("out/net", image[None]), by_gluon("out/net")(mx.nd.array(image[None], dtype="uint8"))):
        assert out.dtype == np.uint8 and (out.asnumpy()[0] == expected).mean() > 0.999
    about = json.loads(Path("out/net-about.json").read_text())
    assert (about["classes"], about["mean"], about["std"]) == (FEEDING.classes, [120, 110, 100], [50, 60, 70])
    assert about["output"] == "class_map" and about["normalized_inside"] is True


def test_probabilities():
    net = block()
    to_mxnet(net, "out/net", output="probabilities")
    x = images(33, 40)
    out = by_gluon("out/net")(x)
    assert relative_error(out, mx.nd.softmax(net(x), axis=1)) < TOLERANCE
    np.testing.assert_allclose(out.asnumpy().sum(axis=1), 1, atol=1e-5)


@pytest.mark.slow
@pytest.mark.skipif(np.lib.NumpyVersion(np.__version__) >= "1.24.0", reason="MXNet alone can't be imported with it")
def test_where_this_toolkit_is_not():
    net = block()
    to_mxnet(net, "out/net")
    x = images(40, 56)
    np.save("x.npy", x.asnumpy())
    code = (
        "import mxnet as mx, numpy as np, sys; net = mx.gluon.SymbolBlock.imports("
        "'out/net-symbol.json', ['data'], 'out/net-0000.params'); "
        "np.save('y.npy', net(mx.nd.array(np.load('x.npy'))).asnumpy()); assert 'mxnetseg' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": "", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr
    assert relative_error(mx.nd.array(np.load("y.npy")), net(x)) < TOLERANCE


def test_mistakes(tmp_path):
    net = block()
    with pytest.raises(MXNetSegError, match="output='argmax': must be one of logits, class_map, probabilities"):
        to_mxnet(net, "out/net", output="argmax")
    with pytest.raises(MXNetSegError, match="can't be exported, because it can't be traced; .* that it was made of"):
        to_mxnet(optimize(net), "out/net")
    Path("there").mkdir()
    for folder in ("", "out/", ".", "..", "out/.", Path("there"), Path()):
        with pytest.raises(MXNetSegError, match="is a folder; say what files' names begin with"):
            to_mxnet(net, folder)
    Path("there").rmdir()
    with pytest.raises(MXNetSegError, match="300 classes don't fit a uint8 class map; export the logits"):
        to_mxnet(block(300), "out/net", output="class_map")
    net.block.last.weight.set_data(mx.nd.full((5, 8, 1, 1), 3e38))
    with pytest.raises(MXNetSegError, match="Look for weights that make infinite values"):
        to_mxnet(net, "out/net")
    assert not list(tmp_path.iterdir())
    Path("net-0000.params").write_text("mine")
    with pytest.raises(MXNetSegError, match="net-0000.params is there already"):
        to_mxnet(block(), "net")
    assert Path("net-0000.params").read_text() == "mine"


def test_what_computes_something_else_is_not_written(tmp_path, monkeypatch):
    module = importlib.import_module("mxnetseg.export.to_mxnet")  # the function hides it
    monkeypatch.setattr(module, "fold_norms", lambda plan: plan.arrays.update(spoilt(plan.arrays)))
    for output in ("logits", "class_map", "probabilities"):
        with pytest.raises(MXNetSegError, match="differs from the network by .* of the greatest value; no file was"):
            to_mxnet(block(), "out/net", output=output)
    assert not list(tmp_path.iterdir())


def spoilt(arrays):
    return {name: array * -1 for name, array in arrays.items() if name.endswith("weight") and array.shape[0] == 5}


def test_all_files_appear_or_none(tmp_path, monkeypatch):
    def full(file):
        raise OSError(28, "No space left on device")

    net = block()
    to_mxnet(net, "out/net")
    before = {file.name: file.read_bytes() for file in Path("out").iterdir()}
    syncs = iter([os.fsync, os.fsync, full])
    monkeypatch.setattr(saving.os, "fsync", lambda file: next(syncs)(file))
    with pytest.raises(MXNetSegError, match="net-symbol.json can't be written .*free some space"):
        to_mxnet(net, "out/net", output="class_map", overwrite=True)
    assert {file.name: file.read_bytes() for file in Path("out").iterdir()} == before
