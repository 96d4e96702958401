"""A data set and a transform. Data workers import this module, so it imports neither MXNet nor the networks."""

import numpy as np

from mxnetseg import DatasetSpec, register_dataset, register_transform

register_dataset(
    DatasetSpec(
        name="example_road",
        title="drawn street scenes, road against all else",
        classes=("road", "other"),
        palette=((128, 64, 128), (70, 130, 180)),
        images="images/{split}",
        masks="labels/{split}",
        label_map={value: 0 if value in (4, 5) else 1 for value in range(10)},  # 4: road, 5: lane mark
        splits=("train", "val"),
        license="drawn by MXNetSeg",
        note="mxnetseg data draw datasets/example_road",
    )
)


@register_transform("example_fog")
class Fog:
    """White that gets thicker towards the top of the image, at most `strength` of it."""

    def __init__(self, strength: float = 0.6):
        if not 0 <= strength <= 1:
            raise ValueError(f"strength is {strength}; it has to be from 0 to 1")
        self.strength = strength

    def __call__(self, image, mask, rng):
        thickness = rng.uniform(0, self.strength) * np.linspace(1, 0, len(image))[:, None, None]
        foggy = (1 - thickness) * image + thickness * 255
        return {"image": foggy.astype(np.uint8), "mask": mask}
