"""A server or the scheduler of ps-lite: a process with DMLC_ROLE saying which."""

import ctypes
import importlib.util
import os
import sys
from pathlib import Path

from .. import cuda
from ..errors import MXNetSegError
from ..memory import keep_freed_memory
from .roles import Role
from .watch import Watch

__all__ = ["COMMAND", "main", "run"]

# how Python starts one; address of the root, size, and rank of its worker, and the run follow
COMMAND = ["-c", "from mxnetseg.dist.node import main; main()"]


def run() -> None:
    """Serve until the workers have ended.

    MXNet's library alone: its Python half takes seconds to import, and would begin a loop of its own, which unpickles
    the commands of anybody who can connect. This one has no command to obey.
    """
    keep_freed_memory()
    library = _library()
    cuda.load(library)
    mxnet = ctypes.CDLL(library)
    mxnet.MXGetLastError.restype = ctypes.c_char_p
    store = ctypes.c_void_p()
    _check(mxnet, mxnet.MXKVStoreCreate(b"dist_sync", ctypes.byref(store)))
    controller = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda *_: None)
    _check(mxnet, mxnet.MXKVStoreRunServer(store, controller, None))
    _check(mxnet, mxnet.MXKVStoreFree(store))


def main() -> None:
    """Of a worker's child."""
    host, port, size, rank, name = sys.argv[1:]
    os.umask(0o077)  # a socket's file is for this user alone
    with Watch(Role("kvstore", int(size), int(rank), (host, int(port)), run=name), of=os.environ["DMLC_ROLE"]):
        run()


def _library() -> str:
    spec = importlib.util.find_spec("mxnet")
    assert spec is not None and spec.origin is not None  # its worker imports it
    return os.environ.get("MXNET_LIBRARY_PATH") or str(Path(spec.origin).with_name("libmxnet.so"))


def _check(mxnet: ctypes.CDLL, status: int) -> None:
    if status:
        raise MXNetSegError(mxnet.MXGetLastError().decode(errors="replace").splitlines()[0])
