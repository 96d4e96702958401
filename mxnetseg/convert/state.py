"""Load a dict of arrays with another toolkit's names into one of our networks."""

import re
from pathlib import Path
from typing import Any, Dict, Iterable, Mapping, Union

from ..errors import MXNetSegError
from ..names import lookup
from . import gluoncv, mmseg, mxnetseg2022

__all__ = ["PTH", "dialect_of", "has_auxiliary", "load_state", "options_for", "to_ours"]

PTH = (".pth", ".pt", ".tar")

# each: (state, spec) -> {their name: our name, or None for what is not needed}
_SOURCES = {"gluoncv": gluoncv.translate, "mmseg": mmseg.translate, "mxnetseg": mxnetseg2022.translate}


def load_state(net, state: Dict[str, Any], source: str = "mxnetseg", title: str = "the state") -> None:
    """Load `state`, a dict of name -> array, strictly.

    Parameters
    ----------
    net : Segmentor
        An initialized network.
    state : dict
        Names as in `source`'s checkpoints; NumPy arrays or NDArrays.
    source : str
        "mxnetseg": the toolkit of 2022; "mmseg": the PyTorch originals of MogaNet, FFNet and DGMN2; "gluoncv":
        GluonCV's fcn, psp and deeplab on ResNet.
    title : str
        What messages call the state: the file's name.

    Raises
    ------
    MXNetSegError
        A name of either side is left over, or a shape differs; nothing has been loaded then.
    """
    ours = net._collect_params_with_prefix()
    for name, array in to_ours(net, state, source, title).items():
        ours[name].set_data(array)


def dialect_of(path: Union[str, Path], names: Iterable[str]) -> str:
    """Which toolkit's names a file has: "ours", or a `source` of `load_state`."""
    if Path(path).suffix.lower() in PTH:
        return "mmseg"
    if any(name.startswith("backbone.") for name in names):
        return "ours"
    return "gluoncv" if gluoncv.recognises(names) else "mxnetseg"


def options_for(dialect: str, state: Mapping[str, Any], model: str) -> Dict[str, Any]:
    """The arguments of `create_model` that a file itself tells."""
    # the channels of the last layer
    last = [name for name in state if re.search(r"^(decode_head\.conv_seg|head\..*)\.weight$", name)]
    options = {"num_classes": int(state[last[-1]].shape[0])} if last else {}
    return {**options, **gluoncv.options(state, model)} if dialect == "gluoncv" else options


def has_auxiliary(names: Iterable[str]) -> bool:
    """Whether parameters of auxiliary heads are among these names, in whichever toolkit's form."""
    return any(re.search(r"(^|\.)(auxiliary_head|aux_heads?|auxlayer)\.", name) for name in names)


def to_ours(net, state: Dict[str, Any], source: str, title: str = "the state") -> Dict[str, Any]:
    """`state` under our names; all parameters of `net` are there, and nothing else.

    Raises as `load_state`.
    """
    translate = lookup("checkpoint source", source, _SOURCES)
    spec = net.spec
    try:
        names = translate(state, spec)
    except KeyError:
        raise MXNetSegError(
            f"{source} checkpoints of {spec['name']} on {spec['backbone']} can't be converted (yet)"
        ) from None
    if spec.get("reparameterized"):
        raise MXNetSegError("load the checkpoint first, then call reparameterize()")
    theirs = {new: old for old, new in names.items() if new is not None}
    found = {new: state[old] for new, old in theirs.items()}
    from ..engine import checkpoint  # brings MXNet, which reading a .pth does without

    checkpoint.check(net, net._collect_params_with_prefix(), found, title, theirs)
    return found
