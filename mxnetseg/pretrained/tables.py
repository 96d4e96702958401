"""Parameter names of ImageNet classifiers -> those of our backbones.

timm's, torchvision's, efficientnet_lite_pytorch's, and the originals' of MogaNet, FFNet and DGMN2.

Convolutions and norms of networks made of inverted bottlenecks take a detour, names as "blocks.7.depthwise.norm.gamma":
there are several toolkits' names for them, and two ways in which ours are laid out.
"""

import re
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional

from ..foreign.families import LEAF, rules_of
from ..foreign.names import Rules, counted, rename, with_norms

__all__ = ["family_of", "translate"]

# counters of PyTorch's batch norms, classifiers, and what leads to them
_NOT_NEEDED = re.compile(r"num_batches_tracked$|^(fc|classifier|head\d?|pre_logits)\.")

_RESNET: Rules = [(r"\.conv2\.bn0\.", ".conv2.bn.")]  # of a split attention

_DENSENET: Rules = [
    (r"\.(norm|conv)\.(?=\d\.)", r".\1"),  # of torchvision's files, which are older than its names
    (r"^features\.conv0\.", "stem.0."),
    (r"^features\.norm0\.", "stem.1."),
    (r"^features\.norm5\.", "layer4.2."),
    (r"^features\.denseblock1\.", "layer1.0."),
    (r"^features\.denseblock(\d)\.", r"layer\1.1."),
    (r"^features\.transition(\d)\.norm\.", lambda m: f"layer{int(m.group(1)) + 1}.0.0."),
    (r"^features\.transition(\d)\.conv\.", lambda m: f"layer{int(m.group(1)) + 1}.0.2."),
    counted(r"\.denselayer(\d+)\.", ".{}.1."),
    (r"\.norm1\.", ".0."),
    (r"\.conv1\.", ".2."),
    (r"\.norm2\.", ".3."),
    (r"\.conv2\.", ".5."),
]

_VIT: Rules = [
    (r"^patch_embed\.proj\.", "patch_embed."),
    (r"^norm\.", "norms.3."),
    (r"\.attn\.proj\.", ".attn.project."),
    (r"\.mlp\.(fc\d)\.", r".\1."),
]

_PARTS = "(expand|depthwise|project)"

_LITE_PYTORCH: Rules = [
    (r"^_conv_stem\.", "stem.conv."),
    (r"^_bn0\.", "stem.norm."),
    (r"^_conv_head\.", "last.conv."),
    (r"^_bn1\.", "last.norm."),
    (r"^_fc\.", "classifier."),
    (r"^_blocks\.", "blocks."),
    *((rf"\._{part}_conv\.", f".{part}.conv.") for part in ("expand", "depthwise", "project")),
    (r"\._bn0\.", ".expand.norm."),
    (r"\._bn1\.", ".depthwise.norm."),
    (r"\._bn2\.", ".project.norm."),
]

_TIMM: Rules = [
    (r"^conv_stem\.", "stem.conv."),
    (r"^bn1\.", "stem.norm."),
    (r"^conv_head\.", "last.conv."),
    (r"^bn2\.", "last.norm."),
    # the first block has nothing to expand
    (r"^blocks\.0\.conv_dw\.", "blocks.0.depthwise.conv."),
    (r"^blocks\.0\.bn1\.", "blocks.0.depthwise.norm."),
    (r"^blocks\.0\.conv_pw\.", "blocks.0.project.conv."),
    (r"^blocks\.0\.bn2\.", "blocks.0.project.norm."),
    (r"\.conv_pw\.", ".expand.conv."),
    (r"\.bn1\.", ".expand.norm."),
    (r"\.conv_dw\.", ".depthwise.conv."),
    (r"\.bn2\.", ".depthwise.norm."),
    (r"\.conv_pwl\.", ".project.conv."),
    (r"\.bn3\.", ".project.norm."),
]

_TORCHVISION: Rules = [
    (r"^features\.0\.0\.", "stem.conv."),
    (r"^features\.0\.1\.", "stem.norm."),
    (r"^features\.18\.0\.", "last.conv."),
    (r"^features\.18\.1\.", "last.norm."),
    (r"^features\.1\.conv\.0\.0\.", "blocks.0.depthwise.conv."),
    (r"^features\.1\.conv\.0\.1\.", "blocks.0.depthwise.norm."),
    (r"^features\.1\.conv\.1\.", "blocks.0.project.conv."),
    (r"^features\.1\.conv\.2\.", "blocks.0.project.norm."),
    counted(r"^features\.(\d+)\.conv\.", "blocks.{}."),
    (r"^(blocks\.\d+)\.0\.0\.", r"\1.expand.conv."),
    (r"^(blocks\.\d+)\.0\.1\.", r"\1.expand.norm."),
    (r"^(blocks\.\d+)\.1\.0\.", r"\1.depthwise.conv."),
    (r"^(blocks\.\d+)\.1\.1\.", r"\1.depthwise.norm."),
    (r"^(blocks\.\d+)\.2\.", r"\1.project.conv."),
    (r"^(blocks\.\d+)\.3\.", r"\1.project.norm."),
]


