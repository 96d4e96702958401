"""Load a dict of arrays with another toolkit's names into one of our networks."""

import re
from typing import Any, Dict

from ..errors import MXNetSegError
from ..names import lookup
from . import mxnetseg2022

__all__ = ["load_state"]

_SOURCES = {"mxnetseg": mxnetseg2022.rename_rules}


def load_state(net, state: Dict[str, Any], source: str = "mxnetseg") -> None:
    """Load `state`, a dict of name -> array, strictly.

    Parameters
    ----------
    net : Segmentor
        An initialized network.
    state : dict
        Names as in `source`'s checkpoints; NumPy arrays or NDArrays.
    source : str
        "mxnetseg": the toolkit of 2022.

    Raises
    ------
    MXNetSegError
        A name of either side is left over, or a shape differs; nothing has been loaded then.
    """
    rules_of = lookup("checkpoint source", source, _SOURCES)
    model = net.spec["name"]
    try:
        rules = rules_of(model)
    except KeyError:
        raise MXNetSegError(f"{source} checkpoints of model {model!r} can't be converted yet") from None
    ours = net._collect_params_with_prefix()
    renamed = {_rename(name, rules): (name, array) for name, array in state.items()}
    unknown = [old for new, (old, _) in renamed.items() if new not in ours]
    missing = [name for name in ours if name not in renamed]
    shapes = [
        f"{old} {tuple(array.shape)} for {new} {ours[new].shape}"
        for new, (old, array) in renamed.items()
        if new in ours and tuple(array.shape) != tuple(ours[new].shape)
    ]
    if unknown or missing or shapes:
        problems = [
            f"{title}: {_some(names)}"
            for title, names in (
                ("not in this network", unknown),
                ("missing in the state", missing),
                ("other shapes", shapes),
            )
            if names
        ]
        raise MXNetSegError(
            f"the state does not fit {model} ({net.spec['backbone']}); {'; '.join(problems)}. "
            "Check backbone, num_classes, aux and norm"
        )
    for new, (_, array) in renamed.items():
        ours[new].set_data(array)


def _rename(name: str, rules) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def _some(names, most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
