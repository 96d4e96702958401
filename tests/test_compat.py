"""MXNet on a NumPy that dropped names it asks for: they are there for MXNet, and for nobody else."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon

from mxnetseg import compat

ROOT = Path(__file__).resolve().parents[1]

UNCHANGED = """
import sys, warnings
import numpy, numpy.testing
before = dict(vars(numpy))
missing = [name for name in ("bool", "int", "float", "PZERO", "product", "npv") if name not in before]
import mxnetseg, mxnet
after = vars(numpy)
assert all(after[name] is thing for name, thing in before.items()), "something in NumPy was exchanged"
# importing a part of NumPy makes it an attribute; that is NumPy's own doing
added = [name for name in after if name not in before and after[name] is not sys.modules.get(f"numpy.{name}")]
assert not added, added
assert not any(name in after for name in missing), missing
assert sys.modules["numpy"] is numpy and mxnet.numpy.multiarray._np is not numpy
assert not any(name.partition(".")[0] == "distutils" for name in sys.modules)
assert mxnet.numpy.bool is bool
"""

AFTER_A_FAILURE = """
try:
    import mxnet
except (AttributeError, DeprecationWarning, FutureWarning):
    import sys
    assert "mxnet" not in sys.modules and "mxnet.base" in sys.modules
else:
    raise AssertionError("it should have failed")
import mxnetseg
import mxnet
from mxnet import autograd
x = mxnet.nd.ones((2, 2))
x.attach_grad()
with autograd.record():
    y = (x * x).sum()
y.backward()
assert x.grad.sum().asscalar() == 8 and mxnet.numpy.ones(2).sum().item() == 2
"""


COLLECTS = """
import gc
import mxnetseg
%s
seen = []
gc.callbacks.append(lambda phase, info: seen.append(phase))
import mxnet
assert gc.isenabled() == %s
gc.callbacks.clear()
assert len(seen) < 20, len(seen)  # hundreds without it
"""


LATER = """
import sys
import mxnetseg
import mxnet
x = mxnet.nd.array([1, 2])
assert not {"cv2", "h5py", "onnx", "scipy.sparse", "scipy.stats", "requests"} & set(sys.modules)
assert mxnet.contrib.quantization.stats.entropy([0.5, 0.5], [0.5, 0.5]) == 0
from scipy import stats
assert mxnet.test_utils.ss.chisquare is stats.chisquare and type(stats) is type(sys)
assert callable(mxnet.gluon.utils.requests.get)
from scipy.sparse import csr_matrix
rows = csr_matrix(([3.0], ([1], [2])), shape=(2, 4))
for made in (mxnet.nd.array(rows), mxnet.nd.sparse.array(rows)):
    assert made.stype == "csr" and made.asnumpy()[1].tolist() == [0, 0, 3, 0], made