def family_of(backbone: str) -> Optional[str]:
    """The key of the table for a backbone, None where there is none."""
    return next((family for family in _FAMILIES if backbone.startswith(family)), None)


def translate(state: Mapping[str, Any], backbone: str, ours: Iterable[str]) -> Dict[str, Optional[str]]:
    """Name in `state` (name -> array) -> name of one of `ours`, the parameters of `backbone`.

    None: no backbone needs it. A name that no rule knows stays as it is. KeyError: no table for this backbone.
    """
    family = family_of(backbone)
    if family is None:
        raise KeyError(backbone)
    to_ours = _FAMILIES[family](state, list(ours))
    return {name: None if _NOT_NEEDED.search(name) else to_ours(with_norms(name, state)) for name in state}


def _by(rules: Rules) -> Callable:
    return lambda state, ours: lambda name: rename(name, rules)


def _of_authors(backbone: str) -> Callable:
    rules, below = [*rules_of(backbone), *LEAF], "backbone."
    before_classifier = "norm." if backbone == "ffnet_2" else None

    def to_ours(name: str) -> Optional[str]:
        if before_classifier and name.startswith(before_classifier):
            return None
        return rename(below + name, rules)[len(below) :]

    return lambda state, ours: to_ours


def _vit(state: Mapping[str, Any], ours: List[str]) -> Callable:
    return lambda name: None if name == "cls_token" else rename(name, _VIT)


def _bottlenecks(place: Callable[[str, str, str], str], stem: Mapping[str, str]) -> Callable:
    """Networks of inverted bottlenecks. `stem`: its parts; `place`: (our block, part, conv or norm) -> our name."""

    def table(state: Mapping[str, Any], ours: List[str]) -> Callable:
        rules, flat = _dialect(state)
        # ours lie one behind the other: whatever has more than one part below a level is a block
        blocks = _in_order(ours, r"^(layer\d\.\d+)\.(?=\D+\.)")

        def to_ours(name: str) -> Optional[str]:
            name = rename(flat(name), rules)
            if name.startswith(("last.", "classifier.")):
                return None
            match = re.match(rf"^blocks\.(\d+)\.{_PARTS}\.(conv|norm)\.(\w+)$", name)
            if match and int(match.group(1)) < len(blocks):
                number, part, kind, leaf = match.groups()
                return f"{place(blocks[int(number)], part, kind)}.{leaf}"
            for part, new in stem.items():
                name = re.sub(rf"^stem\.{part}\.", f"{new}.", name)
            return name

        return to_ours

    return table


def _dialect(state: Mapping[str, Any]):
    """The rules for whoever named these, and what counts the blocks through where they are counted by stage."""
    if any(name.startswith("_blocks.") for name in state):
        return _LITE_PYTORCH, lambda name: name
    if any(name.startswith("features.") for name in state):
        return _TORCHVISION, lambda name: name
    numbers = {place: i for i, place in enumerate(_in_order(state, r"^blocks\.(\d+\.\d+)\."))}
    return _TIMM, lambda name: re.sub(r"^blocks\.(\d+\.\d+)\.", lambda m: f"blocks.{numbers[m.group(1)]}.", name)


def _in_order(names: Iterable[str], pattern: str) -> List[str]:
    """The first groups of all names that match, each once."""
    return list(dict.fromkeys(m.group(1) for m in (re.match(pattern, name) for name in names) if m))


def _in_mobilenet(block: str, part: str, kind: str) -> str:
    """The layers of a block lie in a row, ReLUs among them; the first block begins with its second part."""
    first = 0 if block == "layer1.3" else 3
    number = {"expand": 0, "depthwise": first, "project": first + 3}[part] + (kind == "norm")
    return f"{block}.out.{number}"


_FAMILIES: Dict[str, Callable] = {
    "resnet": _by(_RESNET),
    "resnest": _by(_RESNET),
    "densenet": _by(_DENSENET),
    "vit": _vit,
    "efficientnet_lite": _bottlenecks(
        lambda block, part, kind: f"{block}.{part}.{kind}", {"conv": "stem.conv", "norm": "stem.norm"}
    ),
    "moganet": _of_authors("moganet_tiny"),
    "ffnet_seg": _of_authors("ffnet_seg"),
    "ffnet": _of_authors("ffnet_2"),
    "dgmn2": _of_authors("dgmn2_tiny"),
    "mobilenet_v2": _bottlenecks(_in_mobilenet, {"conv": "layer1.0", "norm": "layer1.1"}),
}
