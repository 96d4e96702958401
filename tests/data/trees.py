"""Small trees of the real layouts, with the traps that they hold: one builder per data set and layout.

A builder fills `root` and returns the splits it made. Images are 12x10; a mask holds the values it is given, and the
expected label of a split's first sample is `expected`.
"""

import zlib
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Sequence

import numpy as np
from PIL import Image
from scipy.io import savemat

HEIGHT, WIDTH = 10, 12


class Tree(NamedTuple):
    """One layout of one data set."""

    name: str  # of the data set
    build: Callable[[Path], None]
    splits: Dict[str, int]  # split -> images
    expected: Sequence[int]  # label of the first sample of the first split: the values of its upper row, as they change


def picture(path: Path, size=(HEIGHT, WIDTH)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.RandomState(zlib.crc32(str(path).encode())).randint(0, 256, (*size, 3))
    Image.fromarray(noise.astype(np.uint8)).save(path)


def columns(values: Sequence[int], dtype=np.uint8) -> np.ndarray:
    """(HEIGHT, WIDTH) in which the values stand side by side."""
    return np.repeat(np.resize(np.array(values), WIDTH)[None], HEIGHT, 0).astype(dtype)


def grey(path: Path, values: Sequence[int], dtype=np.uint8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(columns(values, dtype)).save(path)  # uint16 becomes a 16-bit PNG


def with_palette(path: Path, values: Sequence[int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = Image.fromarray(columns(values), "P")
    mask.putpalette([(7 * i) % 256 for i in range(768)])
    mask.save(path)


def mat(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, content, do_compression=True)


def text(path: Path, lines: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def ade20k(root: Path) -> None:
    for folder in ("training", "validation"):
        picture(root / f"images/{folder}/ADE_{folder}_1.jpg")
        grey(root / f"annotations/{folder}/ADE_{folder}_1.png", [0, 1, 150])


def ade20k_unpacked(root: Path) -> None:
    ade20k(root / "ADEChallengeData2016")


def _cityscapes(root: Path, split: str, labels: str, values: Sequence[int], ids: str = "labelIds") -> None:
    name = f"ulm/ulm_{split}_000019"
    picture(root / f"leftImg8bit/{split}/{name}_leftImg8bit.png")
    grey(root / f"{labels}/{split}/{name}_{labels}_{ids}.png", values)
    picture(root / f"{labels}/{split}/{name}_{labels}_color.png")  # lies there as well


def cityscapes(root: Path) -> None:
    for split in ("train", "val"):
        _cityscapes(root, split, "gtFine", [0, 7, 33, 29, 34])
    picture(root / "leftImg8bit/test/bonn/bonn_000000_000019_leftImg8bit.png")


def cityscapes_train_ids(root: Path) -> None:
    for split in ("train", "val"):
        _cityscapes(root, split, "gtFine", [255, 0, 18], "labelTrainIds")


def cityscapes_coarse(root: Path) -> None:
    _cityscapes(root, "train", "gtCoarse", [0, 7, 33])
    _cityscapes(root, "train_extra", "gtCoarse", [0, 8])
    _cityscapes(root, "val", "gtCoarse", [0, 7])
    _cityscapes(root, "val", "gtFine", [11])


def bdd100k(root: Path) -> None:
    for split in ("train", "val"):
        picture(root / f"bdd100k/images/10k/{split}/0a-{split}.jpg")
        grey(root / f"bdd100k/labels/sem_seg/masks/{split}/0a-{split}.png", [255, 0, 18])
    picture(root / "bdd100k/images/10k/test/0b.jpg")


def bdd100k_2022(root: Path) -> None:
    for split in ("train", "val"):
        picture(root / f"seg/images/{split}/0a-{split}.jpg")
        grey(root / f"seg/labels/{split}/0a-{split}_train_id.png", [255, 0, 18])


def mapillary(root: Path, folders=("training", "validation", "testing"), labels: str = "labels") -> None:
    for folder in folders[:2]:
        picture(root / f"{folder}/images/{folder}x.jpg")
        with_palette(root / f"{folder}/{labels}/{folder}x.png", [65, 0, 64])
        grey(root / f"{folder}/instances/{folder}x.png", [256, 16640], np.uint16)  # lies there as well
    picture(root / f"{folders[2]}/images/z.jpg")


def mapillary_v2(root: Path) -> None:
    mapillary(root, labels="v1.2/labels")


def mapillary_2022(root: Path) -> None:
    mapillary(root, ("train", "val", "test"))


def camvid(root: Path) -> None:
    for split in ("train", "val", "test"):
        picture(root / f"{split}/0001TP_{split}.png")
        grey(root / f"{split}annot/0001TP_{split}.png", [11, 0, 10])


def camvid_2022(root: Path) -> None:
    for split in ("train", "val", "test"):
        picture(root / f"images/0001TP_{split}.png")
        grey(root / f"labels/0001TP_{split}_L.png", [11, 0, 10])
        text(root / f"{split}.txt", [f"0001TP_{split}.png 0001TP_{split}_L.png"])
    text(root / "trainval.txt", [line for s in ("train", "val") for line in [f"0001TP_{s}.png 0001TP_{s}_L.png"]])


def voc2012(root: Path) -> None:
    base = root / "VOCdevkit/VOC2012"
    for name in ("2007_1", "2007_2"):
        picture(base / f"JPEGImages/{name}.jpg")
        with_palette(base / f"SegmentationClass/{name}.png", [255, 0, 20])
    for name in ("2007_detection_only", "2008_test"):
        picture(base / f"JPEGImages/{name}.jpg")
    lists = dict(train=["2007_1"], val=["2007_2"], trainval=["2007_1", "2007_2"], test=["2008_test"])
    for split, names in lists.items():
        text(base / f"ImageSets/Segmentation/{split}.txt", names)


def voc_aug(root: Path) -> None:
    for name in ("2007_1", "2007_2", "2008_3"):
        picture(root / f"img_aug/{name}.jpg")
        grey(root / f"cls_aug/{name}.png", [255, 0, 20])
    lists = dict(train_aug=["2007_1", "2008_3"], val=["2007_2"])
    for split, names in lists.items():
        text(root / f"{split}.txt", [f"{name}.jpg {name}.png" for name in names])


def voc_aug_elsewhere(root: Path) -> None:
    for name in ("2007_1", "2007_2"):
        picture(root / f"VOCdevkit/VOC2012/JPEGImages/{name}.jpg")
        grey(root / f"VOCdevkit/VOC2012/SegmentationClassAug/{name}.png", [255, 0, 20])
    text(root / "VOCdevkit/VOC2012/ImageSets/Segmentation/trainaug.txt", ["2007_1"])
    text(root / "VOCdevkit/VOC2012/ImageSets/Segmentation/val.txt", ["2007_2"])


def sbd_mask(path: Path, values: Sequence[int]) -> None:
    mat(path, {"GTcls": {"Segmentation": columns(values), "Boundaries": [], "CategoriesPresent": [20]}})


def sbd(root: Path, inside: str = "benchmark_RELEASE/dataset") -> None:
    for name in ("2008_1", "2008_2"):
        picture(root / inside / f"img/{name}.jpg")
        sbd_mask(root / inside / f"cls/{name}.mat", [0, 20])
    text(root / inside / "train.txt", ["2008_1"])
    text(root / inside / "val.txt", ["2008_2"])


def sbd_2022(root: Path) -> None:
    sbd(root, "")


def pascal_context(root: Path) -> None:
    for split in ("train", "val"):
        picture(root / f"JPEGImages/2008_{split}.jpg")
        grey(root / f"Labels_59/2008_{split}.png", [0, 1, 59])
        text(root / f"{split}.txt", [f"2008_{split}"])


def pascal_context_original(root: Path) -> None:
    for split in ("train", "val"):
        picture(root / f"JPEGImages/2008_{split}.jpg")
        mat(root / f"trainval/2008_{split}.mat", {"LabelMap": columns([0, 2, 458, 431, 1], np.uint16)})
        text(root / f"ImageSets/Main/{split}.txt", [f"2008_{split}"])


def coco(root: Path) -> None:
    for split in ("train", "val"):
        picture(root / f"{split}2017/00000{split}.jpg")
        picture(root / f"{split}2017/nothing_of_voc.jpg")
        with_palette(root / f"voc_masks/{split}2017/00000{split}.png", [0, 15, 20])
        text(root / f"voc_{split}.txt", [f"00000{split}"])


def coco_stuff_10k(root: Path) -> None:
    for split in ("train", "test"):
        picture(root / f"images/COCO_{split}.jpg")
        mat(
            root / f"annotations/COCO_{split}.mat",
            {"S": columns([0, 1, 182, 13], np.uint16), "names": np.array(["unlabeled", "person"], object)},
        )
        text(root / f"imageLists/{split}.txt", [f"COCO_{split}"])


def coco_stuff_10k_train_ids(root: Path) -> None:
    for split in ("train", "test"):
        picture(root / f"images/{split}2014/COCO_{split}.jpg")
        grey(root / f"annotations/{split}2014/COCO_{split}_labelTrainIds.png", [0, 1, 171])


def coco_stuff_164k(root: Path) -> None:
    for split in ("train", "val"):
        picture(root / f"{split}2017/0001{split}.jpg")
        grey(root / f"stuffthingmaps/{split}2017/0001{split}.png", [255, 0, 181, 12])


def coco_stuff_164k_train_ids(root: Path) -> None:
    for split in ("train", "val"):
        picture(root / f"images/{split}2017/0001{split}.jpg")
        grey(root / f"annotations/{split}2017/0001{split}.png", [255, 0, 181])
        grey(root / f"annotations/{split}2017/0001{split}_labelTrainIds.png", [255, 0, 170])


def _listed(root: Path, masks: str, values: Sequence[int], lists: Dict[str, str], two: bool = False) -> None:
    """images/, a folder of masks and a list per split."""
    for number, (split, name) in enumerate(lists.items()):
        picture(root / f"images/im{number}.jpg")
        grey(root / f"{masks}/im{number}.png", values)
        text(root / name.format(split=split), [f"im{number}.jpg im{number}.png" if two else f"im{number}"])


def nyuv2(root: Path) -> None:
    _listed(root, "labels40", [0, 1, 40], {"train": "train.txt", "test": "test.txt"})


def nyuv2_2022(root: Path) -> None:
    _listed(root, "labels40", [0, 1, 40], {"train": "train.txt", "test": "val.txt"})


def sun_rgbd(root: Path) -> None:
    _listed(root, "labels", [0, 1, 37], {"train": "train.txt", "test": "test.txt"}, two=True)
    for mask in (root / "labels").iterdir():
        grey(mask, [0, 1, 37], np.uint16)


def gatech(root: Path) -> None:
    _listed(root, "labels", [0, 1, 8], {"train": "train.txt", "test": "test.txt"})
    text(root / "test_all.txt", ["im1"])


def sift_flow(root: Path) -> None:
    _listed(root, "labels", [0, 1, 33], {"train": "train.txt", "test": "test.txt"})


def sift_flow_2022(root: Path) -> None:
    _listed(root, "labels", [0, 1, 33], {"train": "train.txt", "test": "val.txt"})


def stanford(root: Path) -> None:
    for number in range(5):
        picture(root / f"iccv09Data/images/00{number}.jpg")
        rows = [" ".join(map(str, row)) for row in columns([-1, 0, 7], int)]
        text(root / f"iccv09Data/labels/00{number}.regions.txt", rows)
        text(root / f"iccv09Data/labels/00{number}.surfaces.txt", rows)  # lies there as well


def stanford_2022(root: Path) -> None:
    lists = {"train": "trainList.txt", "val": "evalList.txt"}
    _listed(root, "labels", [255, 0, 7], lists)


def aeroscapes(root: Path) -> None:
    for name, short in (("a", "trn"), ("b", "val")):
        picture(root / f"aeroscapes/JPEGImages/{name}.jpg")
        grey(root / f"aeroscapes/SegmentationClass/{name}.png", [0, 1, 11])
        picture(root / f"aeroscapes/Visualizations/{name}.png")
        text(root / f"aeroscapes/ImageSets/{short}.txt", [name])


def horses(root: Path) -> None:
    for number in range(1, 6):
        picture(root / f"horse/horse{number}.png")
        grey(root / f"mask/horse{number}.png", [0, 1])


def horses_2022(root: Path) -> None:
    horses(root)
    text(root / "train.txt", ["horse1.png", "horse2.png"])
    text(root / "val.txt", ["horse3.png"])


def mhp(root: Path) -> None:
    for name in ("1", "2", "3", "4", "5"):
        picture(root / f"images/{name}.jpg")
        grey(root / f"masks/{name}.png", [0, 1, 18])
    text(root / "train_list.txt", [f"{name}.jpg" for name in "1234"])
    text(root / "test_list.txt", ["5.jpg"])


TRAIN_VAL = {"train": 1, "val": 1}
TRAIN_TEST = {"train": 1, "test": 1}
TREES: List[Tree] = [
    Tree("ade20k", ade20k, TRAIN_VAL, [255, 0, 149]),
    Tree("ade20k", ade20k_unpacked, TRAIN_VAL, [255, 0, 149]),
    Tree("aeroscapes", aeroscapes, TRAIN_VAL, [0, 1, 11]),
    Tree("bdd100k", bdd100k, TRAIN_VAL, [255, 0, 18]),
    Tree("bdd100k", bdd100k_2022, TRAIN_VAL, [255, 0, 18]),
    Tree("camvid", camvid, {"train": 1, "val": 1, "test": 1}, [255, 0, 10]),
    Tree("camvid", camvid_2022, {"train": 1, "val": 1, "test": 1}, [255, 0, 10]),
    Tree("cityscapes", cityscapes, TRAIN_VAL, [255, 0, 18, 255, 255]),
    Tree("cityscapes", cityscapes_train_ids, TRAIN_VAL, [255, 0, 18]),
    Tree("cityscapes_coarse", cityscapes_coarse, {"train": 1, "train_extra": 1, "val": 1}, [255, 0, 18]),
    Tree("coco", coco, TRAIN_VAL, [0, 15, 20]),
    Tree("coco_stuff_10k", coco_stuff_10k, TRAIN_TEST, [255, 0, 170, 11]),
    Tree("coco_stuff_10k", coco_stuff_10k_train_ids, TRAIN_TEST, [255, 0, 170]),
    Tree("coco_stuff_164k", coco_stuff_164k, TRAIN_VAL, [255, 0, 170, 11]),
    Tree("coco_stuff_164k", coco_stuff_164k_train_ids, TRAIN_VAL, [255, 0, 170]),
    Tree("gatech", gatech, TRAIN_TEST, [255, 0, 7]),
    Tree("mapillary_vistas", mapillary, TRAIN_VAL, [255, 0, 64]),
    Tree("mapillary_vistas", mapillary_v2, TRAIN_VAL, [255, 0, 64]),
    Tree("mapillary_vistas", mapillary_2022, TRAIN_VAL, [255, 0, 64]),
    Tree("mhp_v1", mhp, {"train": 3, "val": 1, "test": 1}, [255, 0, 17]),
    Tree("nyuv2", nyuv2, TRAIN_TEST, [255, 0, 39]),
    Tree("nyuv2", nyuv2_2022, TRAIN_TEST, [255, 0, 39]),
    Tree("pascal_context", pascal_context, TRAIN_VAL, [255, 0, 58]),
    Tree("pascal_context", pascal_context_original, TRAIN_VAL, [255, 0, 58, 255, 255]),
    Tree("sbd", sbd, TRAIN_VAL, [0, 20]),
    Tree("sbd", sbd_2022, TRAIN_VAL, [0, 20]),
    Tree("sift_flow", sift_flow, TRAIN_TEST, [255, 0, 32]),
    Tree("sift_flow", sift_flow_2022, TRAIN_TEST, [255, 0, 32]),
    Tree("stanford_background", stanford, {"train": 4, "val": 1}, [255, 0, 7]),
    Tree("stanford_background", stanford_2022, TRAIN_VAL, [255, 0, 7]),
    Tree("sun_rgbd", sun_rgbd, TRAIN_TEST, [255, 0, 36]),
    Tree("voc2012", voc2012, TRAIN_VAL, [255, 0, 20]),
    Tree("voc_aug", voc_aug, {"train": 2, "val": 1}, [255, 0, 20]),
    Tree("voc_aug", voc_aug_elsewhere, TRAIN_VAL, [255, 0, 20]),
    Tree("weizmann_horses", horses, {"train": 4, "val": 1}, [0, 1]),
    Tree("weizmann_horses", horses_2022, {"train": 2, "val": 1}, [0, 1]),
]
