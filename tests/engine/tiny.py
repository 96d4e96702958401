"""A run as small as can be: a backbone of one convolution, four images of 32x32, six iterations."""

from pathlib import Path
from typing import Any, Tuple

from mxnetseg import registry
from mxnetseg.backbones.base import Backbone
from mxnetseg.data.streets import draw_streets
from mxnetseg.nn import ConvNormAct

__all__ = ["RECIPE", "draw", "register"]

RECIPE = """
model: {name: fcn, backbone: tiny, options: {width: 4}}
data: {name: streets, root: %s, augment: {crop: 32, scale: [1, 1]}}
optimizer: {name: adam, lr: 0.01}
train: {iterations: 6, batch_size: 2, workers: 0, val_every: 2, keep_every: 3, save_every: 4, ema: 0.9, static: false,
  log_every: 3}
"""


class Tiny(Backbone):
    def __init__(self) -> None:
        super().__init__((4, 4, 4, 4))
        with self.name_scope():
            self.stem = ConvNormAct(3, 4, 3, stride=16)

    def hybrid_forward(self, F: Any, x: Any) -> Tuple[Any, ...]:
        return (self.stem(x),) * 4

    def layer_of(self, name: str, config: Any) -> int:
        return 0


def register() -> None:
    """Make the backbone known."""
    registry.register_backbone("tiny", output_strides=(16,))(Tiny)


def draw(root: Path) -> None:
    draw_streets(root, {"train": 4, "val": 1}, (64, 64), seed=1, progress=False)
