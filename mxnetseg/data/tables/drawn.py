"""Scenes that the project draws itself."""

from ..spec import DatasetSpec, register

register(
    DatasetSpec(
        name="streets",
        title="street scenes drawn by `mxnetseg data draw`",
        classes=("sky", "building", "tree", "pavement", "road", "lane mark", "car", "person", "pole", "sign"),
        palette=(
            (70, 130, 180),
            (150, 75, 60),
            (90, 140, 40),
            (244, 35, 232),
            (128, 64, 128),
            (255, 255, 255),
            (0, 0, 192),
            (220, 20, 60),
            (170, 170, 170),
            (250, 200, 30),
        ),
        images="images/{split}",
        masks="labels/{split}",
        splits=("train", "val"),
        license="drawn by this project",
        note="made by `mxnetseg data draw DIR`, no download",
    )
)
