"""People and what they wear: Multi-Human Parsing."""

from typing import List, Sequence

from ..spec import DatasetSpec, register
from .common import one_up


def _last_thousand(names: Sequence[str], split: str) -> List[str]:
    """train_list.txt names 4000 images; the last 1000 are for validation."""
    if split == "test":
        return list(names)
    first = max(len(names) * 3 // 4, 1)
    return list(names[:first] if split == "train" else names[first:])


register(
    DatasetSpec(
        name="mhp_v1",
        title="Multi-Human Parsing v1, 18 classes",
        classes=(
            "hat",
            "hair",
            "sunglasses",
            "upper clothes",
            "skirt",
            "pants",
            "dress",
            "belt",
            "left shoe",
            "right shoe",
            "face",
            "left leg",
            "right leg",
            "left arm",
            "right arm",
            "bag",
            "scarf",
            "torso skin",
        ),
        palette=(
            (165, 42, 42),
            (255, 0, 0),
            (0, 128, 0),
            (205, 92, 92),
            (255, 69, 0),
            (255, 20, 147),
            (30, 144, 255),
            (85, 107, 47),
            (0, 128, 128),
            (139, 69, 19),
            (70, 130, 180),
            (50, 205, 50),
            (0, 0, 205),
            (0, 191, 255),
            (0, 255, 255),
            (0, 250, 154),
            (173, 255, 47),
            (255, 255, 0),
        ),
        images="images",
        masks="masks",
        **one_up(18),
        lists="{split}_list.txt",
        folders={"val": "train"},
        choose=_last_thousand,
        splits=("train", "val", "test"),
        inside=("LV-MHP-v1",),
        old_root="MHP/v1",
        homepage="https://lv-mhp.github.io",
        license="free for research, non-commercial",
        download="LV-MHP-v1.zip",
        note="3000 training, 1000 validation and 980 test images; the background (0) is not scored. The release has a "
        "mask per person, `data prepare` lays them over each other",
    )
)
