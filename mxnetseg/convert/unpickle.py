"""Pickles read as data: plain containers come out, and nothing that a pickle asks for is imported or called.

Python's own unpickler, even with an allow-list, makes real objects and reserves what memory a file names. This
small machine knows the same opcodes (`pickletools` of the standard library decodes them) and makes dicts, lists,
tuples, strings and numbers only. Whatever else a pickle mentions is decided by two functions of the caller.
"""

import pickletools
from typing import Any, Callable

__all__ = ["Function", "Inert", "Refused", "load_pickle", "printable"]

MOST_BYTES = 1 << 28  # a network's pickle is below 1 MB; a long training log beside it can take tens
MOST_OPCODES = 10_000_000  # bounds time (about a minute) and memory (an opcode makes at most one object)
MOST_LINE = 1 << 16


class Refused(Exception):
    """A file, or something in it, that isn't read; the message says why, without the file's name."""


class Inert:
    """Stands for a class, a function or an object that is known and not needed; holds its name alone.

    Calls, items and state that the pickle gives it are dropped, and what they would return is inert too.
    """

    __slots__ = ("name",)

    def __init__(self, name: str):
        self.name = name


class Function:
    """A name that a pickle may call; `call` is ours and gets the pickle's arguments."""

    __slots__ = ("call", "is_class", "name")

    def __init__(self, name: str, call: Callable[..., Any], is_class: bool = False):
        self.name, self.call, self.is_class = name, call, is_class


def load_pickle(file, find: Callable[[str, str], Any], persistent: Callable[[Any], Any], most: int = MOST_BYTES) -> Any:
    """Read one pickle; `file` stands behind its STOP opcode afterwards.

    Dict entries whose key is no string are dropped: state dicts have none, and keys of the file's choice
    (deep tuples, numbers that collide) could crash or stall the hashing.

    Parameters
    ----------
    file : binary file
    find : callable
        (module, name) -> Function, Inert or another object that stands for the global; raises Refused.
    persistent : callable
        persistent id -> object; raises Refused.
    most : int
        Bytes after which the pickle counts as damaged.

    Raises
    ------
    Refused
        Damaged, truncated, too large, or beyond what a checkpoint needs.
    """
    machine = _Machine(find, persistent)
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(_Bounded(file, most))):
            if count >= MOST_OPCODES:
                raise Refused(f"its pickle has more than {MOST_OPCODES} opcodes; this is no checkpoint of weights")
            _OPCODES[opcode.name](machine, argument)
        return machine.result()
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as err:
        raise Refused("its pickle is truncated or damaged; download it again") from err


def printable(name: Any, most: int = 80) -> str:
    """A name of the file's choice, fit for a message: ASCII, no control characters, not too long."""
    text = str(name)
    return ascii(text[:most])[1:-1] + ("..." if len(text) > most else "")


class _Bounded:
    """Passes on at most `left` bytes of a file, so that a length that lies reserves nothing."""

    def __init__(self, file, left: int):
        self.file, self.left = file, left

    def read(self, count: int) -> bytes:
        # in pieces: a file object may reserve all that is asked for before it sees the end
        pieces = []
        count = min(count, self.left)
        while count > 0:
            piece = self.file.read(min(count, 1 << 20))
            if not piece:
                break
            pieces.append(piece)
            count -= len(piece)
            self.left -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def readline(self) -> bytes:
        line = self.file.readline(min(self.left, MOST_LINE))
        self.left -= len(line)
        return line


class _Machine:
    def __init__(self, find, persistent):
        self.find, self.persistent = find, persistent
        self.stack, self.below, self.memo = [], [], {}
        self.copied = 0

    def result(self) -> Any:
        if len(self.stack) != 1 or self.below:
            raise ValueError("objects left over")
        return self.stack[0]

    def push(self, value) -> None:
        self.stack.append(value)

    def mark(self, _) -> None:
        self.below.append(self.stack)
        self.stack = []

    def since_mark(self) -> list:
        items, self.stack = self.stack, self.below.pop()
        return items

    def pop(self, _) -> None:
        if self.stack:
            self.stack.pop()
        else:  # pickle: POP on a mark removes the mark
            self.since_mark()

    def put(self, index) -> None:
        self.memo[index] = self.stack[-1]

    def pop_tuple(self, count: int) -> tuple:
        if len(self.stack) < count:
            raise ValueError("stack underflow")
        items = tuple(self.stack[-count:])
        del self.stack[-count:]
        return items

    def extend(self, items: list) -> None:
        target = self.stack[-1]
        if type(target) is list:
            target.extend(items)
        elif type(target) is not Inert:
            raise ValueError("append to something else")

    def set_items(self, items: list) -> None:
        target = self.stack[-1]
        if type(target) is dict:
            self.update(target, items)
        elif type(target) is not Inert:
            raise ValueError("items of something else")

    @staticmethod
    def update(target: dict, items: list) -> None:
        if len(items) % 2:
            raise ValueError("key without value")
        target.update((key, value) for key, value in zip(items[::2], items[1::2]) if type(key) is str)

    def make_dict(self, _) -> None:
        made, items = {}, self.since_mark()
        self.update(made, items)
        self.push(made)

    def add_items(self, _) -> None:
        self.since_mark()
        if type(self.stack[-1]) is not Inert:  # sets are inert
            raise ValueError("items of something else")

    def find_global(self, module, name) -> Any:
        if type(module) is not str or type(name) is not str:
            raise ValueError("name of another type")
        return self.find(module, name)

    def stack_global(self, _) -> None:
        self.push(self.find_global(*self.pop_tuple(2)))

    def call(self, function, arguments, new: bool = False) -> None:
        if type(arguments) is not tuple:
            raise ValueError("arguments of another type")
        if type(function) is Inert:
            self.push(Inert(function.name))
        elif type(function) is Function and (function.is_class or not new):
            # a list in the memo can be an argument again and again; honest files use theirs once
            self.copied += sum(len(a) for a in arguments if type(a) in (list, tuple, dict))
            if self.copied > MOST_OPCODES:
                raise Refused("its pickle repeats itself without end; this is no checkpoint of weights")
            self.push(function.call(*arguments))
        else:
            name = printable(getattr(function, "name", type(function).__name__))
            raise Refused(f"its pickle calls {name} as torch.save never does; nothing was executed; download it again")

    def reduce(self, _) -> None:
        self.call(*self.pop_tuple(2))

    def new_object(self, _) -> None:
        self.call(*self.pop_tuple(2), new=True)

    def new_object_with_keywords(self, _) -> None:
        kind, arguments, _keywords = self.pop_tuple(3)
        if type(kind) is not Inert:
            raise ValueError("keywords for something else")
        self.call(kind, arguments, new=True)

    def instance(self, names) -> None:
        arguments = tuple(self.since_mark())
        self.call(self.find_global(*names.split(" ", 1)), arguments)

    def make_object(self, _) -> None:
        kind, *arguments = self.since_mark()
        self.call(kind, tuple(arguments))

    def build(self, _) -> None:
        self.pop_tuple(1)  # an object's state: ours have none, and a state dict's _metadata isn't needed
        if not self.stack:
            raise ValueError("state of nothing")


