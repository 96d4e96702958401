"""The table in docs/export.md: it has every model, and is written as it is read."""

from mxnetseg import list_models
from tools.docs import export


def test_the_page_has_every_model_and_is_written_as_it_is_read(tmp_path, monkeypatch):
    rows, text = export.read(), export.PAGE.read_text(encoding="utf-8")
    every = export.networks()
    assert set(rows) <= set(every) and {name.split("/")[0] for name in rows} == set(list_models())
    page = tmp_path / "export.md"
    page.write_text(text, encoding="utf-8")
    monkeypatch.setattr(export, "PAGE", page)
    export.write([rows[name] for name in every if name in rows])
    assert page.read_text(encoding="utf-8") == text
    export.write([])
    assert export.read() == {}
