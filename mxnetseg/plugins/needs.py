"""Whether all that a record names is here, and what is installed."""

import sys
from typing import Dict, Iterable, List, Protocol, Tuple

from ..errors import MXNetSegError
from .points import Origin, points_of, scan
from .table import TABLES
from .wording import PluginError

__all__ = ["Need", "check_installed", "require"]


class Need(Protocol):
    """Something that a record says it was made with."""

    @property
    def kind(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def module(self) -> str: ...

    @property
    def distribution(self) -> str: ...

    @property
    def version(self) -> str: ...


def require(needs: Iterable[Need], what: str) -> None:
    """Check that everything a record was made with is here; imports the plugins that have it.

    Raises
    ------
    PluginError
        Something is missing; the message names all that is, and the packages and modules that have it.
    """
    missing: Dict[Origin, List[str]] = {}
    for need in needs:
        table = TABLES.get(need.kind)
        try:
            if table is not None:
                table.find(need.name)
        except PluginError as err:
            raise PluginError(f"{what}: {err}") from err
        except MXNetSegError:
            # one line for a package, whichever of its modules has it
            origin = Origin("" if need.distribution else need.module, need.distribution, need.version)
            missing.setdefault(origin, []).append(f"{need.kind} {need.name}")
    if missing:
        told = [f"{', '.join(things)} of the {origin}, {_remedy(origin)}" for origin, things in missing.items()]
        raise PluginError(f"{what}: needs {'; and '.join(told)}")


def _remedy(origin: Origin) -> str:
    if origin.distribution:
        return "which is not installed here; install it, if you trust where it comes from"
    file = "" if "." in origin.module else f", or the path of its file {origin.module}.py"
    return f"which was not imported: say --import {origin.module}{file} (in Python, import it first)"


def check_installed() -> Tuple[Dict[str, List[str]], List[str]]:
    """Import every installed plugin: package and version -> what it has, and what is wrong."""
    has: Dict[str, List[str]] = {}
    problems = list(scan(tuple(sys.path))[1])
    for table in TABLES.values():
        for point in points_of(table.group):
            has.setdefault(f"{point.distribution} {point.version}", []).append(f"{table.kind} {point.name}")
        problems += map(str, table.load_all())
    return has, problems
