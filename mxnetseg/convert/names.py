"""Tables of names: lists of (regular expression, replacement), applied in order to another toolkit's name."""

import re
from typing import Callable, List, Tuple, Union

__all__ = ["Rules", "rename"]

Rules = List[Tuple[str, Union[str, Callable]]]


def rename(name: str, rules: Rules) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name
