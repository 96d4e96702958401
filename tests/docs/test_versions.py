"""Numbers that stand in several files are the same."""

import re

import yaml
from packaging.requirements import Requirement

import mxnetseg

from .markdown import ROOT, read


def requirements(*names):
    """Package -> the versions that requirement files allow on Python 3.11, which the hooks are pinned for."""
    found = {}
    for name in names:
        for line in read(name).splitlines():
            if line.strip() and not line.startswith(("#", "-")):
                one = Requirement(line.split(" #")[0])
                if one.marker is None or one.marker.evaluate({"python_version": "3.11"}):
                    found[one.name] = one.specifier
    return found


def test_commit_hooks_have_the_versions_of_make_lint():
    wanted = requirements("requirements.txt", "requirements-dev.txt")
    repos = yaml.safe_load(read(".pre-commit-config.yaml"))["repos"]
    revisions = {repo["repo"].rpartition("/")[2]: f"=={repo['rev'][1:]}" for repo in repos}
    assert revisions == {"ruff-pre-commit": str(wanted["ruff"]), "mirrors-mypy": str(wanted["mypy"])}
    assert requirements("docs/requirements.txt")["ruff"] == wanted["ruff"]
    for repo in repos:
        for hook in repo["hooks"]:
            for package, version in (pin.split("==") for pin in hook.get("additional_dependencies", ())):
                assert wanted[package].contains(version), package


def test_the_version_is_the_same_everywhere():
    assert yaml.safe_load(read("CITATION.cff"))["version"] == mxnetseg.__version__
    headings = re.findall(r"^## \[([\d.]+)\] - (unreleased|\d{4}-\d\d-\d\d)$", read("CHANGELOG.md"), re.MULTILINE)
    assert mxnetseg.__version__ in [version for version, _ in headings]
    assert headings == sorted(headings, key=lambda row: [int(part) for part in row[0].split(".")], reverse=True)
    assert all(date != "unreleased" for _, date in headings[1:])


def test_the_workflow_runs_what_the_makefile_has():
    workflow = yaml.safe_load(read(".github/workflows/test.yml"))
    runs = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    called = re.findall(r"\bmake ([\w-]+)", "\n".join(runs))
    makefile = read("Makefile")
    assert {"test", "docs"} <= set(called) and all(f"\n{name}:" in makefile for name in called)


def test_bounds_that_the_security_page_names():
    from mxnetseg.foreign import unpickle

    bounds = f"{unpickle.MOST_BYTES >> 20} MB and {unpickle.MOST_OPCODES // 10**6} million opcodes"
    assert bounds in " ".join(read("SECURITY.md").split())


def test_the_licence_is_the_whole_one():
    text = " ".join(read("LICENSE").split())
    assert "TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION" in text and "[yyyy]" not in text
    assert "limitations under the License." in text and (ROOT / "NOTICE").is_file()
