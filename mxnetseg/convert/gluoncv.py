"""Parameter names of GluonCV's segmentation networks (FCN, PSPNet, DeepLabv3 on ResNet) -> ours.

Their FCN and PSPNet have heads as wide as a quarter of the backbone's last map, their DeepLabv3 has the paper's
rates for output stride 8: ours are built with options to fit.
"""

from typing import Any, Dict

from ..foreign.names import Rules, counted, rename

__all__ = ["options", "recognises", "translate"]

_HEADS: Dict[str, Rules] = {
    "deeplabv3": [
        (r"^head\.aspp\.concurent\.4\.gap\.", "head.aspp.branches.4.conv."),
        (r"^head\.aspp\.concurent\.", "head.aspp.branches."),
        (r"^head\.aspp\.branches\.4\.conv\.1\.", "head.aspp.branches.4.conv.conv."),
        (r"^head\.aspp\.branches\.4\.conv\.2\.", "head.aspp.branches.4.conv.norm."),
        (r"^(head\.aspp\.(?:branches\.\d|project))\.0\.", r"\1.conv."),
        (r"^(head\.aspp\.(?:branches\.\d|project))\.1\.", r"\1.norm."),
        (r"^head\.block\.", "head.classify."),
    ],
    "fcn": [(r"^head\.block\.", "head.")],
    "pspnet": [
        counted(r"^head\.psp\.conv(\d)\.0\.", "head.pool.convs.{}.conv."),
        counted(r"^head\.psp\.conv(\d)\.1\.", "head.pool.convs.{}.norm."),
        (r"^head\.block\.", "head.classify."),
    ],
}

_COMMON: Rules = [(r"^(bn1|conv1|layer\d)\.", r"backbone.\1."), (r"^auxlayer\.block\.", "aux_heads.0.")]

# a head's layers: convolution, norm, ReLU, dropout, convolution
_LAYERS: Rules = [
    (r"^(head|head\.classify|aux_heads\.0)\.0\.", r"\1.conv1.conv."),
    (r"^(head|head\.classify|aux_heads\.0)\.1\.", r"\1.conv1.norm."),
    (r"^(head|head\.classify|aux_heads\.0)\.4\.", r"\1.conv2."),
]


def translate(state: Dict, spec: Dict) -> Dict[str, str]:
    """Name in `state` -> our name; KeyError where there is no table for the model of `spec`."""
    rules = _COMMON + _HEADS[spec["name"]] + _LAYERS
    return {name: rename(name, rules) for name in state}


def recognises(state: Dict) -> bool:
    """Whether these are names of GluonCV's segmentation networks."""
    return "head.block.0.weight" in state


def options(state: Dict, model: str) -> Dict[str, Any]:
    """The options of our `model` that fit."""
    if model == "deeplabv3":
        return {"rates": [12, 24, 36]}
    return {"width": state["head.block.0.weight"].shape[0]} if model in ("fcn", "pspnet") else {}
