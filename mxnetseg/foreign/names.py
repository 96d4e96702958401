"""Tables of names: lists of (regular expression, replacement), applied in order to another toolkit's name."""

import re
from typing import Any, Callable, List, Mapping, Tuple, Union

__all__ = ["Rules", "counted", "rename", "with_norms"]

Rules = List[Tuple[str, Union[str, Callable]]]


def rename(name: str, rules: Rules) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def counted(pattern: str, replacement: str, start: int = 1) -> Tuple[str, Callable]:
    """A rule whose first group counts from `start`, ours from 0: it fills the first {} of `replacement`."""
    return pattern, lambda m: replacement.format(int(m.group(1)) - start, *m.groups()[1:])


def with_norms(name: str, state: Mapping[str, Any]) -> str:
    """`name` of an array in `state`; ...gamma and ...beta for a norm, whose weight has one dimension."""
    stem, _, leaf = name.rpartition(".")
    weight = state.get(f"{stem}.weight")
    if weight is not None and weight.ndim == 1 and leaf in ("weight", "bias"):
        return f"{stem}.{'gamma' if leaf == 'weight' else 'beta'}"
    return name
