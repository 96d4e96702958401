"""Pages that tools write say what the tools would write now. Data sets and recipe keys: tests/data, tests/config."""

import runpy

from tools import models_doc
from tools.bench import summary

from .markdown import ROOT, read


def test_commands(capsys):
    assert runpy.run_path(str(ROOT / "tools" / "commands_doc.py"))["main"](["--check"]) == 0, capsys.readouterr().out


def test_the_summary_of_performance():
    page = summary.PAGE.read_text(encoding="utf-8")
    assert summary.summarized(page) == page, "run python -m tools.bench.summary"
    assert len(summary.measured(page)) > 1


def test_figures_in_the_table_of_models():
    """Parameters and FLOPs take longer to count: tests/cli/test_models.py."""
    rows = {line.split("`")[1]: line for line in read("docs/models.md").splitlines() if line.startswith("| [`")}
    assert set(rows) == set(models_doc.NOTES), "run python -m tools.models_doc"
    speeds, accuracies = models_doc.speeds(), models_doc.accuracies()
    for name, row in rows.items():
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        wanted = [models_doc.NOTES[name][0], speeds.get(name, ""), "; ".join(accuracies.get(name, []))]
        assert [cells[1], *cells[5:]] == wanted, f"{name}: run python -m tools.models_doc"
