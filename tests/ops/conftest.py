"""The library, built once for all tests of operators."""

import fcntl
import json
import os

import pytest

from mxnetseg import ops
from mxnetseg.ops import compilers

from .helpers import finish, run


@pytest.fixture(scope="session")
def first_builds(tmp_path_factory):
    """(cache, output of each) of two processes that build the library at the same time; the tests go on with it."""
    try:
        compilers.compiler()
    except compilers.BuildError as err:
        pytest.skip(str(err))
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # once for all workers
        root = root.parent
    cache, told = root / "library", root / "library.json"
    with open(root / "library.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not told.exists():
            code = "from mxnetseg import ops; ops.load(); print(ops.status().state)"
            processes = [run(code, MXNETSEG_CACHE=str(cache)) for _ in range(2)]
            told.write_text(json.dumps([finish(process)[0] for process in processes]), encoding="utf-8")
    return cache, json.loads(told.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def operators(first_builds):
    before = os.environ.get("MXNETSEG_CACHE")
    os.environ["MXNETSEG_CACHE"] = str(first_builds[0])
    ops.load()
    yield ops
    del os.environ["MXNETSEG_CACHE"]
    if before is not None:
        os.environ["MXNETSEG_CACHE"] = before
