"""Objects and their surroundings: Pascal VOC, SBD, Pascal Context, COCO, COCO-Stuff."""

from ..spec import DatasetSpec, register
from .common import VOC_CLASSES, VOC_PALETTE, from_csv, one_up, rows

__all__ = ["COCO_TO_VOC", "CONTEXT_VALUES"]

_VOC = dict(classes=VOC_CLASSES, palette=VOC_PALETTE)

register(
    DatasetSpec(
        name="voc2012",
        title="Pascal VOC 2012, 21 classes with the background",
        **_VOC,
        images="JPEGImages",
        masks="SegmentationClass",
        lists="ImageSets/Segmentation/{split}.txt",
        splits=("train", "val", "test"),
        unlabelled=("test",),
        inside=("VOCdevkit/VOC2012", "VOC2012"),
        old_root="VOCdevkit/VOC2012",
        homepage="http://host.robots.ox.ac.uk/pascal/VOC/voc2012/",
        license="free for research (images from Flickr)",
        download="VOCtrainval_11-May-2012.tar; for test VOC2012test.tar",
        note="the toolkit of 2022 trained on trainval, which holds val; trainval is a list of its own, for submissions",
    )
)

register(
    DatasetSpec(
        name="voc_aug",
        title="Pascal VOC 2012 with the labels of SBD, 21 classes with the background",
        **_VOC,
        images="img_aug",
        masks="cls_aug",
        lists="{split}.txt",
        splits=("train", "val"),
        folders={"train": "train_aug"},
        variants=(
            # as many other toolkits keep it
            dict(
                images="JPEGImages",
                masks="SegmentationClassAug",
                lists="ImageSets/Segmentation/{split}.txt",
                folders={"train": "trainaug"},
            ),
        ),
        inside=("VOCAug", "VOCdevkit/VOCAug", "VOCdevkit/VOC2012", "VOC2012"),
        old_root="VOCdevkit/VOCAug",
        homepage="http://home.bharathh.info/pubs/codes/SBD/download.html",
        license="free for research (images from Flickr)",
        download="VOCtrainval_11-May-2012.tar, benchmark.tgz",
        note="10582 training images, none of them in val (1449, with VOC's own labels)",
    )
)

register(
    DatasetSpec(
        name="sbd",
        title="Semantic Boundaries Dataset, 21 classes with the background",
        **_VOC,
        images="img",
        masks="cls",
        mask_ending=".mat",
        mask_key="GTcls.Segmentation",
        lists="{split}.txt",
        splits=("train", "val"),
        inside=("benchmark_RELEASE/dataset", "dataset", "SBD", "VOCdevkit/SBD"),
        old_root="VOCdevkit/SBD",
        homepage="http://home.bharathh.info/pubs/codes/SBD/download.html",
        license="free for research (images from Flickr)",
        download="benchmark.tgz",
        note="8498 training and 2857 validation images, some of which are in VOC's val; masks are read from "
        "the .mat files",
    )
)

# the 59 frequent ones of the 459 labels; the other labels are not evaluated. Values and names are those of the
# publisher's labels.txt (a copy: github.com/shelhamer/fcn.berkeleyvision.org, data/pascal-context/classes-400.txt).
CONTEXT_VALUES = {int(row["value"]): index for index, row in enumerate(rows("pascal_context"))}

register(
    DatasetSpec(
        name="pascal_context",
        title="Pascal Context, 59 classes",
        **from_csv("pascal_context"),
        images="JPEGImages",
        masks="Labels_59",
        **one_up(59),
        lists="{split}.txt",
        splits=("train", "val"),
        variants=(
            dict(
                masks="trainval",
                mask_ending=".mat",
                mask_key="LabelMap",
                label_map=CONTEXT_VALUES,
                ignore=tuple(value for value in range(460) if value not in CONTEXT_VALUES),
                lists="ImageSets/Main/{split}.txt",
            ),
        ),
        inside=("VOCdevkit/VOC2010", "VOC2010"),
        old_root="PContext",
        homepage="https://cs.stanford.edu/~roozbeh/pascal-context/",
        license="free for research (images from Flickr)",
        download="VOCtrainval_03-May-2010.tar, trainval.tar.gz",
        note="4998 training and 5105 validation images; classes in the order of the 459 labels, as the masks of most "
        "toolkits have them, that of 2022 among them (its list of names was in the order of the publisher's list of "
        "59, VOC's classes first, which its masks did not follow). Values and names checked against the publisher's "
        "labels.txt",
    )
)

# value in COCO's annotations -> class of Pascal VOC
COCO_TO_VOC = {
    category: index
    for index, category in enumerate((5, 2, 16, 9, 44, 6, 3, 17, 62, 21, 67, 18, 19, 4, 1, 64, 20, 63, 7, 72), 1)
}

register(
    DatasetSpec(
        name="coco",
        title="COCO 2017, the classes of Pascal VOC, 21 with the background",
        **_VOC,
        images="{split}2017",
        masks="voc_masks/{split}2017",
        lists="voc_{split}.txt",
        splits=("train", "val"),
        inside=("COCO", "coco"),
        old_root="COCO",
        homepage="https://cocodataset.org",
        license="annotations CC BY 4.0, images from Flickr",
        download="train2017.zip, val2017.zip, annotations_trainval2017.zip",
        note="images with more than 1000 pixels of these classes; for pre-training on the way to VOC",
    )
)

_STUFF = [int(row["value"]) for row in rows("coco_stuff")]

register(
    DatasetSpec(
        name="coco_stuff_10k",
        title="COCO-Stuff 10k 1.1, 171 classes",
        **from_csv("coco_stuff"),
        images="images",
        masks="masks",
        # 1 to 182, eleven of which never occur; 0 is unlabelled
        label_map={value: index for index, value in enumerate(_STUFF)},
        ignore=(0,),
        lists="imageLists/{split}.txt",
        splits=("train", "test"),
        variants=(
            dict(masks="annotations", mask_ending=".mat", mask_key="S"),
            dict(
                images="images/{split}2014",
                masks="annotations/{split}2014",
                mask_suffix="_labelTrainIds",
                lists="",
                **one_up(171),
            ),
        ),
        inside=("COCOStuff", "cocostuff-10k-v1.1"),
        old_root="COCOStuff",
        homepage="https://github.com/nightrome/cocostuff10k",
        license="annotations CC BY 4.0, images from Flickr",
        download="cocostuff-10k-v1.1.zip",
        note="9000 training and 1000 test images, no validation images; read from the .mat files too, only slower",
    )
)

register(
    DatasetSpec(
        name="coco_stuff_164k",
        title="COCO-Stuff 164k, 171 classes",
        **from_csv("coco_stuff"),
        images="{split}2017",
        masks="stuffthingmaps/{split}2017",
        # one below those of the 10k release
        label_map={value - 1: index for index, value in enumerate(_STUFF)},
        splits=("train", "val"),
        variants=(
            # first, as these lie beside the original masks
            dict(
                images="images/{split}2017",
                masks="annotations/{split}2017",
                mask_suffix="_labelTrainIds",
                label_map=None,
            ),
            dict(images="images/{split}2017", masks="annotations/{split}2017"),
        ),
        inside=("COCO", "coco"),
        homepage="https://github.com/nightrome/cocostuff",
        license="annotations CC BY 4.0, images from Flickr",
        download="train2017.zip, val2017.zip, stuffthingmaps_trainval2017.zip",
        note="118287 training and 5000 validation images",
    )
)
