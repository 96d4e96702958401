"""pyproject.toml, requirements*.txt and constraints/ say the same."""

import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from mxnetseg.optional import OPTIONAL

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
BESIDE = ("all", "cu112", "dev")  # which are no packages that some of the work needs
PYTHONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13")


def lines(name):
    """Requirements of a file, without comments, hashes and the backslashes before them."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return [line.rstrip("\\ ") for line in text.splitlines() if line and not line.startswith(("#", " "))]


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_a_clone_gets_what_the_package_and_its_extras_ask_for():
    extras = project()["optional-dependencies"]
    named = Requirement(extras["all"][0]).extras
    wanted = {*project()["dependencies"], *(line for name in named for line in extras[name])}
    beside = {"gluoncv>=0.10.5,<0.11"}  # to compare with
    assert set(lines("requirements.txt")) == wanted | beside
    assert named == set(extras) - {"all", "cu112", "dev", "pretrained"}
    assert set(lines("requirements-dev.txt")) == set(extras["dev"])


def test_what_an_extra_brings_is_told_by_doctor():
    extras = {name: lines for name, lines in project()["optional-dependencies"].items() if name not in BESIDE}
    assert {Requirement(line).name for lines in extras.values() for line in lines} == set(OPTIONAL)


def test_a_clone_for_gpus_gets_the_same():
    cpu, gpu = ([line for line in lines(f"requirements{kind}.txt") if "mxnet" not in line] for kind in ("", "-cu112"))
    assert cpu == gpu


@pytest.mark.parametrize("python", PYTHONS)
def test_constraints_keep_to_the_ranges_and_leave_nothing_out(python):
    files = {"requirements.txt": f"python{python}.txt", "requirements-dev.txt": f"python{python}-dev.txt"}
    held = {}
    for source, name in files.items():
        exact = [Requirement(line) for line in lines(f"constraints/{name}")]
        held.update({each.name.lower(): str(each.specifier)[2:] for each in exact})
        for wanted in map(Requirement, lines(source)):
            if not wanted.marker or wanted.marker.evaluate({"python_version": python}):
                assert wanted.specifier.contains(held[wanted.name.lower()]), (name, wanted)
    assert held["mxnet"] == "1.9.1"


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "constraints").iterdir()))
def test_every_package_has_a_hash(name):
    text = (ROOT / "constraints" / name).read_text(encoding="utf-8")
    packages = [part for part in text.replace("\\\n", "").splitlines() if not part.startswith("#")]
    assert packages and all("--hash=sha256:" in package for package in packages)
