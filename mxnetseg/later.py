"""MXNet's functions of operators, each made when it is first called.

When it is imported, MXNet writes and compiles functions for each of its operators: two and a half thousand, of which a
program calls a few dozen. That is more than half of the time that `import mxnet` takes.

A function that waits is the function that it becomes: its code is exchanged, so whoever holds it already calls the same
one. Until then it has no documentation, and no signature; so in interactive sessions, where people ask for these, all
are made at once as ever. MXNETSEG_STARTUP=0 does the same everywhere.
"""

import functools
import inspect
import os
import sys
from types import FunctionType, ModuleType
from typing import Any, Callable

__all__ = ["make_later"]

# of mxnet.base, which the modules of operators call with the function that makes one, and what arrays are called there
MAKERS = {"_init_op_module": "NDArray", "_init_np_op_module": "ndarray"}
MAKE = "make_op_func"
DOCUMENTED = ("_adamw_update", "_mp_adamw_update")  # MXNet takes their documentation for others


def make_later(base: ModuleType) -> None:
    """Have the functions of operators made later; `base` is mxnet.base, before anything else of MXNet is imported."""
    if os.environ.get("MXNETSEG_STARTUP") == "0" or _interactive():
        return
    for name, array in MAKERS.items():
        setattr(base, name, _with_later(getattr(base, name), array))


def _interactive() -> bool:
    return bool(hasattr(sys, "ps1") or sys.flags.interactive or "IPython" in sys.modules)


def _with_later(make_all: Callable[..., None], array: str) -> Callable[..., None]:
    signature = inspect.signature(make_all)

    @functools.wraps(make_all)
    def make_all_later(*args: Any, **kwargs: Any) -> None:
        given = signature.bind(*args, **kwargs)
        given.arguments[MAKE] = functools.partial(_waiting, given.arguments[MAKE], array)
        make_all(*given.args, **given.kwargs)

    return make_all_later


def _waiting(make: FunctionType, array: str, handle: Any, operator: str, name: str) -> FunctionType:
    """A function that becomes make(handle, operator, name) when it is called."""
    if operator in DOCUMENTED:
        made: FunctionType = make(handle, operator, name)
        return made
    function = FunctionType(_call.__code__, make.__globals__, name)
    function.__qualname__ = name
    function.__doc__ = ""  # MXNet changes it
    function.__kwdefaults__ = {"_become": functools.partial(_become, function, make, array, handle, operator, name)}
    return function


def _call(*args: Any, _become: Callable[[], Callable[..., Any]], **kwargs: Any) -> Any:
    """The code of a function that waits."""
    return _become()(*args, **kwargs)


def _become(function: FunctionType, make: Callable[..., FunctionType], array: str, *what: Any) -> FunctionType:
    made = make(*what)
    function.__defaults__ = made.__defaults__
    function.__doc__ = function.__doc__ or (made.__doc__ or "").replace("NDArray", array)
    # the code comes last and `_become` stays, for threads that call the function at the same time
    function.__code__ = made.__code__
    return function
