"""Packages with entry points, put into a folder as pip leaves them, without pip."""

import shutil
import sys
from pathlib import Path
from typing import Dict, Mapping

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pytest brings it

__all__ = ["EXAMPLE", "install", "make_package"]

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "plugin"


def install(source: Path, target: Path) -> None:
    """What `pip install --no-deps --target` makes of a folder with a pyproject.toml."""
    project = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))
    for package in project["tool"]["setuptools"]["packages"]:
        shutil.copytree(source / package, target / package, ignore=shutil.ignore_patterns("__pycache__"))
    about = project["project"]
    write_facts(target, about["name"], about["version"], about["entry-points"])


def write_facts(target: Path, name: str, version: str, groups: Mapping[str, Mapping[str, str]]) -> None:
    """The folder NAME-VERSION.dist-info."""
    folder = target / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    lines = []
    for group, points in groups.items():
        lines += [f"[{group}]", *(f"{point} = {value}" for point, value in points.items()), ""]
    (folder / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")


def make_package(target: Path, name: str, groups: Mapping[str, Mapping[str, str]], modules: Dict[str, str]) -> None:
    """A package of single modules: name -> source."""
    target.mkdir(parents=True, exist_ok=True)
    for module, source in modules.items():
        (target / f"{module}.py").write_text(source, encoding="utf-8")
    write_facts(target, name, "1.0", groups)
