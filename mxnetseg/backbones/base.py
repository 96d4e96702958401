"""What every backbone is, and what heads, segmentors and the optimizer may ask of it."""

from typing import Collection, Mapping, Optional, Sequence, Tuple

from mxnet.gluon import HybridBlock

from ..config.schema import LayerDecayConfig
from ..errors import MXNetSegError

__all__ = ["LEVELS", "Backbone", "place_in_features"]

LEVELS = ("c1", "c2", "c3", "c4")


class Backbone(HybridBlock):
    """Turns images (N, 3, H, W) into four feature maps (c1, c2, c3, c4), finest first.

    A family overrides what is different about it; the defaults here are right for stages that shrink the image step
    by step.

    Parameters
    ----------
    channels : four ints
        Of c1..c4.

    Attributes
    ----------
    channels : four ints
    align_corners : bool
        How the heads of models published on it resize.
    isotropic : bool
        Whether all levels have one size, as in a plain transformer.
    least_side : int
        The least height and width of images.
    """

    align_corners = False
    isotropic = False
    least_side = 1

    def __init__(self, channels: Sequence[int]):
        super().__init__()
        self.channels: Tuple[int, ...] = tuple(channels)

    def keep(self, levels: Collection[str]) -> None:
        """Learn which of c1..c4 heads are fed with; layers that only the others need may be left out."""

    def tap(self, depths: Sequence[int], *, of: int) -> None:
        """Take c1..c4 behind these blocks, counted in a network of `of` blocks.

        Only for isotropic backbones, where it is a choice; the levels of all others are the ends of their stages.
        """

    def stored_name(self, name: str) -> str:
        """What GluonCV's stored ImageNet weights call the parameter with this structural name below the backbone."""
        return name

    def leaves_out(self, name: str) -> bool:
        """Whether stored ImageNet weights of this name are of a layer that this backbone was told to do without."""
        return False

    def layer_of(self, name: str, config: LayerDecayConfig) -> Optional[int]:
        """The layer, 0 to `config.layers`, that a parameter counts to for learning rates that fall towards the input.

        `name` is the parameter's structural name below the backbone, "stages.0.1.main.weight". None: it learns at the
        full rate, like the heads.

        Raises
        ------
        MXNetSegError
            This family has no published way of counting.
        """
        known = sorted(kind.__name__ for kind in Backbone.__subclasses__() if kind.layer_of is not Backbone.layer_of)
        raise MXNetSegError(
            f"optimizer.layer_decay knows the layers of {', '.join(known)}, not those of {type(self).__name__}; "
            "write optimizer.rules instead"
        )


def place_in_features(name: str, starts: Mapping[str, int]) -> str:
    """`stored_name` of a network that GluonCV has as one sequence, "features".

    `starts` are the places in it where our stages begin: "layer2.0.weight" -> "features.6.weight".
    """
    stage, index, rest = name.split(".", 2)
    return f"features.{starts[stage] + int(index)}.{rest}"
