"""The documentation as a site, and what its environment has besides: a check of the workflow and of CITATION.cff."""

import os
import shutil
import subprocess
import sys

import pytest

import mxnetseg
from tools.docs import site

from .markdown import ROOT


def test_public_names_have_docstrings():
    """What `make docs` refuses, told sooner."""
    assert len(site.documented()) == len(set(site.documented())) > 40
    assert site.undocumented() == []


def test_all_that_the_package_offers_is_in_the_reference():
    offered = (getattr(mxnetseg, name) for name in mxnetseg.__all__)
    assert {thing.__module__ for thing in offered if callable(thing)} <= set(site.documented())


def test_a_name_without_a_docstring_is_found(tmp_path):
    source = tmp_path / "a.py"
    source.write_text(
        '"""A."""\n__all__ = ["f", "C"]\n\ndef f(): ...\n\ndef g(): ...\n\nclass C:\n    def m(self): ...\n'
    )
    assert list(site.without_docstring(source)) == ["f", "C", "C.m"]


@pytest.mark.parametrize(
    ("link", "moved"),
    [
        ("[a](docs/data.md#x)", "[a](data.md#x)"),
        ("![a](docs/images/camvid.png)", "![a](images/camvid.png)"),
        ("[a](CONTRIBUTING.md)", "[a](contributing.md)"),
        ("[a](LICENSE)", "a"),
        ("[a](https://example.org/docs/x)", "[a](https://example.org/docs/x)"),
    ],
)
def test_links_of_the_readme_lead_into_the_site(link, moved):
    assert site.moved(link) == moved


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The folder of programs of a virtual environment with docs/requirements.txt."""
    if sys.version_info < (3, 10):
        pytest.skip("MkDocs' plugins need Python 3.10")
    folder = tmp_path_factory.mktemp("docs") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    requirements = str(ROOT / "docs" / "requirements.txt")
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--retries", "1", "-r", requirements]
    done = subprocess.run(pip, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode and ("No matching distribution" in done.stdout or "connection" in done.stdout.lower()):
        pytest.skip(f"the package index can't be reached: {done.stdout.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stdout
    return folder / "bin"


def run(*command, cwd=ROOT):
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.returncode, done.stdout


@pytest.fixture
def sources(tmp_path):
    """A copy of what the site is made of."""
    for name in ("docs", "examples", "mxnetseg", "tools"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("mkdocs.yml", *site.OUTSIDE):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


@pytest.mark.slow
def test_the_site_is_built_strictly(environment, sources):
    status, said = run(environment / "mkdocs", "build", cwd=sources)
    assert status == 0, said
    page = (sources / "site" / "reference" / "networks" / "index.html").read_text(encoding="utf-8")
    # a docstring in NumPy's format: its sections are headings, not text with dashes below
    assert "create_model" in page and "Parameters:" in page and "Raises:" in page and "----------" not in page
    assert "Train and evaluate" in (sources / "site" / "index.html").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "text", "told"),
    [
        ("gpu.md", "[x](none.md)", "none.md"),
        ("gpu.md", "[x](data.md#none)", "#none"),
        ("stray.md", "# Stray", "stray.md"),
    ],
)
def test_a_broken_page_ends_the_build(environment, sources, page, text, told):
    with open(sources / "docs" / page, "a", encoding="utf-8") as file:
        file.write(f"\n{text}\n")
    status, said = run(environment / "mkdocs", "build", cwd=sources)
    assert status != 0 and told in said


@pytest.mark.slow
def test_the_workflow_is_one(environment):
    status, said = run(environment / "zizmor", "--offline", "--strict-collection", ".github/workflows")
    assert status == 0, said


@pytest.mark.slow
def test_the_citation_is_valid(environment):
    status, said = run(environment / "cffconvert", "--validate")
    assert status == 0, said
