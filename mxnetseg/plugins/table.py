"""Tables of names that know more than what is registered: installed plugins' entry points too."""

import contextlib
import functools
import importlib
import inspect
import re
import sys
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, TypeVar, cast

from ..errors import MXNetSegError
from ..names import lookup, same
from .imports import load_requested
from .points import Origin, Point, is_ours, origin_of, points_of, who
from .wording import OURS, PluginError, file_of, reason

__all__ = ["TABLES", "Table", "caller", "named", "names_of", "registered_first"]

OWN = "If it is your own: --import its module (in Python, import it first)"

Entry = TypeVar("Entry")
Register = TypeVar("Register", bound=Callable[..., Any])


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
                f"{self.kind} {name}: both {who(owner)} and {who(module)} have one of this name; rename the one of "
                f"{who(owner if is_ours(module) else module)}"
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
        try:
            found: Entry = lookup(self.kind, name, known)
        except MXNetSegError as err:
            end = "" if str(err).endswith("?") else "."
            raise MXNetSegError(f"{err}{end} {OWN}") from None
        return found

    def names(self) -> List[str]:
        """All names, in order; those of installed plugins without importing them."""
        load_requested()
        others = [point.name for point in points_of(self.group) if self._registered(point.name) is None]
        return sorted({*self, *others})

    def load_all(self) -> List[PluginError]:
        """Import every plugin that has entries here; what is wrong with them."""
        load_requested()
        problems = []
        for point in points_of(self.group):
            try:
                self.find(point.name)
            except PluginError as err:
                problems.append(err)
        return problems

    def origin(self, name: str) -> Optional[Origin]:
        """Whose a registered name is; None: ours."""
        taken = self._registered(name)
        module = self._modules.get(taken, OURS) if taken else OURS
        return None if is_ours(module) else origin_of(module)

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

    def _points(self, name: str) -> List[Point]:
        return [point for point in points_of(self.group) if same(point.name, name)]

    def _check_alone(self, name: str) -> None:
        points = self._points(name)
        taken = next((word for word in self.reserved if same(word, name)), self._registered(name))
        owner = self._modules.get(taken, OURS) if taken else None
        if owner is not None:
            points = [point for point in points if owner.partition(".")[0] != point.package]
        sides = ([who(owner)] if owner else []) + [str(point) for point in points]
        if len(sides) > 1 and not (owner and _lenient):
            advice = "rename the plugin's or uninstall it" if owner else "uninstall one of them"
            raise PluginError(f"{self.kind} {name}: {' and '.join(sides)} both have this name; {advice}")

    def _load(self, point: Point) -> None:
        module, _, attribute = point.value.partition("[")[0].replace(" ", "").partition(":")
        try:
            found: Any = importlib.import_module(module)
            for part in filter(None, attribute.split(".")):
                found = getattr(found, part)
        except (Exception, SystemExit) as err:
            raise PluginError(
                f"{self.kind} {point.name}: its plugin is broken: {point} can't be imported: "
                f"{reason(err, file_of(module))}. Mend the package, or uninstall it"
            ) from err
        if self._registered(point.name) is None:
            raise PluginError(
                f"{self.kind} {point.name}: its plugin is broken: {point} was imported, but has registered no "
                f"{self.kind} of this name"
            )


TABLES: Dict[str, "Table[Any]"] = {}
_lenient: List[bool] = []


def names_of(kind: str, group: str) -> List[str]:
    """Names of a kind, for those who stand below the table: all that are in it, or what plugins would add to it."""
    load_requested()
    return TABLES[kind].names() if kind in TABLES else sorted(point.name for point in points_of(group))


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
