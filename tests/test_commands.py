"""Commands that messages name work where they are printed."""

import ast
import re
import sys
from pathlib import Path

import pytest

from mxnetseg import commands, preflight
from mxnetseg.cli import COMMANDS
from mxnetseg.commands import command, typed
from mxnetseg.errors import MXNetSegError
from mxnetseg.optional import check_installed, installed

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """A virtual environment of files without content, its programs not on the PATH."""
    for name in ("python", "mxnetseg"):
        (tmp_path / "venv" / "bin" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "venv" / "bin" / name).touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "venv" / "bin" / "python"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    return tmp_path / "venv" / "bin"


def test_in_a_clone(environment, monkeypatch, tmp_path):
    monkeypatch.setattr(commands, "clone", lambda: ROOT)
    monkeypatch.chdir(ROOT)
    (environment / "mxnetseg").unlink()
    python = str(environment / "python")
    assert command("eval --mode val") == f"{python} eval.py --mode val"
    assert command("data list") == f"{python} -m mxnetseg data list"
    monkeypatch.chdir(tmp_path)
    assert command("train") == f"venv/bin/python {ROOT / 'train.py'}"
    assert command("data list") == f"PYTHONPATH={ROOT} venv/bin/python -m mxnetseg data list"
    monkeypatch.setenv("PATH", str(environment))
    monkeypatch.chdir(ROOT)
    assert command("train --model fcn") == "python train.py --model fcn"


def test_where_it_is_installed(environment, monkeypatch):
    monkeypatch.setattr(commands, "clone", lambda: None)
    assert command("eval --mode val") == "venv/bin/mxnetseg eval --mode val"
    monkeypatch.setenv("PATH", str(environment))
    assert command("eval --mode val") == "mxnetseg eval --mode val"
    (environment / "mxnetseg").unlink()  # pip install --target
    assert command("eval --mode val") == "python -m mxnetseg eval --mode val"


def test_messages_are_turned_into_what_works(environment, monkeypatch):
    monkeypatch.setattr(commands, "clone", lambda: None)
    text = "run `mxnetseg ops build --force`, then `mxnetseg doctor`; see `mxnetseg.log`"
    path = "venv/bin/mxnetseg"
    assert typed(text) == f"run `{path} ops build --force`, then `{path} doctor`; see `mxnetseg.log`"


def test_no_message_names_a_command_as_only_some_can_type_it():
    """Messages go through `typed`; tables of data and weights, and findings, when they are shown; the rest is for
    docs/."""
    shown = {*(f"data/tables/{name}.py" for name in ("drawn", "outdoor")), "pretrained/catalog.py"}
    shown |= {*(f"data/diagnosis/{name}.py" for name in ("overlap", "settings"))}
    docs = {"config/reference.py", "config/schema/data.py", "config/schema/model.py", "deploy/limits.py"}
    named = re.compile(rf"mxnetseg ({'|'.join(COMMANDS)})\b|python (train|eval)\.py|pip install -r")
    found = []
    for file in sorted((ROOT / "mxnetseg").rglob("*.py")):
        place = file.relative_to(ROOT / "mxnetseg").as_posix()
        if place in shown | docs | {"preflight.py"}:
            continue
        tree = ast.parse(file.read_text(encoding="utf-8"))
        free = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") in ("typed", "command"):
                free |= {id(node) for node in ast.walk(call)}
        texts = [n for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
        found += [(place, n.value) for n in texts if named.search(n.value) and id(n) not in free]
    assert not found


def test_packages_are_installed_from_where_they_come(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    assert preflight.install_command("cv2") == "pip install -r requirements.txt"
    monkeypatch.setattr(preflight, "__file__", str(tmp_path / "site-packages" / "mxnetseg" / "preflight.py"))
    assert preflight.install_command("cv2") == "pip install opencv-python"
    assert preflight.install_command("tqdm") == "pip install tqdm"


def test_an_optional_package_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "no_such_package").mkdir()  # as wandb leaves its files in a folder "wandb"
    assert installed("numpy") and not installed("no_such_package") and not installed("nor_this_one")
    with pytest.raises(MXNetSegError, match=r"--wandb demo needs no_such_package, .*: pip install no_such_package"):
        check_installed("no_such_package", "--wandb demo")
    (tmp_path / "broken_package.py").write_text("raise OSError('libnone.so: cannot open\\nmore')")
    with pytest.raises(
        MXNetSegError, match=r"can't be imported \(OSError: libnone.so: cannot open\): pip install --forc"
    ):
        check_installed("broken_package", "--wandb demo")
