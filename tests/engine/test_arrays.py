"""MXNet's .params format without MXNet: the same bytes, and an error for whatever is no such file."""

import random
import struct
import sys
import tracemalloc

import mxnet as mx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mxnetseg.engine import arrays
from mxnetseg.engine.arrays import pack, unpack
from mxnetseg.errors import MXNetSegError

from .mutate import mutate, outcomes

BFLOAT16 = np.dtype([("bfloat16", np.uint16)])
TYPES = ["float32", "float64", "float16", "uint8", "int32", "int8", "int64", "bool"]
OTHER_TYPES = {8: "int16", 9: "uint16", 10: "uint32", 11: "uint64"}  # the format's, but not MXNet 1.9.1's


def packed(named):
    return b"".join(pack(named))


def saved(named, path):
    mx.nd.save(str(path), named)
    return path.read_bytes()


def in_mxnet(array):
    return mx.nd.array(array, dtype=array.dtype)


def assert_same(got, expected):
    assert list(got) == list(expected)
    for name in got:
        assert got[name].dtype == expected[name].dtype
        np.testing.assert_array_equal(got[name], expected[name])


def small(dtype):
    values = np.random.RandomState(0).normal(size=(2, 3, 4)) * 50
    return {"w.ä": values.astype(dtype), "b": (values[0, 0, :1] > 0).astype(dtype)}


@pytest.mark.parametrize("dtype", TYPES)
def test_the_same_bytes_as_mxnet(dtype, tmp_path):
    named = small(dtype)
    content = saved({name: in_mxnet(array) for name, array in named.items()}, tmp_path / "x.params")
    assert packed(named) == content
    assert_same(unpack(content, "x"), named)


def test_bfloat16(tmp_path):
    values = mx.nd.array([[1, -2.5, 3e38], [0, 1e-20, 7]])
    narrow = values.astype(BFLOAT16)
    content = saved({"a": narrow, "b": values}, tmp_path / "x.params")
    assert packed({"a": narrow.asnumpy(), "b": values.asnumpy()}) == content
    assert_same(unpack(content, "x"), {"a": narrow.astype("float32").asnumpy(), "b": values.asnumpy()})
    assert unpack(packed({"a": narrow.asnumpy()[0, 0]}), "x")["a"] == 1  # a scalar is no special case


def test_scalars_and_empty_arrays(tmp_path):
    named = {"s": np.array(2.5, "float32"), "none": np.zeros((0, 3), "int64"), "a": np.ones(2, bool)}
    with mx.util.np_shape(True):
        content = saved({name: in_mxnet(array) for name, array in named.items()}, tmp_path / "x.params")
    assert packed(named) == content
    assert_same(unpack(content, "x"), named)
    (tmp_path / "x.params").write_bytes(packed({"e": np.zeros((2, 0), "float16")}))
    with mx.util.np_shape(True):
        assert mx.nd.load(str(tmp_path / "x.params"))["e"].shape == (2, 0)


def test_a_network(tmp_path):
    net = mx.gluon.nn.HybridSequential()
    net.add(mx.gluon.nn.Conv2D(3, 3, in_channels=2), mx.gluon.nn.BatchNorm(in_channels=3))
    net.initialize(mx.init.Xavier())
    net.save_parameters(str(tmp_path / "net.params"))
    content = (tmp_path / "net.params").read_bytes()
    got = unpack(content, "net.params")
    assert packed(got) == content and set(got) == set(net._collect_params_with_prefix())
    for name, parameter in net._collect_params_with_prefix().items():  # MXNet takes arrays that are not aligned
        np.testing.assert_array_equal(mx.nd.array(got[name]).asnumpy(), parameter.data().asnumpy())


@pytest.mark.parametrize("dtype", TYPES)
def test_mxnet_reads_it(dtype, tmp_path):
    named = small(dtype)
    (tmp_path / "x.params").write_bytes(packed(named))
    assert_same({n: a.asnumpy() for n, a in mx.nd.load(str(tmp_path / "x.params")).items()}, named)


def test_memory_that_lies_otherwise():
    array = np.arange(24, dtype=">i4").reshape(4, 6)
    named = {"turned": array.T, "sliced": array[::2, 1::2], "big-endian": array}
    assert_same(unpack(packed(named), "x"), {n: a.astype("<i4") for n, a in named.items()})


def test_elements_are_not_copied():
    array = np.ones((1 << 22) + 1, np.float32)
    tracemalloc.start()
    try:
        pieces = pack({"a": array, "b": array[1:]})
        assert tracemalloc.get_traced_memory()[1] < 100_000
        content = b"".join(pieces)
        tracemalloc.clear_traces()
        got = unpack(memoryview(content), "x")
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
    assert all(np.shares_memory(a, np.frombuffer(content, np.uint8)) and not a.flags.writeable for a in got.values())


