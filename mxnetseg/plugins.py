"""What others add: tables of models, backbones, losses, data sets and transforms, and who filled them.

Two ways lead into a table. An installed package has entry points (`mxnetseg.models` and so on), each of which is
imported when its name is looked up and not before. A module that the user names, `--import my_module`, is imported
before the first look-up. Both register what they have, as our own files do. Nothing else is ever imported: a recipe
or a checkpoint can name a thing, never a module to fetch it from.
"""

import importlib
import importlib.util
import os
import re
import sys
import traceback
from functools import lru_cache
from pathlib import Path
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Protocol, Sequence, Tuple, TypeVar

from .errors import MXNetSegError
from .names import lookup, same

__all__ = ["TABLES", "Need", "Origin", "PluginError", "Table", "caller", "check_installed", "request", "require"]

Entry = TypeVar("Entry")

OURS = "mxnetseg"


class PluginError(MXNetSegError):
    """Something of a plugin can't be had: it is missing, broken, or its name is taken. The message names both sides."""


class Origin(NamedTuple):
    """Where something was registered: the module, and the installed package that has it, if one has."""

    module: str
    distribution: str = ""
    version: str = ""

    def __str__(self) -> str:
        if not self.distribution:
            return f"module {self.module}"
        return f"package {self.distribution} {self.version}".strip()


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


class _Point(NamedTuple):
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


class Table(Dict[str, Entry]):
    """Names -> entries of one kind. As a dict it holds what is registered so far; `find` and `names` know all there is.

    Parameters
    ----------
    kind : str
        For messages: "model".
    group : str
        Of entry points: "mxnetseg.models".
    reserved : names that can't be registered
    """

    def __init__(self, kind: str, group: str, reserved: Sequence[str] = ()):
        super().__init__()
        self.kind = kind
        self.group = group
        self.reserved = tuple(reserved)
        self._modules: Dict[str, str] = {}
        TABLES[kind] = self

    def add(self, name: str, entry: Entry, module: str) -> None:
        """Register `name` for a module, which may do so again (a notebook's cell that is run twice).

        Raises
        ------
        PluginError
            Another module has registered the name, or it is none: letters, digits, - and _.
        """
        if not re.fullmatch(r"\w[\w-]*", name):
            raise PluginError(f"{self.kind} {name!r} of {module}: a name is made of letters, digits, - and _")
        taken = self._registered(name)
        owner = self._modules.get(taken, OURS) if taken else OURS
        if any(same(name, word) for word in self.reserved) or (taken and owner != module):
            raise PluginError(
                f"{self.kind} {name}: both {_who(owner)} and {_who(module)} have one of this name; rename the one of "
                f"{_who(module if _is_ours(owner) else owner)}"
            )
        if taken:
            del self[taken]
        self[name] = entry
        self._modules[name] = module

    def find(self, name: str) -> Entry:
        """The entry of a name; case, '-' and '_' do not matter. A plugin that has it is imported.

        Raises
        ------
        MXNetSegError
            There is none: near names are listed.
        PluginError
            The plugin is broken, or several have one of this name.
        """
        load_requested()
        name = str(name)
        self._check_alone(name)
        points = self._points(name)
        if points and self._registered(name) is None:
            self._load(points[0])
        known: Dict[str, Any] = {**dict.fromkeys([*self.names(), *self.reserved]), **self}  # near ones of all are named
        found: Entry = lookup(self.kind, name, known)
        return found

    def names(self) -> List[str]:
        """All names, in order; those of installed plugins without importing them."""
        load_requested()
        others = [point.name for point in _points_of(self.group) if self._registered(point.name) is None]
        return sorted({*self, *others})

    def load_all(self) -> List[PluginError]:
        """Import every plugin that has entries here; what is wrong with them."""
        load_requested()
        problems = []
        for point in _points_of(self.group):
            try:
                self.find(point.name)
            except PluginError as err:
                problems.append(err)
        return problems

    def origin(self, name: str) -> Optional[Origin]:
        """Whose a registered name is; None: ours."""
        taken = self._registered(name)
        module = self._modules.get(taken, OURS) if taken else OURS
        return None if _is_ours(module) else _origin(module)

    def _registered(self, name: str) -> Optional[str]:
        """The registered name that differs from `name` in case, - and _ at most."""
        if name in self:
            return name
        return next((known for known in self if same(known, name)), None)

    def _points(self, name: str) -> List[_Point]:
        return [point for point in _points_of(self.group) if same(point.name, name)]

    def _check_alone(self, name: str) -> None:
        points = self._points(name)
        taken = next((word for word in self.reserved if same(word, name)), self._registered(name))
        owner = self._modules.get(taken, OURS) if taken else None
        if owner is not None:
            points = [point for point in points if owner.partition(".")[0] != point.package]
        sides = ([_who(owner)] if owner else []) + [str(point) for point in points]
        if len(sides) > 1:
            advice = "rename the plugin's or uninstall it" if owner else "uninstall one of them"
            raise PluginError(f"{self.kind} {name}: {' and '.join(sides)} both have this name; {advice}")

    def _load(self, point: _Point) -> None:
        module, _, attribute = point.value.partition("[")[0].replace(" ", "").partition(":")
        try:
            found: Any = importlib.import_module(module)
            for part in filter(None, attribute.split(".")):
                found = getattr(found, part)
        except (Exception, SystemExit) as err:
            raise PluginError(
                f"{self.kind} {point.name}: its plugin is broken: {point} can't be imported: {reason(err)}. Mend the "
                f"package, or uninstall it"
            ) from err
        if self._registered(point.name) is None:
            raise PluginError(
                f"{self.kind} {point.name}: its plugin is broken: {point} was imported, but has registered no "
                f"{self.kind} of this name"
            )


