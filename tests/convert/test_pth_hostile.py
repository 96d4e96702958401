"""PyTorch checkpoints: nothing in a file runs, or reaches memory that is not its own."""

import os
import pickle
import zipfile

import numpy as np
import pytest

from mxnetseg.convert import read_pth

from .pth import BOTH, object_in, ramp, refused, same
from .writer import Call, Global, Persistent, Storage, tensor, view, write_legacy, write_object, write_zip

NAMES = """
os.system posix.system builtins.eval builtins.exec builtins.__import__ __builtin__.eval subprocess.Popen
torch.load torch.hub.load torch.storage._load_from_bytes torch._utils._rebuild_qtensor pickle.loads numpy.load
numpy.core.multiarray.fromfile collections.abc.Sized collections.namedtuple models.net.Net operator.attrgetter
argparse.FileType torch.FloatTensor importlib.import_module codecs.encode
"""


@BOTH
@pytest.mark.parametrize("name", NAMES.split())
def test_other_names_are_refused(tmp_path, name, legacy):
    target = tmp_path / "executed"
    where, _, what = name.rpartition(".")
    call = Call(Global(where, what), f"touch {target}")
    for content in (call, {"state_dict": {"w": tensor(np.ones(1)), "x": call}}, {"x": Global(where, what)}):
        write_object(tmp_path / "x.pth", content, legacy)
        refused(tmp_path / "x.pth", name, "nothing was executed", "state_dict()")
    assert not target.exists()


def test_os_system_by_an_ordinary_pickle(tmp_path):
    class Hostile:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'executed'}",)

    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        write_zip(tmp_path / "x.pth", pickle.dumps({"a": Hostile()}, protocol=protocol))
        refused(tmp_path / "x.pth", "system", "nothing was executed")
    nested = pickle.dumps(Hostile())
    write_object(tmp_path / "x.pth", {"a": nested, "w": tensor(np.ones(1))})  # bytes stay bytes
    assert list(read_pth(tmp_path / "x.pth")) == ["w"]
    write_object(tmp_path / "x.pth", {"a": Call(Global("pickle", "loads"), nested)})
    refused(tmp_path / "x.pth", "pickle.loads")
    assert not (tmp_path / "executed").exists()


def test_name_in_a_message_is_harmless(tmp_path):
    write_object(tmp_path / "x.pth", Global("evil\x1b[31m" + "x" * 1000, "a"))
    message = refused(tmp_path / "x.pth", r"evil\x1b[31mxxx", "...")
    assert len(message) < 600 and message.isprintable()


def test_getattr_finds_nothing(tmp_path):
    getattr_, namespace = Global("__builtin__", "getattr"), Global("argparse", "Namespace")
    deep = Call(getattr_, Call(getattr_, namespace, "__init__"), "__globals__")  # inert all the way
    write_object(tmp_path / "x.pth", {"w": tensor(np.ones(1)), "x": Call(deep, "touch x")})
    assert list(read_pth(tmp_path / "x.pth")) == ["w"]
    kinds = Global("collections", "OrderedDict"), Global("torch._utils", "_rebuild_tensor_v2"), getattr_
    for target in ({}, "text", *kinds):
        write_object(tmp_path / "x.pth", Call(getattr_, target, "__class__"))
        refused(tmp_path / "x.pth", "builtins.getattr", "nothing was executed")


STORAGE = (
    b"((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQ"  # an open mark
)
HOSTILE = {
    "extension 1": b"\x80\x02\x82\x01.",
    "extension 2": b"\x80\x02\x83\x01\x00.",
    "extension 4": b"\x80\x02\x84\x01\x00\x00\x00.",
    "persistent id as text": b"\x80\x02Pstorage\n.",
    "persistent id of a number": b"\x80\x02K\x01Q.",
    "persistent id of an empty tuple": b"\x80\x02)Q.",
    "persistent id of a module": b"\x80\x02(X\x06\x00\x00\x00moduleNNNNtQ.",
    "persistent id with a list": b"\x80\x02(X\x07\x00\x00\x00storage]]]]tQ.",
    "buffer": b"\x80\x05\x97.",
    "buffer read-only": b"\x80\x05N\x98.",
    "inst": b"\x80\x02(X\x04\x00\x00\x00trueios\nsystem\n.",
    "obj": b"\x80\x02(cos\nsystem\nX\x04\x00\x00\x00trueo.",
    "stack global": b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
    "stack global of numbers": b"\x80\x04K\x01K\x02\x93.",
    "call of a string": b"\x80\x02X\x02\x00\x00\x00os)R.",
    "call of a storage type": b"\x80\x02ctorch\nFloatStorage\n)R.",
    "call of a storage": b"\x80\x02" + STORAGE[1:] + b")R.",
    "call without a tuple": b"\x80\x02ccollections\nOrderedDict\n]R.",
    "new function": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)\x81.",
    "new with keywords": b"\x80\x04ccollections\nOrderedDict\n)}\x92.",
    "rebuild without arguments": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.",
    "rebuild a tuple": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n()K\x00)))NtR.",
    "rebuild a parameter of a list": b"\x80\x02ctorch._utils\n_rebuild_parameter\n]NN\x87R.",
    "rebuild with sizes of text": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n"
    + STORAGE
    + b"K\x00X\x01\x00\x00\x004K\x01\x85NNtR.",
    "rebuild with a true size": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n"
    + STORAGE
    + b"K\x00\x88\x85K\x01\x85NNtR.",
    "build on nothing": b"\x80\x02}b.",
    "items of a string": b"\x80\x02X\x01\x00\x00\x00aK\x01K\x02s.",
    "items of a tuple": b"\x80\x02)K\x01K\x02s.",
    "append to a dict": b"\x80\x02}K\x01a.",
    "key without value": b"\x80\x02}(K\x01u.",
    "size of a number": b"\x80\x02ctorch\nSize\nK\x05\x85R.",
    "unknown opcode": b"\x80\x02\xff.",
    "empty stack": b"\x80\x02.",
    "empty stack popped": b"\x80\x020.",
    "two objects": b"\x80\x02NN.",
    "open mark": b"\x80\x02(N.",
    "memo of nothing": b"\x80\x02h\x05.",
    "memo far away": b"\x80\x02Nr\xff\xff\xff\xffh\x05.",
    "no stop": b"\x80\x02N",
    "long that never ends": b"\x80\x02\x8b\xff\xff\xff\x7f\x01.",
    "text that never ends": b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7fabc.",
    "bytes that never end": b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7fabc.",
    "bytearray that never ends": b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\x7fabc.",
    "frame that never ends": b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.",
    "deep tuple": b"\x80\x02)" + b"\x85" * 200_000 + b".",
    "deep tuple as a key": b"\x80\x02})" + b"\x85" * 200_000 + b"K\x01s.",
    "deep list": b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".",
}


