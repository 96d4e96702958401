"""Progress bars."""

import sys
from pathlib import Path

import mxnetseg
from mxnetseg.progress import progress_bar


def test_bars_are_for_those_who_see_them_move(capsys, monkeypatch):
    assert list(progress_bar(range(3))) == [0, 1, 2]
    with progress_bar(total=2) as bar:
        bar.update(2)
    assert capsys.readouterr().err == ""  # a pipe
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    list(progress_bar(range(3), shown=False))
    assert capsys.readouterr().err == ""
    list(progress_bar(range(3), unit="img", leave=True))
    assert "3/3" in capsys.readouterr().err


def test_all_bars_are_of_this_kind():
    package = Path(mxnetseg.__file__).parent
    own = [path.relative_to(package).as_posix() for path in package.rglob("*.py") if "tqdm(" in path.read_text("utf-8")]
    assert own == ["progress.py"]
