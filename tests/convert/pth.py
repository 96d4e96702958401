"""What the tests of PyTorch checkpoints share."""

import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from mxnetseg.convert import read_pth
from mxnetseg.errors import MXNetSegError

FILES = Path(__file__).parent / "files"  # made by tests/convert/make_files.py
BOTH = pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])


def ramp(*shape, dtype="float32"):
    values = np.arange(np.prod(shape, dtype=int))
    values = values - values.size // 2
    if dtype.startswith(("float", "bfloat")):
        values = values / 4
    elif dtype == "uint8":
        values = abs(values)
    elif dtype == "bool":
        values = values % 2
    return values.astype("float32" if dtype == "bfloat16" else dtype).reshape(shape)


def same(got, expected):
    assert list(got) == list(expected)
    for name, array in expected.items():
        assert type(got[name]) is np.ndarray and got[name].dtype == array.dtype, name
        np.testing.assert_array_equal(got[name], array, err_msg=name)
        assert got[name].shape == array.shape, name


def refused(path, *words, **options):
    with pytest.raises(MXNetSegError) as caught:
        read_pth(path, **options)
    message = str(caught.value)
    assert str(path) in message
    for word in words:
        assert word in message, message
    return message


def object_in(path):
    """The pickled object in a file of the old format, without what is around it."""
    pickled = path.read_bytes()
    start = pickled.index(b"\x80", pickled.index(b"type_sizes"))
    return pickled[start : -len(pickle.dumps([], protocol=2))]


STATE = OrderedDict(
    [("conv.weight", ramp(2, 3)), ("norm.count", np.array(7, "int64")), ("none", np.zeros((0, 2), "f4"))]
)
