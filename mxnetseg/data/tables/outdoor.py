"""Outdoors: GATECH, SIFT Flow, Stanford Background, Aeroscapes, Weizmann Horses."""

from ..spec import DatasetSpec, default_palette, register
from .common import every_fifth, from_csv, one_up

register(
    DatasetSpec(
        name="gatech",
        title="Geometric Context from Videos (GATECH), 8 classes",
        classes=("sky", "ground", "solid", "porous", "humans", "cars", "vertical mix", "main mix"),
        palette=(
            (255, 0, 0),
            (0, 130, 180),
            (0, 255, 0),
            (255, 255, 0),
            (255, 0, 255),
            (120, 0, 255),
            (160, 160, 160),
            (64, 64, 64),
        ),
        images="images",
        masks="labels",
        **one_up(8),
        lists="{split}.txt",
        splits=("train", "test"),
        old_root="GATECH",
        homepage="https://www.cc.gatech.edu/cpl/projects/videogeometriccontext/",
        license="free for research",
        download="the frames and labels of the videos as pictures, the names of the splits in train.txt and test.txt",
        note="no validation images. The order of the values is not verified: no list of the publishers' could be "
        "found. The tools that read it agree but on 5 and 6, humans and cars here and in the toolkit of 2022, cars and "
        "humans in others (dataset_loaders); look at a few masks with `mxnetseg data browse gatech`",
    )
)

register(
    DatasetSpec(
        name="sift_flow",
        title="SIFT Flow (LabelMe outdoor), 33 classes",
        **from_csv("sift_flow"),
        images="images",
        masks="labels",
        **one_up(33),
        lists="{split}.txt",
        splits=("train", "test"),
        # the toolkit of 2022 called the test images val
        variants=(dict(folders={"test": "val"}),),
        old_root="SiftFlow",
        homepage="https://people.csail.mit.edu/celiu/LabelTransfer/",
        license="free for research",
        download="SiftFlowDataset.zip",
        note="2488 training and 200 test images, no validation images",
    )
)

register(
    DatasetSpec(
        name="stanford_background",
        title="Stanford Background, 8 classes",
        classes=("sky", "tree", "road", "grass", "water", "building", "mountain", "foreground object"),
        palette=tuple(default_palette(8)),
        images="images",
        masks="labels",
        mask_suffix=".regions",
        mask_ending=".txt",
        choose=every_fifth,
        splits=("train", "val"),
        variants=(
            dict(
                mask_suffix="",
                mask_ending=".png",
                choose=None,
                lists="{split}List.txt",
                folders={"val": "eval"},
            ),
        ),
        inside=("iccv09Data",),
        old_root="Stanford10",
        homepage="http://dags.stanford.edu/projects/scenedataset.html",
        license="free for research",
        download="iccv09Data.tar.gz",
        note="no official splits: every fifth of the 715 images is for validation (143, as in the paper's five folds); "
        "the labels are read from the *.regions.txt, negative ones are unlabelled",
    )
)

register(
    DatasetSpec(
        name="aeroscapes",
        title="Aeroscapes, 12 classes with the background",
        classes=(
            "background",
            "person",
            "bike",
            "car",
            "drone",
            "boat",
            "animal",
            "obstacle",
            "construction",
            "vegetation",
            "road",
            "sky",
        ),
        palette=(
            (0, 0, 0),
            (192, 128, 128),
            (0, 128, 0),
            (128, 128, 128),
            (128, 0, 0),
            (0, 0, 128),
            (192, 0, 128),
            (192, 0, 0),
            (192, 128, 0),
            (0, 64, 0),
            (128, 128, 0),
            (0, 128, 128),
        ),
        images="JPEGImages",
        masks="SegmentationClass",
        lists="ImageSets/{split}.txt",
        splits=("train", "val"),
        folders={"train": "trn"},
        inside=("aeroscapes",),
        old_root="Aeroscapes",
        homepage="https://github.com/ishann/aeroscapes",
        license="free for research",
        download="aeroscapes.tar.gz",
        note="2621 training and 648 validation images",
    )
)

register(
    DatasetSpec(
        name="weizmann_horses",
        title="Weizmann Horses, 2 classes with the background",
        classes=("background", "horse"),
        palette=((0, 0, 0), (255, 255, 255)),
        images="horse",
        masks="mask",
        lists="{split}.txt",
        splits=("train", "val"),
        variants=(dict(lists="", choose=every_fifth),),
        old_root="WeizHorses",
        homepage="https://www.msri.org/people/members/eranb/",
        license="free for research",
        download="weizmann_horse_db.tar.gz",
        note="328 images, no official splits: without lists every fifth is for validation",
    )
)
