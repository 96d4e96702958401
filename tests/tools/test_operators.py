"""The benchmark of operators: its contenders agree."""

import sys

import pytest

from tools.bench import operators
from tools.bench.operations import OPERATIONS

SIZES = {
    "attention": (2, 4, 8),
    "argmax": (1, 5, 8, 8, 32, 32),
    "cross-entropy": (2, 5, 8, 8, 32, 32),
    "relu6": (1, 2, 8, 8),
    "depthwise": (1, 4, 9, 12, 5, 1, 1),
    "layer-norm": (2, 8, 6),
    "channel-scale": (1, 4, 8, 8),
    "resize": (1, 2, 8, 8, 16, 12),
}


@pytest.mark.slow
@pytest.mark.parametrize("operation", OPERATIONS)
def test_contenders_agree_and_are_timed(operation):
    for backward in OPERATIONS[operation].backward:
        request = dict(operation=operation, sizes=SIZES[operation], backward=backward, compiled=True)
        pythons = {"operator": sys.executable, "composed": sys.executable}
        assert min(operators.milliseconds(request, pythons, [0], rounds=1)) > 0
