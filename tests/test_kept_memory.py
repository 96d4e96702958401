"""Freed memory that stays with the process."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = """
import resource, sys
from mxnetseg import memory
from mxnet import nd
(memory.keep_freed_memory if sys.argv[1] == "kept" else memory.give_back_freed_memory)()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def step():
    arrays = [nd.ones((int(sys.argv[2]), 4096)) for _ in range(8)]
    nd.waitall()
    del arrays
    nd.waitall()  # the engine frees them: without waiting, the next eight would come first
for number in range(5):
    step()
    if number == 0 and sys.argv[1] == "kept later":
        memory.keep_freed_memory()
least = None
for _ in range(4):  # waiting ends a moment before memory is free: the next eight may still come first, once
    before = faults()
    for _ in range(5):
        step()
    least = min(faults() if least is None else least, faults() - before)
print(least)
"""


def faults(what, rows=1024, **environment):
    """Pages that the system cleared in five steps of eight arrays of 16 kB a row, after five others; least of four."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    command = [sys.executable, "-c", SCRIPT, what, str(rows)]
    done = subprocess.run(
        command, cwd=ROOT, env={**clean, **environment}, stdout=subprocess.PIPE, text=True, check=True
    )
    return int(done.stdout)


PAGES = 5 * 8 * 2**24 // os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have other allocators")
def test_the_next_array_takes_the_last_ones_memory():
    assert faults("kept") < PAGES / 10
    assert faults("kept later") < PAGES / 10
    assert faults("kept", MALLOC_TRIM_THRESHOLD_="131072") > PAGES / 2  # whoever sets these decides


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have other allocators")
def test_memory_goes_back_where_it_is_scarce_and_where_nothing_may_be_set():
    assert faults("given back") > PAGES / 2
    # the C library soon keeps what is smaller than 32 MB by itself
    assert faults("kept", 4096, MXNETSEG_STARTUP="0") > 4 * PAGES / 2
    assert faults("kept", 4096) < 4 * PAGES / 10
