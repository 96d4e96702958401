"""What the pages hold that can be checked: blocks of code, code within a line, headings and links."""

import re
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Tuple

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "weights/*.md", "demo/**/*.md")
    for path in ROOT.glob(pattern)
)
# sh: every line a command; console: commands behind "$ " and what they print; text: trees, formats
LANGUAGES = ("console", "python", "sh", "text", "toml", "yaml")

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\S*)$")
_MARK = re.compile(r"^ *<!-- not (?P<what>checked|run): (?P<why>.+) -->$")
_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_LINK = re.compile(r"\]\(<?([^)\s>]+)>?\)")


class Block(NamedTuple):
    """A fenced block: its page, its first line's number there, its language, and what a mark before it says."""

    page: str
    line: int
    language: str
    text: str
    mark: str = ""  # "checked" or "run" is what it is not

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> List[Block]:
    return _split(page)[0]


def prose(page: str) -> List[Tuple[int, str]]:
    """Line numbers and lines outside blocks."""
    return _split(page)[1]


def spans(page: str) -> Iterator[Tuple[str, str]]:
    """Where, and what, `code` within a line is."""
    for number, line in prose(page):
        for found in _SPAN.findall(line):
            yield f"{page}:{number}", found.strip()


def links(page: str) -> Iterator[Tuple[str, str]]:
    """Where, and whither, links and pictures lead."""
    for number, line in prose(page):
        for target in _LINK.findall(_SPAN.sub("", line)):
            yield f"{page}:{number}", target


def anchors(page: str) -> List[str]:
    """The names that a forge gives to the page's headings."""
    seen: Dict[str, int] = {}
    found = []
    for _, line in prose(page):
        heading = re.match(r"^#{1,6} (.+)$", line)
        if heading:
            text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading.group(1)).lower()
            name = re.sub(r"[^\w\- ]", "", text).strip().replace(" ", "-")
            found.append(f"{name}-{seen[name]}" if name in seen else name)
            seen[name] = seen.get(name, 0) + 1
    return found


def _split(page: str) -> Tuple[List[Block], List[Tuple[int, str]]]:
    found: List[Block] = []
    outside: List[Tuple[int, str]] = []
    mark, fence, start, held = "", None, 0, []
    for number, line in enumerate(read(page).splitlines(), 1):
        opening = _FENCE.match(line)
        if fence is None and opening:
            fence, start, held = opening, number + 1, []
        elif fence is not None and line.strip() == "```":
            text = "\n".join(one[len(fence["indent"]) :] for one in held) + "\n"
            found.append(Block(page, start, fence["language"], text, mark))
            mark, fence = "", None
        elif fence is not None:
            held.append(line)
        else:
            said = _MARK.match(line)
            mark = said["what"] if said else mark if not line.strip() else ""
            outside.append((number, line))
    assert fence is None, f"{page}:{start}: a block without an end"
    return found, outside
