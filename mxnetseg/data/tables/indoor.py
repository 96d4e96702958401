"""Rooms: NYUv2 and SUN RGB-D, without their depth."""

from ..spec import DatasetSpec, register
from .common import from_csv, one_up

_NYU = from_csv("nyuv2")

register(
    DatasetSpec(
        name="nyuv2",
        title="NYU Depth v2, 40 classes",
        **_NYU,
        images="images",
        masks="labels40",
        **one_up(40),
        lists="{split}.txt",
        splits=("train", "test"),
        # the toolkit of 2022 called the test images val
        variants=(dict(folders={"test": "val"}),),
        old_root="NYUv2",
        homepage="https://cs.nyu.edu/~silberman/datasets/nyu_depth_v2.html",
        license="free for research",
        download="nyu_depth_v2_labeled.mat",
        note="795 training and 654 test images, no validation images. The toolkit of 2022 mirrored images and masks",
    )
)

register(
    DatasetSpec(
        name="sun_rgbd",
        title="SUN RGB-D, 37 classes",
        classes=_NYU["classes"][:37],
        palette=_NYU["palette"][:37],
        images="images",
        masks="labels",
        **one_up(37),
        lists="{split}.txt",
        splits=("train", "test"),
        old_root="SUNRGBD",
        homepage="https://rgbd.cs.princeton.edu",
        license="free for research",
        download="SUNRGBD-train_images.tgz, SUNRGBD-test_images.tgz, sunrgbd_train_test_labels.tar.gz (the labels of "
        "the toolbox as PNGs, github.com/ankurhanda/sunrgbd-meta-data)",
        note="5285 training and 5050 test images, no validation images",
    )
)
