"""All kinds of scenes: ADE20K."""

from ..spec import DatasetSpec, register
from .common import from_csv

register(
    DatasetSpec(
        name="ade20k",
        title="ADE20K (scene parsing, 2016), 150 classes",
        **from_csv("ade20k"),
        images="images/{split}",
        masks="annotations/{split}",
        # 0 is unlabelled, the classes are 1 to 150
        ignore=(0,),
        label_map={index + 1: index for index in range(150)},
        splits=("train", "val"),
        folders={"train": "training", "val": "validation"},
        inside=("ADEChallengeData2016",),
        old_root="ADE20K/ADEChallengeData2016",
        homepage="http://sceneparsing.csail.mit.edu",
        license="images for non-commercial research, labels BSD-3",
        download="ADEChallengeData2016.zip",
    )
)
