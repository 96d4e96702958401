"""Look a name up without caring about case, and say what is near when it is not there; one thing, two things;
names in plots."""

import difflib
from typing import Dict, Iterable, List, Mapping, Sequence, TypeVar

from .errors import MXNetSegError

__all__ = ["counted", "drawable", "lookup", "lookup_all", "near", "same"]

Entry = TypeVar("Entry")


def counted(count: int, noun: str) -> str:
    """ "1 image", "2,000 images"."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def drawable(name: str) -> str:
    """A name for matplotlib to draw: nothing in it is mathematics, and every character can be written."""
    written = name.encode("utf-8", "replace").decode()
    return "".join(letter if letter.isprintable() else "?" for letter in written).replace("$", r"\$")


def near(name: str, names: Iterable[str]) -> List[str]:
    """Up to three of `names` that look like `name`, best first."""
    by_key = {_key(n): n for n in names}
    return [by_key[k] for k in difflib.get_close_matches(_key(name), by_key, n=3, cutoff=0.5)]


def same(one: str, other: str) -> bool:
    """Whether two names differ in case, '-' and '_' at most."""
    return _key(one) == _key(other)


def lookup(kind: str, name: str, table: Mapping[str, Entry]) -> Entry:
    """The entry of `table` under `name`; case, '-' and '_' do not matter.

    Raises
    ------
    MXNetSegError
        The name is not in the table; the message lists the near ones, or all of them.
    """
    by_key = {_key(n): n for n in table}
    if _key(str(name)) in by_key:
        return table[by_key[_key(str(name))]]
    close = near(str(name), table)
    hint = f"did you mean {', '.join(close)}?" if close else f"known: {', '.join(sorted(table))}"
    raise MXNetSegError(f"unknown {kind} {str(name)!r}; {hint}")


def lookup_all(kind: str, names: Sequence[str], table: Mapping[str, Entry]) -> List[Entry]:
    """The entries under all the names, as `lookup` finds them, each once.

    Raises
    ------
    MXNetSegError
        Names are not in the table; the message speaks of every one.
    """
    found: Dict[Entry, None] = {}
    problems: List[str] = []
    for name in names:
        try:
            found[lookup(kind, name, table)] = None
        except MXNetSegError as err:
            problems.append(str(err))
    if problems:
        raise MXNetSegError("; ".join(dict.fromkeys(problems)))
    return list(found)


def _key(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
