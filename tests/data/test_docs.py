"""The page about data is made from the table."""

import runpy
from pathlib import Path

TOOL = Path(__file__).resolve().parents[2] / "tools" / "data_docs.py"


def test_the_page_is_current(capsys):
    assert runpy.run_path(str(TOOL))["main"](["--check"]) == 0, capsys.readouterr().out
