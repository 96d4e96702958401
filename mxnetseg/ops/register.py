"""MXNet's Python functions for the operators of a library, and for these alone."""

import ctypes

import mxnet as mx
from mxnet.base import _LIB, OpHandle, c_str, check_call, mx_uint
from mxnet.ndarray.register import _make_ndarray_function
from mxnet.operator import get_all_registered_operators
from mxnet.symbol.register import _make_symbol_function

__all__ = ["load_library"]


def load_library(path: str) -> None:
    """As `mxnet.library.load`, but only new operators get functions.

    MXNet would make those of all its own operators anew, which takes forty times as long as loading the library.

    Raises mxnet.MXNetError where MXNet does not take the library.
    """
    before = set(get_all_registered_operators())
    check_call(_LIB.MXLoadLib(c_str(path), mx_uint(0)))
    for name in set(get_all_registered_operators()) - before:
        handle = OpHandle()
        check_call(_LIB.NNGetOpHandle(c_str(name), ctypes.byref(handle)))
        for package, make in ((mx.nd, _make_ndarray_function), (mx.sym, _make_symbol_function)):
            function = make(handle, name, name)
            function.__module__ = package.__name__
            setattr(package._internal if name.startswith("_") else package, name, function)
