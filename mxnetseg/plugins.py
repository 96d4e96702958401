"""What others add: tables of models, backbones, losses, data sets and transforms, and who filled them.

Two ways lead into a table. An installed package has entry points (`mxnetseg.models` and so on), each of which is
imported when its name is looked up and not before. A module that the user names, `--import my_module`, is imported
before the first look-up. Both register what they have, as our own files do. Nothing else is ever imported: a recipe
or a checkpoint can name a thing, never a module to fetch it from.
"""

import contextlib
import functools
import importlib
import importlib.util
import inspect
import os
import re
import sys
import traceback
from functools import lru_cache
from pathlib import Path
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Protocol,
    Sequence,
    Tuple,
    TypeVar,
    cast,
)

from .errors import MXNetSegError
from .names import lookup, same

__all__ = [
    "TABLES",
    "Need",
    "Origin",
    "PluginError",
    "Table",
    "caller",
    "check_installed",
    "named",
    "registered_first",
    "request",
    "require",
]

Entry = TypeVar("Entry")
Register = TypeVar("Register", bound=Callable[..., Any])

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

    @contextlib.contextmanager
    def blamed(self, name: str, what: str) -> Iterator[None]:
        """For a call of what `name` stands for: whatever a plugin raises there is told in one line, "loss my_loss of
        the module my_losses: `what`: ...". What our own things raise is left as it is: a fault whose place must be
        seen.

        Raises
        ------
        PluginError
            Something was raised, and the name is a plugin's.
        """
        try:
            yield
        except Exception as err:
            origin = self.origin(name)
            if origin is None:
                raise
            told = str(err) if isinstance(err, MXNetSegError) else reason(err)
            raise PluginError(f"{self.kind} {name} of the {origin}: {what}: {told}") from err

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
        if len(sides) > 1 and not (owner and _lenient):
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
                f"{self.kind} {point.name}: its plugin is broken: {point} can't be imported: "
                f"{reason(err, _file_of(module))}. Mend the package, or uninstall it"
            ) from err
        if self._registered(point.name) is None:
            raise PluginError(
                f"{self.kind} {point.name}: its plugin is broken: {point} was imported, but has registered no "
                f"{self.kind} of this name"
            )


TABLES: Dict[str, "Table[Any]"] = {}
_requested: List[str] = []
_lenient: List[bool] = []


@contextlib.contextmanager
def registered_first() -> Iterator[None]:
    """Within it a name that is registered, and claimed by an installed plugin too, is no error: the registered one is
    found. For lists, which have warned of the other."""
    _lenient.append(True)
    try:
        yield
    finally:
        _lenient.pop()


def caller(depth: int = 2) -> str:
    """The name of the module that called the function which asks; one more for a function that is `named`."""
    name: str = sys._getframe(depth).f_globals.get("__name__", "?")
    return name


def named(register: Register) -> Register:
    """A decorator's maker that says how it is written where its name was left out: `@register_loss` alone would
    register nothing, and say nothing."""

    @functools.wraps(register)
    def checked(*args: Any, **facts: Any) -> Any:
        if args and not isinstance(args[0], str):
            parameters = inspect.signature(register).parameters.values()
            needed = [
                f"{one.name}=..." for one in parameters if one.kind is one.KEYWORD_ONLY and one.default is one.empty
            ]
            how = ", ".join(['"name"', *needed])
            raise PluginError(f"@{register.__name__} needs a name: say @{register.__name__}({how})")
        return register(*args, **facts)

    return cast(Register, checked)


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
            raise PluginError(f"--import {name}: {reason(err, _file_of(name))}") from err


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
    problems = list(_scan(tuple(sys.path))[1])
    for table in TABLES.values():
        for point in _points_of(table.group):
            has.setdefault(f"{point.distribution} {point.version}", []).append(f"{table.kind} {point.name}")
        problems += map(str, table.load_all())
    return has, problems


def reason(error: BaseException, file: str = "") -> str:
    """An exception of others' code in one line: its kind, its text and where it was raised, else in which file."""
    text = _text(error)
    # what stands between their code and the exception, or between it and us
    libraries = [sys.modules[name].__file__ for name in (OURS, "mxnet", "importlib") if name in sys.modules]
    folders = [os.path.dirname(file) + os.sep for file in libraries if file]
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [one for one in frames if not one.filename.startswith((*folders, contextlib.__file__, "<frozen"))]
    place = f"{theirs[-1].filename}:{theirs[-1].lineno}" if theirs else file
    if isinstance(error, SyntaxError):
        text = error.msg
        if error.filename:  # what can't even be read, a null byte, has none
            place = f"{error.filename}:{error.lineno}"
    kind = f"{type(error).__name__}: "
    text = text[len(kind) :] if text.startswith(kind) else text  # some of MXNet's begin with their kind
    return kind + text + (f" ({place})" if place else "")


def _text(error: BaseException) -> str:
    """What an exception says, its first line; MXNet's own begin with a traceback."""
    try:
        lines = str(error).splitlines() or [""]
    except Exception:
        return "(its text can't be printed)"
    if lines[0].startswith("Traceback "):
        return next((line for line in lines[1:] if not line.startswith(" ")), lines[0]).partition(": ")[2]
    return lines[0]


def _file_of(module: str) -> str:
    """The file that a module would be imported from; empty if that can't be told."""
    try:
        return getattr(importlib.util.find_spec(module), "origin", None) or ""
    except Exception:  # a package that fails is imported for its modules
        return ""


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
