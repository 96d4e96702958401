"""Tables of names: lists of (regular expression, replacement), applied in order to another toolkit's name."""

import re
from typing import Callable, List, Tuple, Union

__all__ = ["Rules", "counted", "rename"]

Rules = List[Tuple[str, Union[str, Callable]]]


def rename(name: str, rules: Rules) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def counted(pattern: str, replacement: str, start: int = 1) -> Tuple[str, Callable]:
    """A rule whose first group counts from `start`, ours from 0: it fills the first {} of `replacement`."""
    return pattern, lambda m: replacement.format(int(m.group(1)) - start, *m.groups()[1:])
