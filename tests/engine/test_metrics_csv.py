"""metrics.csv: what somebody has done to it is no reason to lose rows."""

from pathlib import Path

import pytest

from mxnetseg.engine.metrics_csv import MetricsCsv
from mxnetseg.engine.state import RunState

ROWS = [{"iteration": 10, "loss": 0.5}, {"iteration": 20, "loss": 0.25}, {"iteration": 20, "val_miou": 0.125}]


@pytest.fixture
def table():
    """The file of a run of 20 steps, as bytes."""
    csv = MetricsCsv(Path("metrics.csv"), RunState())
    for row in ROWS:
        csv.write(dict(row))
    return csv.path.read_bytes()


def resumed(content, iteration=20, unscored=False):
    Path("metrics.csv").write_bytes(content)
    MetricsCsv(Path("metrics.csv"), RunState(iteration=iteration, unscored=unscored))
    return Path("metrics.csv").read_bytes()


def test_rows_after_the_state_are_dropped(table):
    lines = table.splitlines(keepends=True)
    assert resumed(table) == table
    assert resumed(table, unscored=True) == b"".join(lines[:3])
    assert resumed(table, 10) == b"".join(lines[:2])


def test_what_somebody_has_put_in_costs_no_row(table, caplog):
    assert resumed(b"\xef\xbb\xbf" + table) == table  # a spreadsheet's mark
    assert not list(Path().glob("*.before*"))
    assert resumed(b"# my run\n" + table) == table
    assert Path("metrics.csv.before").read_bytes() == b"# my run\n" + table
    more = table.replace(b"20,", b"10,,,0.125,,,,,\r\n20,", 1)
    assert resumed(more) == more  # one row more, and none less


def test_a_table_that_is_none_is_kept(table, caplog):
    for name in ("metrics.csv.before", "metrics.csv.before1"):
        changed = table.replace(b",", b";")
        assert resumed(changed).count(b"\n") == 1
        assert Path(name).read_bytes() == changed and f"kept as {name}" in caplog.text
