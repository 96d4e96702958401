"""Which layer of a backbone a parameter belongs to, for learning rates that fall towards the input.

Layers are counted as the published recipes count them: ConvNeXt's rule (Liu et al., 2022), as FFNet's and
MogaNet's repositories apply it to their own blocks; by our names, so that every stem, embedding and block is met.
"""

import re
from typing import Callable, Dict, Optional

from ..config.schema import LayerDecayConfig
from ..errors import MXNetSegError

__all__ = ["layer_factor"]


def layer_factor(name: str, backbone: str, config: LayerDecayConfig) -> float:
    """The factor on the learning rate of the parameter `name` of a network on `backbone`.

    Layer k of `config.layers` has rate ** (layers + 1 - k); heads, norms of the features, and the stem
    where it does not decay, have 1.

    Raises
    ------
    MXNetSegError
        There is no rule for the backbone's family.
    """
    family = backbone.split("_")[0]
    if family not in FAMILIES:
        raise MXNetSegError(
            f"optimizer.layer_decay knows the layers of {' and '.join(FAMILIES)}, not those of {backbone}; "
            "write optimizer.rules instead"
        )
    layer = FAMILIES[family](name, config)
    return 1.0 if layer is None else config.rate ** (config.layers + 1 - layer)


def _ffnet(name: str, config: LayerDecayConfig) -> Optional[int]:
    if name.startswith("backbone.stem."):
        return 0 if config.stem else None
    match = re.match(r"backbone\.stages\.(\d)\.(\d+)\.", name)
    if not match:
        return None
    stage, index = int(match.group(1)), int(match.group(2))
    if config.kind == "stage":
        return 0 if stage and not index else stage + 1
    # what FFNet calls a block is two of our residuals; from the second stage on the embedding is block 0
    block = (index + 1) // 2 if stage else index // 2
    return _layer(stage, config.layers, 1, 2, 3 + block // 3)


def _moganet(name: str, config: LayerDecayConfig) -> Optional[int]:
    match = re.match(r"backbone\.stages\.(\d)\.(embed|blocks\.(\d+))\.", name)
    if not match:
        return None
    stage, embed = int(match.group(1)), match.group(2) == "embed"
    if embed and not stage:
        return 0 if config.stem else None
    if config.kind == "stage":
        return 0 if embed else stage + 1
    if embed:
        return (0, 3, 4, config.layers)[stage]
    return _layer(stage, config.layers, 2, 3, min(3 + int(match.group(3)) // 2, config.layers - 1))


def _layer(stage: int, layers: int, first: int, second: int, third: int) -> int:
    return (first, second, min(third, layers), layers)[stage]


FAMILIES: Dict[str, Callable[[str, LayerDecayConfig], Optional[int]]] = {"ffnet": _ffnet, "moganet": _moganet}