def test_views_of_memory_that_can_be_written_are_read_only():
    got = unpack(memoryview(bytearray(packed({"a": np.ones(3, np.float32)}))), "x")
    with pytest.raises(ValueError, match="read-only"):
        got["a"][0] = 2


@pytest.mark.parametrize("array", [np.ones(2, "int16"), np.ones(2, "uint32"), np.array(["a"]), np.ones(1, complex)])
def test_types_that_mxnet_lacks(array):
    with pytest.raises(MXNetSegError, match=rf"array 'b' can't be saved: MXNet has no arrays of type {array.dtype};"):
        pack({"a": np.ones(1), "b": array})


@pytest.mark.parametrize("name", ["", "a\0b", "n" * 4097, "\ud800"])
def test_names_that_cannot_be_read_back_are_not_written(name):
    with pytest.raises(MXNetSegError, match="can't be saved: its name "):
        pack({name: np.ones(1)})


names = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1, max_size=20)
values = st.sampled_from(TYPES).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4))
)


@given(st.dictionaries(names, values, min_size=1, max_size=5))
def test_round_trip(named):
    content = packed(named)
    got = unpack(content, "x")
    assert_same(got, named)
    assert packed(got) == content


DENSE = struct.pack("<Iii2q", 0xF993FAC9, 0, 2, 1, 2)
ON_CPU = struct.pack("<iii", 1, 0, 0)
DATA = struct.pack("<2f", 1.5, -2)


def listing(*array, names=(b"a",), count=1):
    """A file of `count` arrays, all of these parts, and names."""
    lengths = b"".join(struct.pack("<Q", len(name)) + name for name in names)
    return struct.pack("<QQQ", 0x112, 0, count) + b"".join(array) + struct.pack("<Q", len(names)) + lengths


@pytest.mark.parametrize(
    "header",
    [
        struct.pack("<Ii2q", 0xF993FAC8, 2, 1, 2),
        struct.pack("<I2I", 2, 1, 2),
    ],
    ids=["MXNet 1.0", "older"],
)
@pytest.mark.parametrize("device", [(1, 0), (2, 3), (3, 0), (5, 0)])
def test_old_forms_and_other_devices(header, device, tmp_path):
    expected = {"a": np.array([[1.5, -2]], "float32")}
    for start in (header, DENSE):
        content = listing(start, struct.pack("<iii", *device, 0), DATA)
        assert_same(unpack(content, "x"), expected)
        (tmp_path / "x.params").write_bytes(content)
        if device[0] != 3:  # MXNet without CUDA has no pinned memory
            assert_same({n: a.asnumpy() for n, a in mx.nd.load(str(tmp_path / "x.params")).items()}, expected)


@pytest.mark.parametrize("number", OTHER_TYPES)
def test_types_of_other_versions(number):
    array = np.array([[1, 200]], OTHER_TYPES[number])
    assert_same(unpack(listing(DENSE, struct.pack("<iii", 1, 0, number), array.tobytes()), "x"), {"a": array})


def dims(*shape, ndim=None, magic=0xF993FAC9):
    return struct.pack(f"<Iii{len(shape)}q", magic, 0, len(shape) if ndim is None else ndim, *shape)


