"""A graph whose input is called `data`, whatever a network's parameters are called."""

import json
from typing import Any, Collection, Dict, Tuple

from .symbol import VARIABLE, Graph

__all__ = ["INPUT", "free_name", "with_input"]

INPUT = "data"


def free_name(name: str, taken: Collection[str]) -> str:
    """The name, with as many underscores behind it as it takes to be none of `taken`."""
    while name in taken:
        name += "_"
    return name


def with_input(symbol: Any, name: str, taken: Collection[str]) -> Tuple[Graph, Dict[str, str]]:
    """The graph of a symbol with its variable `name` called `data`, and new names of others by their old ones.

    `taken` are the names of the others, one of which may be `data`.
    """
    renamed = {INPUT: free_name(INPUT, {*taken, name})} if INPUT in taken else {}
    names = {**renamed, name: INPUT}
    raw = json.loads(symbol if isinstance(symbol, str) else symbol.tojson(remove_amp_cast=False))
    for node in raw["nodes"]:
        if node["op"] == VARIABLE:
            node["name"] = names.get(node["name"], node["name"])
    return Graph(json.dumps(raw)), renamed
