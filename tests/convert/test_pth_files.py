"""PyTorch checkpoints: files of PyTorch itself, and every way it has written them, are read exactly."""

import pickle
import struct
import zipfile

import mxnet as mx
import numpy as np
import pytest

from mxnetseg.convert import read_pth
from mxnetseg.foreign import torch_files

from .pth import BOTH, FILES, STATE, object_in, ramp, refused, same
from .writer import Call, Global, Persistent, Storage, tensor, view, write_legacy, write_object, write_pth, write_zip

REAL = pytest.mark.parametrize("suffix", ["", "_legacy"], ids=["zip", "legacy"])


@REAL
def test_types(suffix):
    names = ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"]
    same(read_pth(FILES / f"types{suffix}.pth"), {name: ramp(2, 3, dtype=name) for name in names})


@REAL
def test_views_of_one_storage(suffix):
    got = read_pth(str(FILES / f"views{suffix}.pth"))
    base = ramp(4, 6)
    last = np.ascontiguousarray(ramp(1, 2, 3, 3))
    same(
        got,
        {
            "base": base,
            "transposed": base.T,
            "row": base[2],
            "column": base[:, 1],
            "steps": base[1::2, 1::2],
            "expanded": np.broadcast_to(base[:1, :][0], (3, 6)),
            "scalar": base[1, 1].reshape(()),
            "empty": base[:0],
            "channels_last": last,
        },
    )
    assert np.shares_memory(got["base"], got["row"]) and not got["base"].flags.writeable
    np.testing.assert_array_equal(mx.nd.array(got["transposed"]).asnumpy(), base.T)


@REAL
def test_training_checkpoint(suffix):
    shapes = {"conv.weight": (3, 2, 1, 1), "conv.bias": (3,)}
    shapes.update({f"norm.{name}": (3,) for name in ("weight", "bias", "running_mean", "running_var")})
    expected = {name: ramp(*shape) for name, shape in shapes.items()}
    expected["norm.num_batches_tracked"] = np.array(0)
    path = FILES / f"training{suffix}.pth"
    same(read_pth(path), expected)  # without DataParallel's prefix
    same(read_pth(path, ema=True), {name: array * 2 for name, array in expected.items()})


@BOTH
def test_harmless_objects_are_inert(tmp_path, legacy):
    buffer = Global("mmengine.logging.history_buffer", "HistoryBuffer")
    array = Call(
        Global("numpy.core.multiarray", "_reconstruct"), Global("numpy", "ndarray"), (0,), b"b", state=(1, (2,))
    )
    beside = {
        "log": Call(
            Global("copy_reg", "_reconstructor"), buffer, Global("__builtin__", "object"), None, state={"a": array}
        ),
        "method": Call(Global("__builtin__", "getattr"), buffer, "mean"),
        "config": Call(Global("mmengine.config.config", "ConfigDict"), state={"lr": 1}),
        "scalar": Call(
            Global("numpy._core.multiarray", "scalar"), Call(Global("numpy", "dtype"), "f8", False, True), b""
        ),
        "list": Call(Global("omegaconf.listconfig", "ListConfig")),
        "options": Call(Global("argparse", "Namespace"), state={"__dict__": {}, "__class__": 1, "__setstate__": 2}),
        "sets": [{1, 2}, frozenset([3]), complex(1, 2), slice(1, 2), bytearray(b"x"), range(3)],
        "default": Call(Global("collections", "defaultdict"), Global("__builtin__", "dict")),
        "kinds": [
            Global("torch", "float16"),
            Call(Global("torch", "device"), "cpu"),
            Call(Global("torch", "Size"), (1,)),
        ],
    }
    write_pth(tmp_path / "x.pth", STATE, lambda state: {**beside, "state_dict": state}, legacy)
    same(read_pth(tmp_path / "x.pth"), STATE)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol(tmp_path, protocol):
    beside = [1, -2, 2**70, 1.5, None, True, "ä\n", b"\xff", (1,), (1, 2), (1, 2, 3, 4), [], {}, set(), frozenset([1])]
    beside.append("x" * 300)
    write_zip(tmp_path / "x.pth", pickle.dumps({"a": beside, "b": {"c": beside}}, protocol=protocol))
    refused(tmp_path / "x.pth", "no tensors (top level: a, b)")


def test_python_2(tmp_path):
    """Python 2 gives an OrderedDict its items as a list of lists, and writes names as bytes."""

    def wrap(state):
        return Call(Global("collections", "OrderedDict"), [[name, value] for name, value in state.items()])

    write_pth(tmp_path / "x.pth", STATE, wrap, legacy=True)
    content = (tmp_path / "x.pth").read_bytes()
    name = b"X" + struct.pack("<I", 11) + b"conv.weight"
    assert name in content
    (tmp_path / "x.pth").write_bytes(content.replace(name, b"U\x0bconv.weight"))
    same(read_pth(tmp_path / "x.pth"), STATE)


