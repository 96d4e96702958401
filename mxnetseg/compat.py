"""The NumPy that MXNet 1.9.1 and GluonCV were written for, on whatever NumPy and Python there are.

Their code asks NumPy for names that it dropped in 1.24 and in 2.0 (`bool`, `PZERO`, `product`...), and Python for
`distutils`, which went with 3.12. Nothing is put into NumPy or into `sys.modules`: the modules of `mxnet` and
`gluoncv`, and they alone, are run with an `__import__` of their own, whose `numpy` has the old names beside today's.

`install()` is called when mxnetseg is imported, so `import mxnetseg` must come before `import mxnet`.
"""

import builtins
import contextlib
import functools
import gc
import importlib
import importlib.util
import re
import sys
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import CodeType, ModuleType, SimpleNamespace
from typing import Any, Dict, Iterator, Optional, Tuple

from . import cuda, later

__all__ = ["install"]

PACKAGES = ("mxnet", "gluoncv")

# Financial functions that left NumPy in 1.20; MXNet passes them on, and nobody can have called them since
GONE = ("mirr", "npv", "pmt", "ppmt", "pv", "rate")

# Modules that write operators' arguments as text
WRITERS = ("mxnet._ctypes.ndarray", "mxnet._ctypes.symbol")

# What MXNet imports at once and hardly anybody needs is imported when it is used: package and names of an import
# statement -> module
LATER: Dict[Tuple[str, Tuple[str, ...]], str]
LATER = {(name, ()): name for name in ("cv2", "h5py", "onnx", "requests", "scipy.sparse", "scipy.stats")}
LATER["scipy", ("stats",)] = "scipy.stats"

# Methods that arrays lost (`tostring` with NumPy 2.3): module -> old and new spelling
RESPELLED = {"mxnet.recordio": (".tostring()", ".tobytes()")}


def install() -> None:
    """Have MXNet and GluonCV loaded with the names that they ask for; what is loaded already stays as it is."""
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    for package in PACKAGES:
        # An `import mxnet` that failed leaves those of its parts behind that came before the missing name
        if package not in sys.modules:
            for name in [name for name in sys.modules if name.startswith(package + ".")]:
                del sys.modules[name]
    sys.meta_path.insert(0, _Finder())


class _Finder:
    """Finds what the other finders find, and has it loaded by `_Loader`."""

    def find_spec(self, name: str, path: Any = None, target: Optional[ModuleType] = None) -> Optional[ModuleSpec]:
        if name.partition(".")[0] not in PACKAGES:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(name, path, target)
            if spec is not None:
                if type(spec.loader) is SourceFileLoader:
                    spec.loader = _Loader(spec.loader.name, spec.loader.path)
                return spec
        return None


class _Loader(SourceFileLoader):
    """Runs a module with built-ins of its own, as `exec` allows: https://docs.python.org/3/library/functions.html#exec"""

    def exec_module(self, module: ModuleType) -> None:
        own: Dict[str, Any] = {"__import__": _import}
        if module.__name__ in WRITERS:
            own["str"] = _written
        vars(module)["__builtins__"] = {**vars(builtins), **own}
        if module.__name__ == "mxnet.base":  # which loads the library
            cuda.load(importlib.import_module("mxnet.libinfo").find_lib_path()[0])
        with _without_collecting():
            super().exec_module(module)
        if module.__name__ == "mxnet.base":
            later.make_later(module)

    def get_code(self, fullname: str) -> Optional[CodeType]:
        if fullname not in RESPELLED:
            return super().get_code(fullname)
        # not by way of the cached bytecode, which is for the file as it is
        text = (self.get_source(fullname) or "").replace(*RESPELLED[fullname])
        return self.source_to_code(text, self.path)  # it takes text as well


