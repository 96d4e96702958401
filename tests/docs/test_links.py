"""Links between the pages, and to their headings, lead somewhere."""

import pytest

from .markdown import PAGES, ROOT, anchors, links


@pytest.mark.parametrize("page", PAGES)
def test_links(page):
    broken = []
    for where, target in links(page):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        name, _, anchor = target.partition("#")
        path = (ROOT / page).parent / name if name else ROOT / page
        if not path.exists():
            broken.append(f"{where}: {target}: there is no {name}")
        elif anchor and anchor not in anchors(path.resolve().relative_to(ROOT).as_posix()):
            broken.append(f"{where}: {target}: no heading is called {anchor}")
    assert not broken


def test_anchors_are_those_of_a_forge(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.docs.markdown.ROOT", tmp_path)
    (tmp_path / "a.md").write_text("# A `b_c`, d\n\n```text\n# no\n```\n\n## [E](f) (2022)\n\n## E (2022)\n", "utf-8")
    assert anchors("a.md") == ["a-b_c-d", "e-2022", "e-2022-1"]