assert (made.asscipy() != rows).nnz == 0
import numpy
batches = mxnet.io.NDArrayIter(numpy.ones((4, 2)), batch_size=2)
assert "h5py" not in sys.modules and sum(batch.data[0].sum().asscalar() for batch in batches) == 8
packed = mxnet.recordio.pack_img((0, 1, 2, 3), x.asnumpy().reshape(1, 2))
assert mxnet.recordio.unpack_img(packed)[1].shape[:2] == (1, 2)
"""


def python(script):
    """Run it in a fresh process where every deprecated thing is an error."""
    command = [sys.executable, "-W", "error::DeprecationWarning", "-W", "error::FutureWarning", "-c", script]
    done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stderr == "", done.stderr


def test_numpy_stays_as_it_was():
    python(UNCHANGED)


def test_an_import_of_mxnet_that_failed_can_be_tried_again():
    python(AFTER_A_FAILURE)


def test_garbage_is_not_looked_for_while_mxnet_is_imported():
    python(COLLECTS % ("", True))
    python(COLLECTS % ("gc.disable()", False))


def test_what_hardly_anybody_needs_is_imported_when_used():
    python(LATER)


def test_once_is_enough():
    def finders():
        return [finder for finder in sys.meta_path if type(finder).__name__ == "_Finder"]

    compat.install()
    assert len(finders()) == 1 and finders()[0].find_spec("json") is None
    assert type(importlib.util.find_spec("mxnet.recordio").loader) is compat._Loader


@pytest.fixture
def numpy_semantics():
    with mx.util.np_shape(True), mx.util.np_array(True):
        yield


@pytest.mark.usefixtures("numpy_semantics")
def test_functions_that_numpy_dropped_or_renamed():
    a = mx.np.array([[3.0, 1.0], [0.0, 2.0]])
    assert mx.np.product(a) == 0 and mx.np.sometrue(a) and not mx.np.alltrue(a)
    assert mx.np.msort(a).asnumpy().tolist() == [[0, 1], [3, 2]]
    assert mx.np.in1d(a, mx.np.array([1.0, 2.0])).asnumpy().tolist() == [False, True, False, True]
    assert mx.np.trapz(a).asnumpy().tolist() == [2, 1]
    assert mx.np.round_(mx.np.array([1.26]), 1).asnumpy() == pytest.approx([1.3])
    with pytest.raises(RuntimeError):
        mx.np.npv(0.1, a)


@pytest.mark.usefixtures("numpy_semantics")
def test_numpy_functions_reach_mxnet():
    """By NumPy's protocols: what goes in as MXNet's array is worked out by MXNet and comes out as one."""
    a = mx.np.array([[3.0, 1.0], [0.0, 2.0]])
    for out in (np.prod(a), np.any(a), np.sort(a), np.round(a), np.concatenate([a, a]), np.exp(a), a.max(axis=0)):
        assert isinstance(out, mx.np.ndarray)
    assert mx.nd.moveaxis(mx.nd.ones((2, 3, 4)), 0, 2).shape == (3, 4, 2)
    assert mx.np.pad(a, ((1, 1), (0, 0)), "constant").shape == (4, 2)


@pytest.mark.usefixtures("numpy_semantics")
def test_booleans():
    a = mx.np.arange(4)
    a[mx.np.array([True, False, True, False], dtype=bool)] = 7
    assert a.asnumpy().tolist() == [7, 1, 7, 3]
    assert (a > 2).dtype == np.bool_ and mx.np.array([1, 0], dtype=bool).dtype == np.bool_
    assert a[mx.np.array([False, True, False, True], dtype=bool)].asnumpy().tolist() == [1, 3]


def test_numpy_numbers_as_arguments():
    """NumPy 2 writes np.int64(3) for a 3 in a tuple, which MXNet's operators can't read."""
    shape = tuple(np.array([3, -1]))
    assert mx.nd.ones((2, 3)).reshape(shape).shape == (3, 2)
    assert mx.nd.zeros(shape=(np.int64(2), np.uint8(3))).shape == (2, 3)
    assert mx.nd.transpose(mx.nd.ones((2, 3)), axes=[np.int32(1), np.int32(0)]).shape == (3, 2)
    reshaped = mx.sym.reshape(mx.sym.var("x"), shape=shape)
    assert reshaped.attr("shape") in ("(3, -1)", "(3,-1)")
    image = mx.nd.image.normalize(mx.nd.ones((3, 1, 1)), mean=tuple(np.float32([0.1, 0.2, 0.3])), std=(1, 1, 1))
    assert image.asnumpy().ravel() == pytest.approx([0.9, 0.8, 0.7])
    assert compat._written((np.float32(0.1), [np.True_, None], "np.int64(3)")) == "(0.1, [True, None], 'np.int64(3)')"


def test_a_network_learns_and_comes_back_from_its_file(tmp_path):
    net = gluon.nn.HybridSequential()
    net.add(gluon.nn.Conv2D(4, 3, in_channels=3), gluon.nn.BatchNorm(in_channels=4), gluon.nn.Activation("relu"))
    net.initialize()
    net.hybridize()
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.1})
    x = mx.nd.random.uniform(shape=(2, 3, 8, 8))
    with autograd.record():
        loss = (net(x) ** 2).mean()
    loss.backward()
    before = net[0].weight.data().asnumpy()
    trainer.step(1)
    assert np.abs(net[0].weight.data().asnumpy() - before).max() > 0
    expected = net(x).asnumpy()
    net.save_parameters(str(tmp_path / "net.params"))
    net.initialize(force_reinit=True)
    net.load_parameters(str(tmp_path / "net.params"))
    assert np.array_equal(net(x).asnumpy(), expected)


def test_data_loader_and_records(tmp_path):
    data = gluon.data.ArrayDataset(np.arange(12, dtype=np.float32).reshape(6, 2), np.arange(6))
    batches = list(gluon.data.DataLoader(data, 4, num_workers=1, thread_pool=True))
    assert [tuple(label.asnumpy()) for _, label in batches] == [(0, 1, 2, 3), (4, 5)]
    writer = mx.recordio.MXIndexedRecordIO(str(tmp_path / "a.idx"), str(tmp_path / "a.rec"), "w")
    image = np.zeros((4, 5, 3), np.uint8)
    writer.write_idx(0, mx.recordio.pack_img(mx.recordio.IRHeader(0, [1.0, 2.0], 0, 0), image, img_fmt=".png"))
    writer.close()
    reader = mx.recordio.MXIndexedRecordIO(str(tmp_path / "a.idx"), str(tmp_path / "a.rec"), "r")
    header, back = mx.recordio.unpack_img(reader.read_idx(0))
    assert header.label.tolist() == [1, 2] and np.array_equal(back, image)


def test_gluoncv():
    model_zoo = pytest.importorskip("gluoncv.model_zoo")
    net = model_zoo.get_model("cifar_resnet20_v1", classes=10)
    net.initialize()
    assert net(mx.nd.ones((1, 3, 32, 32))).shape == (1, 10)


@pytest.mark.parametrize("older, newer", [("1.9.1", "2.0.0"), ("1.17", "1.23.5"), ("2.4.9", "2.10.0rc1")])
def test_versions_compare_by_number(older, newer):
    older, newer = compat._Version(older), compat._Version(newer)
    assert older < newer and newer >= older and older != newer