@BOTH
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickles(tmp_path, name, legacy):
    write = write_legacy if legacy else write_zip
    write(tmp_path / "x.pth", HOSTILE[name], {"0": ramp(4)})
    refused(tmp_path / "x.pth")


def test_state_of_objects_is_dropped(tmp_path):
    """BUILD may not reach a class, an attribute or the items of anything."""
    hostile = {"__setstate__": "a", "__class__": 1, "__dict__": {"update": 2}, "w": 3}
    with_state = Call(Global("collections", "OrderedDict"), state=hostile)
    built = tensor(ramp(2))
    built.state = ({"offset": 10**9}, {"storage": None, "size": (10**9,)})
    kind = Call(Global("__builtin__", "getattr"), Global("argparse", "Namespace"), "x", state=hostile)
    write_object(tmp_path / "x.pth", {"model": {"w": built}, "a": with_state, "b": kind})
    same(read_pth(tmp_path / "x.pth"), {"w": ramp(2)})


@BOTH
@pytest.mark.parametrize(
    "offset, size, stride",
    [
        (0, (5,), (1,)),
        (1, (4,), (1,)),
        (0, (2, 2), (3, 1)),
        (0, (2,), (4,)),
        (-1, (1,), (1,)),
        (0, (2,), (-1,)),
        (0, (-1,), (1,)),
        (5, (0,), (1,)),
        (0, (4,), (1, 1)),
        (0, (2**62, 2), (1, 1)),
        (0, (2,), (2**62,)),
        (2**62, (), ()),
        (2**9999, (), ()),
        (0, (2**64, 0), (0, 0)),
        (0, (2**20, 2**20), (0, 0)),
        (0, (1,) * 33, (1,) * 33),
        (0, [2], [1]),
        (0.0, (2,), (1,)),
        (True, (2,), (1,)),
    ],
)
def test_tensors_outside_their_storage(tmp_path, offset, size, stride, legacy):
    write_object(tmp_path / "x.pth", {"w": view(Storage(ramp(4)), offset, size, stride)}, legacy)
    assert len(refused(tmp_path / "x.pth")) < 500


def test_odd_strides_that_fit(tmp_path):
    content = {
        "one": view(Storage(ramp(4)), 3, (1, 1), (2**62, 0)),
        "none": view(Storage(ramp(4)), 4, (0, 9), (2**62, 1)),
    }
    write_object(tmp_path / "x.pth", content)
    same(read_pth(tmp_path / "x.pth"), {"one": ramp(4)[3:].reshape(1, 1), "none": np.zeros((0, 9), "f4")})


@pytest.mark.parametrize("count", [0, 3, 5, 2**40, -1, 2**9999, None])
@BOTH
def test_storages_of_another_size(tmp_path, count, legacy):
    identity = ("storage", Global("torch", "FloatStorage"), "0", "cpu", count) + ((None,) if legacy else ())
    write_object(tmp_path / "pickle", {"w": view(Persistent(identity), 0, (0,), (1,))}, legacy)
    if legacy:
        write_legacy(tmp_path / "x.pth", object_in(tmp_path / "pickle"), {"0": ramp(4)})
    else:
        with zipfile.ZipFile(tmp_path / "pickle") as archive:
            write_zip(tmp_path / "x.pth", archive.read("archive/data.pkl"), {"0": ramp(4)})
    assert len(refused(tmp_path / "x.pth")) < 500


def test_a_list_repeated_again_and_again(tmp_path):
    pairs = [["a", 1]] * 3000
    write_object(tmp_path / "x.pth", [Call(Global("collections", "OrderedDict"), pairs)] * 4000)
    refused(tmp_path / "x.pth", "repeats itself")
