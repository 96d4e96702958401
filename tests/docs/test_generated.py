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