@contextlib.contextmanager
def _without_collecting() -> Iterator[None]:
    """MXNet makes thousands of functions when it is imported, and none is garbage: looking for it takes a tenth of that
    time."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _import(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
    """`__import__` of MXNet's and GluonCV's modules."""
    if name == "distutils.version":
        return SimpleNamespace(LooseVersion=_Version, StrictVersion=_Version)
    later = LATER.get((name, tuple(fromlist or ())))
    package, _, part = (later or "").partition(".")
    if later and not level and importlib.util.find_spec(package) is not None:
        return SimpleNamespace(**{part: _Later(later)}) if part else _Later(later)
    found = builtins.__import__(name, globals, locals, fromlist, level)
    # `found` is the package itself for `import numpy.random` too, unless names are taken from a module below it
    return _old_numpy() if found is sys.modules.get("numpy") else found


class _Later(ModuleType):
    """A module that is imported when somebody asks for what is in it."""

    def __getattr__(self, name: str) -> Any:
        # MXNet asks whether what it is given is one of these; nothing is an instance of what nobody has imported
        there = sys.modules.get(self.__name__)
        if (self.__name__, name) == ("h5py", "Dataset"):
            return getattr(there, name, ())
        if (self.__name__, name) == ("scipy.sparse", "csr"):  # which SciPy 2 has no more
            return SimpleNamespace(csr_matrix=getattr(there, "csr_matrix", ()))
        return getattr(importlib.import_module(self.__name__), name)


@functools.lru_cache(maxsize=None)
def _old_numpy() -> ModuleType:
    """A module with everything in NumPy's, and the old names."""
    import numpy

    old = ModuleType("numpy", numpy.__doc__)
    vars(old).update({**_dropped(numpy), **vars(numpy), **_changed(numpy)})
    return old


def _dropped(numpy: Any) -> Dict[str, Any]:
    """Old names, for where NumPy has them no more (or only with a warning)."""
    constants = {"PZERO": 0.0, "NZERO": -0.0, "PINF": numpy.inf, "NINF": -numpy.inf, "Inf": numpy.inf}
    constants.update(NAN=numpy.nan, NaN=numpy.nan, int=int, float=float)
    # Functions, not second names of NumPy's: MXNet registers its own version of each under the function itself
    functions = {
        "alltrue": lambda *args, **kwargs: numpy.all(*args, **kwargs),
        "in1d": lambda *args, **kwargs: numpy.ravel(numpy.isin(*args, **kwargs)),
        "msort": lambda a: numpy.sort(a, axis=0),
        "product": lambda *args, **kwargs: numpy.prod(*args, **kwargs),
        "round_": lambda *args, **kwargs: numpy.round(*args, **kwargs),
        "sometrue": lambda *args, **kwargs: numpy.any(*args, **kwargs),
        "trapz": lambda *args, **kwargs: numpy.trapezoid(*args, **kwargs),
    }
    return {**constants, **functions, **{name: functools.partial(_gone, name) for name in GONE}}


def _changed(numpy: Any) -> Dict[str, Any]:
    """Names that meant something else, or that only warnings come with."""
    # MXNet asks whether a Python bool is an instance of it, which it is not of NumPy 2's
    changed: Dict[str, Any] = {"bool": bool, "compat": SimpleNamespace(basestring=str)}
    if hasattr(numpy, "_core") and hasattr(numpy._core, "numeric"):  # NumPy 2 made it private
        changed["core"] = numpy._core
    return changed


def _gone(name: str, *args: Any, **kwargs: Any) -> None:
    raise RuntimeError(f"numpy.{name} was removed from NumPy 1.20; the package numpy-financial has it")


def _written(value: Any) -> str:
    """`str`, without NumPy 2's types: "(2, 3)" and not "(np.int64(2), np.int64(3))", which operators can't read."""
    return str(_plain(value) if isinstance(value, (tuple, list)) else value)


def _plain(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value] if isinstance(value, list) else tuple(_plain(v) for v in value)
    if not hasattr(value, "dtype") or not hasattr(value, "item"):
        return value
    number = value.item()
    return float(str(value)) if isinstance(number, float) else number  # 0.1, and not what float32 makes of it


@functools.total_ordering
class _Version:
    """`LooseVersion` and `StrictVersion` of distutils, as far as they compare numbers."""

    def __init__(self, text: str):
        self.numbers: Tuple[int, ...] = tuple(int(n) for n in re.findall(r"\d+", text))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Version) and self.numbers == other.numbers

    def __lt__(self, other: "_Version") -> bool:
        return self.numbers < other.numbers
