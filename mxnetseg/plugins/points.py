"""Who has registered what: entry points of installed packages, and the package that a module is of."""

import re
import sys
from functools import lru_cache
from pathlib import Path
from typing import Dict, List, NamedTuple, Tuple

from .wording import OURS, reason

__all__ = ["Origin", "Point", "is_ours", "origin_of", "points_of", "scan", "who"]


class Origin(NamedTuple):
    """Where something was registered: the module, and the installed package that has it, if one has."""

    module: str
    distribution: str = ""
    version: str = ""

    def __str__(self) -> str:
        if not self.distribution:
            return f"module {self.module}"
        return f"package {self.distribution} {self.version}".strip()


class Point(NamedTuple):
    """An entry point of an installed package."""

    group: str
    name: str
    value: str
    distribution: str
    version: str

    @property
    def package(self) -> str:
        """The top level of the module that it is in."""
        return re.split(r"[.:\s]", self.value.strip())[0]

    def __str__(self) -> str:
        return f"entry point {self.name} = {self.value} ({self.group}) of package {self.distribution} {self.version}"


def points_of(group: str) -> List[Point]:
    return [point for point in scan(tuple(sys.path))[0] if point.group == group]


@lru_cache(maxsize=4)
def scan(path: Tuple[str, ...]) -> Tuple[Tuple[Point, ...], Tuple[str, ...]]:
    """Our groups' entry points of all installed packages, and what is wrong with their lists."""
    from importlib import metadata  # data workers import this module, and never ask

    found: Dict[str, Tuple[Point, ...]] = {}
    problems = []
    for distribution in metadata.distributions(path=list(path)):
        try:
            # the text first: to parse the facts of a hundred packages takes longer
            if f"[{OURS}." not in (distribution.read_text("entry_points.txt") or ""):
                continue
            name = distribution.metadata["Name"]
            if not name:
                raise ValueError("its METADATA names no package")
            points = [point for point in distribution.entry_points if point.group.startswith(f"{OURS}.")]
            made = tuple(Point(p.group, p.name, p.value, name, distribution.version) for p in points)
        except Exception as err:  # whatever a damaged installation raises
            problems.append(f"the entry points of {getattr(distribution, '_path', distribution)}: {reason(err)}")
            continue
        found.setdefault(name, made)  # the first on the path is the one that is imported
    return tuple(point for points in found.values() for point in points), tuple(problems)


def is_ours(module: str) -> bool:
    return module == OURS or module.startswith(f"{OURS}.")


def who(module: str) -> str:
    return "mxnetseg itself" if is_ours(module) else f"the {origin_of(module)}"


def origin_of(module: str) -> Origin:
    root = module.partition(".")[0]
    for point in scan(tuple(sys.path))[0]:
        if point.package == root:
            return Origin(module, point.distribution, point.version)
    if module == "__main__":
        file = getattr(sys.modules[module], "__file__", None)
        return Origin(Path(file).stem if file else module)
    return Origin(module)