TABLES: Dict[str, "Table[Any]"] = {}
_requested: List[str] = []


def caller(depth: int = 2) -> str:
    """The name of the module that called the function which asks."""
    name: str = sys._getframe(depth).f_globals.get("__name__", "?")
    return name


def request(modules: Iterable[str]) -> None:
    """Have modules imported before the next look-up: names of modules, or paths of .py files; instead of those before.

    Not at once: MXNet, which they may import, must not be loaded before a command has prepared for it.

    Raises
    ------
    PluginError
        There is no such module.
    """
    _requested[:] = [_found(name) for name in modules]


def load_requested() -> None:
    """Import what was requested.

    Raises
    ------
    PluginError
        A module fails; it is named, with the line.
    """
    while _requested:
        name = _requested.pop(0)  # before it is imported: it may look names up itself
        try:
            importlib.import_module(name)
        except (Exception, SystemExit) as err:
            _requested.insert(0, name)
            raise PluginError(f"--import {name}: {reason(err)}") from err


def require(needs: Iterable[Need], what: str) -> None:
    """Check that everything a record was made with is here; imports the plugins that have it.

    Raises
    ------
    PluginError
        Something is missing; the message names it and the package or module that has it.
    """
    for need in needs:
        table = TABLES.get(need.kind)
        try:
            if table is not None:
                table.find(need.name)
        except PluginError as err:
            raise PluginError(f"{what}: {err}") from err
        except MXNetSegError:
            origin = Origin(need.module, need.distribution, need.version)
            if origin.distribution:
                remedy = "which is not installed here; install it, if you trust where it comes from"
            else:
                remedy = f"which was not imported; name it: --import {origin.module} (in Python, import it first)"
            raise PluginError(f"{what}: needs {need.kind} {need.name} of the {origin}, {remedy}") from None


def check_installed() -> Tuple[Dict[str, List[str]], List[str]]:
    """Import every installed plugin: package and version -> what it has, and what is wrong."""
    has: Dict[str, List[str]] = {}
    problems = list(_scan(tuple(sys.path))[1])
    for table in TABLES.values():
        for point in _points_of(table.group):
            has.setdefault(f"{point.distribution} {point.version}", []).append(f"{table.kind} {point.name}")
        problems += map(str, table.load_all())
    return has, problems


def reason(error: BaseException) -> str:
    """An exception of others' code in one line: its kind, its text and where it was raised."""
    text = (str(error).splitlines() or [""])[0]
    here = os.path.dirname(__file__) + os.sep
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if not frame.filename.startswith((here, "<frozen"))]
    place = f" ({theirs[-1].filename}:{theirs[-1].lineno})" if theirs else ""
    if isinstance(error, SyntaxError):
        place = f" ({error.filename}:{error.lineno})"
        text = error.msg
    return f"{type(error).__name__}: {text}{place}"


def _is_ours(module: str) -> bool:
    return module == OURS or module.startswith(f"{OURS}.")


def _who(module: str) -> str:
    return "mxnetseg itself" if _is_ours(module) else f"the {_origin(module)}"


def _origin(module: str) -> Origin:
    root = module.partition(".")[0]
    for point in _scan(tuple(sys.path))[0]:
        if point.package == root:
            return Origin(module, point.distribution, point.version)
    if module == "__main__":
        file = getattr(sys.modules[module], "__file__", None)
        return Origin(Path(file).stem if file else module)
    return Origin(module)


def _points_of(group: str) -> List[_Point]:
    return [point for point in _scan(tuple(sys.path))[0] if point.group == group]


@lru_cache(maxsize=4)
def _scan(path: Tuple[str, ...]) -> Tuple[Tuple[_Point, ...], Tuple[str, ...]]:
    """Our groups' entry points of all installed packages, and what is wrong with their lists."""
    from importlib import metadata  # data workers import this module, and never ask

    found: Dict[str, Tuple[_Point, ...]] = {}
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
            made = tuple(_Point(p.group, p.name, p.value, name, distribution.version) for p in points)
        except Exception as err:  # whatever a damaged installation raises
            problems.append(f"the entry points of {getattr(distribution, '_path', distribution)}: {reason(err)}")
            continue
        found.setdefault(name, made)  # the first on the path is the one that is imported
    return tuple(point for points in found.values() for point in points), tuple(problems)


def _found(name: str) -> str:
    """The name to import a module by. The folder of a file, or the working directory, is appended to sys.path: data
    workers, too, have to find it."""
    path = Path(name)
    is_file = path.suffix == ".py"
    if is_file and not path.is_file():
        raise PluginError(f"--import {name}: no such file")
    module = path.stem if is_file else name
    if not all(part.isidentifier() for part in module.split(".")):
        raise PluginError(f"--import {name}: is no name of a module, and no .py file whose name could be one's")
    root = module.partition(".")[0]
    _append(os.path.abspath(path.parent if is_file else "."))
    try:
        found = sys.modules[root].__spec__ if root in sys.modules else importlib.util.find_spec(root)
    except ValueError:  # of a module that was made by hand
        found = None
    if found is None and root not in sys.modules:
        raise PluginError(f"--import {name}: no module {root}, neither installed nor in this folder")
    origin = getattr(found, "origin", None)
    if is_file and not (origin and os.path.exists(origin) and os.path.samefile(origin, path)):
        raise PluginError(f"--import {name}: another module is called {module}, {origin or 'a built-in'}; rename it")
    return module


def _append(folder: str) -> None:
    if folder not in sys.path and not ("" in sys.path and folder == os.getcwd()):
        sys.path.append(folder)
        importlib.invalidate_caches()
