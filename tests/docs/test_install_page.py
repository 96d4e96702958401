"""docs/install.md names the extras that there are, and the folders that stay."""

import os
import re
import tempfile
from pathlib import Path

from packaging.requirements import Requirement

from mxnetseg import pretrained
from mxnetseg.ops import cache
from mxnetseg.pretrained.store import models_folder

from ..test_requirements import project

ROOT = Path(__file__).resolve().parents[2]


def section(title):
    """Rows of cells of the table below a heading."""
    text = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    part = text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines() if line.startswith("| ")
    ]
    return rows[2:], part


def test_extras():
    rows, _ = section("Extras")
    extras = project()["optional-dependencies"]
    assert [row[0].strip("`") for row in rows] == sorted(extras, key=[row[0].strip("`") for row in rows].index)
    for name, brings, _ in rows:
        wanted = [Requirement(line).name for line in extras[name.strip("`")]]
        if name not in ("`all`", "`cu112`", "`dev`"):
            assert brings.split(", ") == wanted
    named = set(Requirement(extras["all"][0]).extras)
    assert named == set(extras) - {"all", "pretrained", "cu112", "dev"}


def test_what_stays_when_it_is_uninstalled(monkeypatch):
    for name in ("MXNETSEG_CACHE", "MXNETSEG_WEIGHTS", "XDG_CACHE_HOME", "MXNET_HOME", "TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", "/tmp")
    home, temporary = cache.folders()
    made = [
        str(path).replace(str(Path.home()), "~") for path in (home, temporary, pretrained.folder(), models_folder())
    ]
    made[1] = made[1].replace(str(os.geteuid()), "<user number>")
    rows, _ = section("Uninstalling")
    assert [row[0].strip("`") for row in rows] == made
    for name, find, row in (
        ("MXNETSEG_CACHE", lambda: cache.folders()[0], 0),
        ("MXNETSEG_WEIGHTS", pretrained.folder, 2),
        ("MXNET_HOME", models_folder, 3),
        ("XDG_CACHE_HOME", pretrained.folder, 2),
    ):
        monkeypatch.setenv(name, "/elsewhere")
        assert f"`{str(find()).replace('/elsewhere', f'${name}')}`" in rows[row][2]
        monkeypatch.delenv(name)


def test_every_variable_that_names_a_folder_is_there():
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "mxnetseg").rglob("*.py"))
    named = set(re.findall(r"\b(?:MXNETSEG|XDG|MXNET)_(?:[A-Z]+_)?(?:CACHE|WEIGHTS|HOME|DIR|FOLDER)\b", code))
    assert named and named == set(re.findall(r"\$([A-Z_]+)", section("Uninstalling")[1])) - {"TMPDIR"}
