"""Pages that are made from the code say what would be written now."""

import pytest

from tools.bench import summary
from tools.docs import models
from tools.docs.__main__ import texts

from .markdown import read


@pytest.mark.parametrize("page", ["commands", "config", "data", "performance"])
def test_the_page_is_current(page):
    now, wanted = texts(page)
    assert now == wanted, "run make docs-tables"


def test_figures_in_the_table_of_models():
    """Parameters and FLOPs take longer to count: tests/cli/test_models.py."""
    rows = {line.split("`")[1]: line for line in read("docs/models.md").splitlines() if line.startswith("| [`")}
    assert set(rows) == set(models.NOTES), "run make docs-tables"
    speeds, accuracies = models.speeds(), models.accuracies()
    for name, row in rows.items():
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        wanted = [models.NOTES[name][0], speeds.get(name, ""), "; ".join(accuracies.get(name, []))]
        assert [cells[1], *cells[5:]] == wanted, f"{name}: run make docs-tables"


def test_figures_of_the_readme_are_those_of_the_tables():
    readme = " ".join(read("README.md").split())
    performance, parity = read("docs/performance.md"), read("docs/parity.md")
    rows = summary.measured(performance).values()
    for name, text in zip(summary.HEADERS[4:], ("{} to {} of PyTorch's time", "{} to {} of OpenVINO's")):
        ratios = sorted(row[name] for row in rows)
        assert text.format(ratios[0], ratios[-1]) in readme
    evaluation = {row[""]: row for row in summary.table(performance.split("### Multi-scale evaluation\n")[1])}
    ours, theirs = evaluation["MXNetSeg, `--dtype float32`"], evaluation["GluonCV"]
    assert f"{float(theirs['s']) / float(ours['s']):.1f} times as fast as GluonCV's" in readme
    memory = float(ours["peak memory, MB"]) / float(theirs["peak memory, MB"])
    assert f"in {memory:.2f} of its memory" in readme
    logits = summary.table(parity.split("## Logits of MogaNet, FFNet and DGMN2\n")[1])
    classic = summary.table(parity.split("## The classic models\n")[1])
    most = max(float(row["relative L2"]) for row in logits)
    assert f"relative L2 of at most {most:.1e}".replace("e-0", "e-") in readme
    assert max(float(row["difference"]) for row in classic) <= 1e-5 and "at most 1e-5 of an output's" in readme