MALFORMED = {
    "empty": (b"", "not a parameter file, but empty"),
    "text": (b"some text", "not a parameter file of MXNet"),
    "no arrays": (listing(names=(), count=0), "holds no named parameters"),
    "no names": (listing(DENSE, ON_CPU, DATA, names=()), "holds no named parameters"),
    "24 million arrays": (listing(DENSE, ON_CPU, DATA, count=24_000_000), "it claims to hold 24000000 arrays"),
    "50000 arrays": (listing(DENSE, ON_CPU, DATA, count=50_000), "cut off"),
    "magic": (listing(struct.pack("<I", 0xF993FACB), ON_CPU, DATA), "array 1 of 1, it begins with 0xf993facb"),
    "storage": (listing(struct.pack("<Ii", 0xF993FAC9, -1), ON_CPU, DATA), "its storage type -1 is none of MXNet's"),
    "ndim -1": (listing(dims(ndim=-1)), "its number of dimensions is -1, not 0 to 32"),
    "ndim -1, old": (listing(struct.pack("<Ii", 0xF993FAC8, -1), ON_CPU, DATA), "its number of dimensions is -1"),
    "ndim -1, NumPy": (listing(dims(ndim=-1, magic=0xF993FACA)), "its number of dimensions is -1"),
    "ndim 33": (listing(dims(*[1] * 33), ON_CPU, DATA), "its number of dimensions is 33"),
    "unshaped": (listing(dims()), "saved before it had a shape"),
    "unshaped, older": (listing(struct.pack("<I", 0), ON_CPU, DATA), "saved before it had a shape"),
    "dimension -1": (listing(dims(2, -1), ON_CPU, DATA), r"its shape \(2, -1\)"),
    "dimension 2**40": (listing(dims(1 << 40), ON_CPU, DATA), r"its shape \(1099511627776,\)"),
    "product": (listing(dims(1 << 32, 1 << 32), ON_CPU, DATA), "its shape .*"),
    "product 0": (listing(dims(1 << 39, 1 << 39, 0), ON_CPU, DATA), "its shape .*"),
    "more elements than there are": (listing(dims(1 << 30), ON_CPU, DATA), r"array 1 of 1, cut off \(4294967296 bytes"),
    "device": (listing(DENSE, struct.pack("<iii", 4, 0, 0), DATA), r"its device \(4, 0\) is none"),
    "device number": (listing(DENSE, struct.pack("<iii", 2, -1, 0), DATA), r"its device \(2, -1\) is none"),
    "type": (listing(DENSE, struct.pack("<iii", 1, 0, 13), DATA), "its element type 13 is none"),
    "type -1": (listing(DENSE, struct.pack("<iii", 1, 0, -1), DATA), "its element type -1 is none"),
    "booleans": (listing(DENSE, struct.pack("<iii", 1, 0, 7), b"\1\2"), "its booleans are other than 0 and 1"),
    "more names": (listing(DENSE, ON_CPU, DATA, names=(b"a", b"b")), "it claims 2 names for 1 arrays"),
    "empty name": (listing(DENSE, ON_CPU, DATA, names=(b"",)), "name 1 of 1, its name is empty"),
    "NUL": (listing(DENSE, ON_CPU, DATA, names=(b"a\0",)), "its name has a NUL in it"),
    "UTF-8": (listing(DENSE, ON_CPU, DATA, names=(b"\xff",)), "it is not UTF-8"),
    "long name": (listing(DENSE, ON_CPU, DATA, names=(b"a" * 4097,)), "its length is 4097, more than 4096"),
    "name's length": (listing(DENSE, ON_CPU, DATA)[:-9] + struct.pack("<Q", 9) + b"a", r"name 1 of 1, cut off"),
    "twice": (listing(*[DENSE, ON_CPU, DATA] * 2, names=(b"a", b"a"), count=2), "name 2 of 2, 'a' is there twice"),
    "left over": (listing(DENSE, ON_CPU, DATA) + b"xyz", "3 bytes are left over behind its names"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed(case):
    content, message = MALFORMED[case]
    with pytest.raises(MXNetSegError, match=rf"^checkpoint x\.params: .*{message}.*; get or save it again$"):
        unpack(content, "checkpoint x.params")


@pytest.mark.parametrize("storage", ["row_sparse", "csr"])
def test_sparse(storage, tmp_path):
    content = saved({"a": mx.nd.array([[1, 0], [0, 0]]).tostype(storage)}, tmp_path / "x.params")
    with pytest.raises(MXNetSegError, match=rf"x: array 1 of 1, its storage is sparse \({storage}\)"):
        unpack(content, "x")


def test_cut_off_anywhere():
    content = packed({**small("float32"), "s": np.float32(1)[()].reshape(())})
    for length in range(1, len(content)):
        with pytest.raises(MXNetSegError, match="^x: .*cut off .*; get or save it again$"):
            unpack(content[:length], "x")


def headers(named):
    """A file, and where its words are that aren't elements."""
    pieces, places, at = pack(named), [], 0
    for piece in pieces:
        if isinstance(piece, bytes):
            places += range(at, at + len(piece), 4)
        at += len(piece)
    return b"".join(pieces), places


def test_mutated():
    content, places = headers({dtype: array for dtype in TYPES for array in small(dtype).values()})
    rng = random.Random(0)
    refused = 0
    for _ in range(500):
        try:
            got = unpack(mutate(content, rng, places), "x")
        except MXNetSegError as err:
            assert str(err).startswith("x: ") and str(err).endswith("; get or save it again")
            refused += 1
        else:  # elements, a name or a number that means the same
            assert len(got) == len(TYPES)
    assert 250 < refused < 500


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
def test_five_thousand_mutated_files(tmp_path):
    named = {dtype: np.ones((4, 1 << 17), dtype) for dtype in TYPES[2:6]}
    named.update({f"layers.{i}.weight": np.full((i, 3), i, "float32") for i in range(1, 100)})
    content, places = headers(named)
    rng = random.Random(1)
    got = outcomes(f"{arrays.__name__}:unpack", (mutate(content, rng, places) for _ in range(5000)), tmp_path)
    assert set(got) == {"read", "MXNetSegError"} and got["MXNetSegError"] > 2500
