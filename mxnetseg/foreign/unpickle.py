"""Pickles read as data: plain containers come out, and nothing that a pickle asks for is imported or called.

Python's own unpickler, even with an allow-list, makes real objects and reserves what memory a file names. This
small machine knows the same opcodes (`pickletools` of the standard library decodes them) and makes dicts, lists,
tuples, strings and numbers only. Whatever else a pickle mentions is decided by two functions of the caller.
"""

import pickletools
from typing import Any, Callable, Optional, Sequence

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

    Dict entries whose key is not a string are dropped: state dicts have none, and keys of the file's choice
    (deep tuples, numbers that collide) could crash or stall the hashing.

    `find` makes an object that stands for a global of (module, name): a Function, an Inert, another; `persistent` makes
    one of a persistent id. Both may raise Refused. After `most` bytes the pickle counts as damaged.

    Raises Refused for what is damaged, truncated, too large, or beyond what a checkpoint needs.
    """
    machine = _Machine(find, persistent)
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(_Bounded(file, most))):
            if count >= MOST_OPCODES:
                raise Refused(f"its pickle has more than {MOST_OPCODES} opcodes; this is not a checkpoint of weights")
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

    def get(self, index) -> None:
        self.push(self.memo[index])

    def take(self, count: int) -> tuple:
        if len(self.stack) < count:
            raise ValueError("stack underflow")
        items = tuple(self.stack[-count:])
        del self.stack[-count:]
        return items

    def add(self, kind: Optional[type], items: Sequence) -> None:
        """Items for what is on top of the stack: of the type `kind`, or inert, as sets are."""
        target = self.stack[-1]
        if type(target) is Inert:
            return
        if type(target) is not kind or (kind is dict and len(items) % 2):
            raise ValueError("items of something else, or a key without value")
        if kind is dict:
            target.update((key, value) for key, value in zip(items[::2], items[1::2]) if type(key) is str)
        else:
            target.extend(items)

    def make_dict(self, _) -> None:
        items = self.since_mark()
        self.push({})
        self.add(dict, items)

    def find_global(self, module, name) -> Any:
        if type(module) is not str or type(name) is not str:
            raise ValueError("name of another type")
        return self.find(module, name)

    def call(self, function, arguments, new: bool = False) -> None:
        if type(arguments) is not tuple:
            raise ValueError("arguments of another type")
        if type(function) is Inert:
            self.push(Inert(function.name))
        elif type(function) is Function and (function.is_class or not new):
            # a list in the memo can be an argument again and again; honest files use theirs once
            self.copied += sum(len(a) for a in arguments if type(a) in (list, tuple, dict))
            if self.copied > MOST_OPCODES:
                raise Refused("its pickle repeats itself without end; this is not a checkpoint of weights")
            self.push(function.call(*arguments))
        else:
            name = printable(getattr(function, "name", type(function).__name__))
            raise Refused(f"its pickle calls {name} as torch.save never does; nothing was executed; download it again")

    def new_object_with_keywords(self, _) -> None:
        kind, arguments, _keywords = self.take(3)
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
        self.take(1)  # an object's state: ours have none, and a state dict's _metadata isn't needed
        if not self.stack:
            raise ValueError("state of nothing")


def _refuse(what: str):
    def handler(_machine, _argument):
        raise Refused(f"its pickle uses {what}, which torch.save never writes; nothing was executed")

    return handler


_HANDLERS = {
    "PROTO FRAME STOP": lambda m, a: None,
    "INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING BINBYTES "
    "SHORT_BINBYTES BINBYTES8 UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8": _Machine.push,
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
    "PUT BINPUT LONG_BINPUT": _Machine.put,
    "MEMOIZE": lambda m, a: m.put(len(m.memo)),
    "GET BINGET LONG_BINGET": _Machine.get,
    "TUPLE": lambda m, a: m.push(tuple(m.since_mark())),
    "TUPLE1": lambda m, a: m.push(m.take(1)),
    "TUPLE2": lambda m, a: m.push(m.take(2)),
    "TUPLE3": lambda m, a: m.push(m.take(3)),
    "LIST": lambda m, a: m.push(m.since_mark()),
    "DICT": _Machine.make_dict,
    "FROZENSET": lambda m, a: (m.since_mark(), m.push(Inert("frozenset"))),
    "APPEND": lambda m, a: m.add(list, m.take(1)),
    "APPENDS": lambda m, a: m.add(list, m.since_mark()),
    "SETITEM": lambda m, a: m.add(dict, m.take(2)),
    "SETITEMS": lambda m, a: m.add(dict, m.since_mark()),
    "ADDITEMS": lambda m, a: m.add(None, m.since_mark()),
    "GLOBAL": lambda m, a: m.push(m.find_global(*a.split(" ", 1))),
    "STACK_GLOBAL": lambda m, a: m.push(m.find_global(*m.take(2))),
    "REDUCE": lambda m, a: m.call(*m.take(2)),
    "NEWOBJ": lambda m, a: m.call(*m.take(2), new=True),
    "NEWOBJ_EX": _Machine.new_object_with_keywords,
    "INST": _Machine.instance,
    "OBJ": _Machine.make_object,
    "BUILD": _Machine.build,
    "BINPERSID": lambda m, a: m.push(m.persistent(*m.take(1))),
    "PERSID": _refuse("persistent ids in text form"),
    "EXT1 EXT2 EXT4": _refuse("extension codes"),
    "NEXT_BUFFER READONLY_BUFFER": _refuse("buffers outside the pickle"),
}
_OPCODES = {name: handler for names, handler in _HANDLERS.items() for name in names.split()}
