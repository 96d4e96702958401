"""The library, built once for all tests of operators."""

import os

import pytest

from mxnetseg import ops
from mxnetseg.ops import build

from .helpers import finish, run


@pytest.fixture(scope="session")
def first_builds(tmp_path_factory):
    """(cache, output of each) of two processes that build the library at the same time; the tests go on with it."""
    try:
        build.find(cuda=False)
    except build.BuildError as err:
        pytest.skip(str(err))
    cache = tmp_path_factory.mktemp("cache")
    code = "from mxnetseg import ops; ops.load(); print(ops.status().state)"
    processes = [run(code, MXNETSEG_CACHE=str(cache)) for _ in range(2)]
    return cache, [finish(process)[0] for process in processes]


@pytest.fixture(scope="session")
def operators(first_builds):
    before = os.environ.get("MXNETSEG_CACHE")
    os.environ["MXNETSEG_CACHE"] = str(first_builds[0])
    ops.load()
    yield ops
    del os.environ["MXNETSEG_CACHE"]
    if before is not None:
        os.environ["MXNETSEG_CACHE"] = before