def test_other_ways_to_rebuild(tmp_path):
    utils = "torch._utils"
    plain = tensor(ramp(2))
    hooks = Call(Global("collections", "OrderedDict"))
    untyped = Storage(np.arange(4, dtype="uint16").view("uint8"), "UntypedStorage")
    content = {
        "oldest": Call(Global(utils, "_rebuild_tensor"), Storage(ramp(2)), 0, (2,), (1,)),
        "parameter": Call(Global(utils, "_rebuild_parameter"), plain, True, hooks),
        "stateful": Call(Global(utils, "_rebuild_parameter_with_state"), plain, True, hooks, {"tag": 1}),
        "typed": Call(
            Global("torch._tensor", "_rebuild_from_type_v2"),
            Global(utils, "_rebuild_tensor_v2"),
            Global("torch", "Tensor"),
            plain.arguments,
            {"tag": 1},
        ),
    }
    write_object(tmp_path / "x.pth", content)
    same(read_pth(tmp_path / "x.pth"), {name: ramp(2) for name in content})
    arguments = (untyped, 1, (3,), (1,), False, hooks, Global("torch", "uint16"))
    write_object(tmp_path / "x.pth", {"v3": Call(Global(utils, "_rebuild_tensor_v3"), *arguments)})
    same(read_pth(tmp_path / "x.pth"), {"v3": np.arange(1, 4, dtype="uint16")})


def test_big_endian(tmp_path):
    half = (np.array([1.5, -2], "float32").view("uint32") >> 16).astype(">u2")
    arrays = {"f": Storage(ramp(4).astype(">f4"), "FloatStorage"), "b": Storage(half, "BFloat16Storage")}
    write_object(tmp_path / "x.pth", {name: view(s, 0, (s.array.size,), (1,)) for name, s in arrays.items()})
    with zipfile.ZipFile(tmp_path / "x.pth") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(tmp_path / "x.pth", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, b"big" if name.endswith("byteorder") else content)
    same(read_pth(tmp_path / "x.pth"), {"f": ramp(4), "b": np.array([1.5, -2], "float32")})
    write_zip(tmp_path / "x.pth", pickle.dumps({}), byteorder=b"middle")
    refused(tmp_path / "x.pth", "byte order")


def test_view_in_the_old_format(tmp_path):
    """PyTorch 0.3 saved views of storages: (key, first element, elements) behind the storage's id."""
    identity = ("storage", Global("torch", "FloatStorage"), "0", "cpu", 6)
    root, part = Persistent((*identity, None)), Persistent((*identity, ("1", 2, 3)))
    for outside, fits in ((0, True), (1, False)):
        content = {"root": view(root, 0, (6,), (1,)), "part": view(part, outside, (3,), (1,))}
        write_object(tmp_path / "pickle", content, legacy=True)
        write_legacy(tmp_path / "x.pth", object_in(tmp_path / "pickle"), {"0": ramp(6)})
        if fits:
            same(read_pth(tmp_path / "x.pth"), {"root": ramp(6), "part": ramp(6)[2:5]})
        else:
            refused(tmp_path / "x.pth", "outside its storage")


def test_bools_are_0_or_1(tmp_path):
    write_object(tmp_path / "x.pth", {"b": view(Storage(np.array([0, 1, 255], "u1"), "BoolStorage"), 0, (3,), (1,))})
    assert read_pth(tmp_path / "x.pth")["b"].view("u1").tolist() == [0, 1, 1]


def test_types_that_numpy_lacks(tmp_path):
    write_object(tmp_path / "x.pth", {"q": view(Storage(np.ones(2, "u1"), "QUInt8Storage"), 0, (2,), (1,))})
    refused(tmp_path / "x.pth", "tensor q", "quint8")


@BOTH
def test_storages_are_read_once_and_only_when_needed(tmp_path, legacy, monkeypatch):
    shared = Storage(ramp(6))
    content = {
        "optimizer": {"big": tensor(ramp(100))},
        "model": {"a": view(shared, 0, (6,), (1,)), "b": view(shared, 2, (2, 2), (2, 1))},
    }
    write_object(tmp_path / "x.pth", content, legacy)
    kind, read = (torch_files.Legacy if legacy else torch_files.Zip), []
    real = kind.storage_bytes
    monkeypatch.setattr(kind, "storage_bytes", lambda self, storage: read.append(storage.whole) or real(self, storage))
    got = read_pth(tmp_path / "x.pth")
    same(got, {"a": ramp(6), "b": ramp(6)[2:].reshape(2, 2)})
    assert read == [6] and np.shares_memory(got["a"], got["b"])


def test_saved_without_checksums(tmp_path):
    """torch.serialization.set_crc32_options(False) leaves 0 for every CRC."""
    write_pth(tmp_path / "x.pth", STATE)
    content = bytearray((tmp_path / "x.pth").read_bytes())
    for mark, at in ((b"PK\x03\x04", 14), (b"PK\x01\x02", 16)):
        start = content.find(mark)
        while start >= 0:
            content[start + at : start + at + 4] = bytes(4)
            start = content.find(mark, start + 4)
    (tmp_path / "x.pth").write_bytes(content)
    same(read_pth(tmp_path / "x.pth"), STATE)
