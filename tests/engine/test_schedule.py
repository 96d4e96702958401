"""Learning rates: exact at both ends, equal to their formulas between."""

import math

import pytest

from mxnetseg.config import ScheduleConfig
from mxnetseg.engine.schedule import Schedule

TOTAL, LR, END = 101, 0.3, 0.001
NAMES = ["poly", "cosine", "linear", "step", "constant"]


def rates(total=TOTAL, **config):
    schedule = Schedule(ScheduleConfig(**config), LR, total)
    return [schedule(i) for i in range(total)]


def middle(name, share):
    return {
        "poly": END + (LR - END) * (1 - share) ** 0.9,
        "cosine": END + (LR - END) * 0.5 * (1 + math.cos(math.pi * share)),
        "linear": END + (LR - END) * (1 - share),
        "step": LR * 0.1 ** ((share >= 0.5) + (share >= 0.8)),
        "constant": LR,
    }[name]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("warmup", [0, 20])
def test_equals_the_formula(name, warmup):
    got = rates(name=name, end_lr=END, steps=[0.5, 0.8], warmup=warmup, warmup_ratio=0.1)
    for i in range(warmup):
        assert got[i] == pytest.approx(LR * (0.1 + 0.9 * i / warmup), rel=1e-12)
    for i in range(warmup, TOTAL):
        assert got[i] == pytest.approx(middle(name, (i - warmup) / (TOTAL - 1 - warmup)), rel=1e-12)


@pytest.mark.parametrize(
    "name, last", [("poly", END), ("cosine", END), ("linear", END), ("step", LR * 0.1 * 0.1), ("constant", LR)]
)
def test_both_ends_are_exact(name, last):
    got = rates(name=name, end_lr=END, steps=[0.5, 0.8])
    assert got[0] == LR and got[-1] == pytest.approx(last, rel=1e-15)
    warm = rates(name=name, end_lr=END, steps=[0.5, 0.8], warmup=10)
    assert warm[0] == 0 and warm[10] == LR and warm[-1] == pytest.approx(last, rel=1e-15)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("total, warmup", [(1, 0), (2, 0), (1, 5), (3, 10)])
def test_the_shortest_runs(name, total, warmup):
    assert all(0 <= rate <= LR for rate in rates(total, name=name, warmup=warmup, steps=[0.5]))


@pytest.mark.parametrize("power, end", [(1.0, 0.0), (0.9, 0.001)])
def test_mmcv_style_equals_mmcvs_rule(power, end):
    """mmcv 1.x: poly over all iterations; while warming up, what it gives there times 1 - (1 - i / n) * (1 - ratio)."""
    got = rates(name="poly", power=power, end_lr=end, warmup=20, warmup_ratio=1e-6, style="mmcv")
    for i in range(TOTAL):
        regular = (LR - end) * (1 - i / TOTAL) ** power + end
        expected = regular * (1 - (1 - i / 20) * (1 - 1e-6)) if i < 20 else regular
        assert got[i] == pytest.approx(expected, rel=1e-12)
    assert got[-1] > end and got[0] == pytest.approx(LR * 1e-6)


@pytest.mark.parametrize("warmup, warned", [(9, False), (10, True), (1500, True)])
def test_a_warm_up_as_long_as_the_run_is_told(caplog, warmup, warned):
    Schedule(ScheduleConfig(warmup=warmup), LR, 10)
    assert (f"schedule.warmup {warmup} is as long as the run of 10 iterations" in caplog.text) == warned
