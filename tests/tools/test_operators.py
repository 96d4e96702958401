"""The benchmark of operators: its contenders agree."""

import sys

import pytest

from tools.bench import operators

SIZES = {"attention": (2, 4, 8), "argmax": (1, 5, 8, 8, 32, 32), "cross-entropy": (2, 5, 8, 8, 32, 32)}


@pytest.mark.slow
@pytest.mark.parametrize("operation", operators.CASES)
def test_contenders_agree_and_are_timed(operation):
    request = dict(operation=operation, sizes=SIZES[operation], backward=operation != "argmax", compiled=True)
    pythons = {"operator": sys.executable, "composed": sys.executable}
    assert min(operators.milliseconds(request, pythons, [0], rounds=1)) > 0
