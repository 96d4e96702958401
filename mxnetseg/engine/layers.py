"""Learning rates that fall towards the input, layer by layer."""

from ..backbones import Backbone
from ..config.schema import LayerDecayConfig

__all__ = ["BACKBONE", "layer_factor"]

BACKBONE = "backbone."


def layer_factor(name: str, backbone: Backbone, config: LayerDecayConfig) -> float:
    """The factor on the learning rate of the parameter `name` of a network on `backbone`.

    Layer k of `config.layers` has rate ** (layers + 1 - k); heads, and what the backbone counts to no layer, have 1.
    Raises MXNetSegError where the backbone doesn't know its layers.
    """
    layer = backbone.layer_of(name[len(BACKBONE) :], config) if name.startswith(BACKBONE) else None
    return 1.0 if layer is None else config.rate ** (config.layers + 1 - layer)