def _refuse(what: str):
    def handler(_machine, _argument):
        raise Refused(f"its pickle uses {what}, which torch.save never writes; nothing was executed")

    return handler


_OPCODES = {
    "PROTO": lambda m, a: None,
    "FRAME": lambda m, a: None,
    "STOP": lambda m, a: None,
    "NONE": lambda m, a: m.push(None),
    "NEWTRUE": lambda m, a: m.push(True),
    "NEWFALSE": lambda m, a: m.push(False),
    "EMPTY_LIST": lambda m, a: m.push([]),
    "EMPTY_DICT": lambda m, a: m.push({}),
    "EMPTY_TUPLE": lambda m, a: m.push(()),
    "EMPTY_SET": lambda m, a: m.push(Inert("set")),
    "BYTEARRAY8": lambda m, a: m.push(Inert("bytearray")),
    "MARK": _Machine.mark,
    "POP": _Machine.pop,
    "POP_MARK": lambda m, a: m.since_mark(),
    "DUP": lambda m, a: m.push(m.stack[-1]),
    "PUT": _Machine.put,
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "MEMOIZE": lambda m, a: m.put(len(m.memo)),
    "GET": lambda m, a: m.push(m.memo[a]),
    "BINGET": lambda m, a: m.push(m.memo[a]),
    "LONG_BINGET": lambda m, a: m.push(m.memo[a]),
    "TUPLE": lambda m, a: m.push(tuple(m.since_mark())),
    "TUPLE1": lambda m, a: m.push(m.pop_tuple(1)),
    "TUPLE2": lambda m, a: m.push(m.pop_tuple(2)),
    "TUPLE3": lambda m, a: m.push(m.pop_tuple(3)),
    "LIST": lambda m, a: m.push(m.since_mark()),
    "DICT": _Machine.make_dict,
    "FROZENSET": lambda m, a: (m.since_mark(), m.push(Inert("frozenset"))),
    "APPEND": lambda m, a: m.extend(list(m.pop_tuple(1))),
    "APPENDS": lambda m, a: m.extend(m.since_mark()),
    "SETITEM": lambda m, a: m.set_items(list(m.pop_tuple(2))),
    "SETITEMS": lambda m, a: m.set_items(m.since_mark()),
    "ADDITEMS": _Machine.add_items,
    "GLOBAL": lambda m, a: m.push(m.find_global(*a.split(" ", 1))),
    "STACK_GLOBAL": _Machine.stack_global,
    "REDUCE": _Machine.reduce,
    "NEWOBJ": _Machine.new_object,
    "NEWOBJ_EX": _Machine.new_object_with_keywords,
    "INST": _Machine.instance,
    "OBJ": _Machine.make_object,
    "BUILD": _Machine.build,
    "BINPERSID": lambda m, a: m.push(m.persistent(*m.pop_tuple(1))),
    "PERSID": _refuse("persistent ids in text form"),
    "EXT1": _refuse("extension codes"),
    "EXT2": _refuse("extension codes"),
    "EXT4": _refuse("extension codes"),
    "NEXT_BUFFER": _refuse("buffers outside the pickle"),
    "READONLY_BUFFER": _refuse("buffers outside the pickle"),
}
for _name in [
    "INT",
    "BININT",
    "BININT1",
    "BININT2",
    "LONG",
    "LONG1",
    "LONG4",
    "FLOAT",
    "BINFLOAT",
    "STRING",
    "BINSTRING",
    "SHORT_BINSTRING",
    "BINBYTES",
    "SHORT_BINBYTES",
    "BINBYTES8",
    "UNICODE",
    "BINUNICODE",
    "SHORT_BINUNICODE",
    "BINUNICODE8",
]:
    _OPCODES[_name] = _Machine.push
