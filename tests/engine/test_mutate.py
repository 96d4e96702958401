"""The process that reads damaged files tells what went wrong there."""

import os
import random
import sys

import pytest

from .mutate import mutate, outcomes


def hoard(content, source):
    return bytearray(2 * len(content))


def crash(content, source):
    if content:
        os._exit(1)


def raise_key_error(content, source):
    raise KeyError(source)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
def test_memory_errors_and_crashes_are_told(tmp_path):
    files = [bytes(4 << 20)] * 2
    assert outcomes(f"{__name__}:hoard", files, tmp_path) == {"MemoryError": 2}
    assert outcomes(f"{__name__}:hoard", files, tmp_path, times=4) == {"read": 2}
    assert outcomes(f"{__name__}:raise_key_error", files, tmp_path) == {"KeyError": 2}
    with pytest.raises(AssertionError, match="crashed on file 0"):
        outcomes(f"{__name__}:crash", files, tmp_path)


def test_mutations_repeat_with_their_seed_and_differ():
    content = bytes(range(256))
    first, again = ([mutate(content, rng, [8, 16]) for _ in range(100)] for rng in (random.Random(3), random.Random(3)))
    assert first == again and len(set(first) - {content}) > 80
