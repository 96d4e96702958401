"""Memory of the tests: given back as they go, and a limit that names the test that passes it."""

import contextlib
import ctypes
import gc
import sys

import pytest

LIMIT = 3 << 30  # of any process that tests run in, or start, unless marked slow
GROWTH = 128 << 20  # what the cases of one test may leave before it is collected

passed = False
collected = 0  # what was in memory after the last collection


def memory(field):
    """Bytes that this process has in memory, now (VmRSS) or at most so far (VmHWM); 0 where Linux isn't."""
    with contextlib.suppress(OSError), open("/proc/self/status", encoding="ascii", errors="replace") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith(field))
    return 0


def peak():
    """The most that this process, or one that it started and saw the end of, has had in memory."""
    if sys.platform != "linux":
        return 0
    import resource

    return max(memory("VmHWM"), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item):
    """Fails the test after which the limit is passed, and only that: a peak stays."""
    global passed
    yield
    if not passed and peak() > LIMIT:
        passed = True
        if not item.get_closest_marker("slow"):
            pytest.fail(
                f"the tests' memory has passed {LIMIT / (1 << 30):.1f} GB ({peak() / (1 << 30):.1f}): make this one "
                "smaller, or mark it slow",
                pytrace=False,
            )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item, nextitem):
    """Networks refer to themselves in circles, and glibc keeps what they leave: it would add up to gigabytes."""
    global collected
    result = yield
    if nextitem is None or nextitem.function is not item.function or memory("VmRSS") > collected + GROWTH:
        gc.collect()
        if not collected:
            gc.freeze()  # what tests and libraries consist of: to look through it after every test takes minutes
        with contextlib.suppress(OSError, AttributeError):  # not glibc
            ctypes.CDLL("libc.so.6").malloc_trim(0)
        collected = memory("VmRSS")
    return result


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish():
    gc.unfreeze()  # Hypothesis looks for who refers to what
