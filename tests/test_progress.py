"""Progress bars."""

import sys

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
