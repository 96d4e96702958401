"""Preparations, each on small downloads that the test makes: what comes out is what `open_dataset` reads."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mxnetseg.cli import main
from mxnetseg.config import DataConfig
from mxnetseg.data import open_dataset
from mxnetseg.data.check import check
from mxnetseg.data.files import read_image
from mxnetseg.data.prepare import PREPARATIONS, coco, prepare
from mxnetseg.data.prepare.camvid import COLOURS, split_of
from mxnetseg.data.prepare.nyuv2 import test_images as nyuv2_test_images
from mxnetseg.data.spec import TABLE
from mxnetseg.errors import MXNetSegError
from mxnetseg.visual import save_png

from .trees import HEIGHT, WIDTH, columns, grey, mat, picture, sbd_mask, text, with_palette

SCENES = "spatial_envelope_256x256_static_8outdoorcategories"


def camvid(root: Path) -> None:
    for name in ("0001TP_006690", "0006R0_f00930", "0016E5_00390", "0016E5_07959", "0001TP_008550", "Seq05VD_f00000"):
        picture(root / f"701_StillsRaw_full/{name}.png")
        # two columns of sky, motorcycle, void, a stray colour in one pixel
        colours = np.array([(128, 128, 128), (192, 0, 192), (0, 0, 0)], np.uint8)
        mask = colours[columns([0, 1, 2])]
        mask[0, 0] = (129, 128, 128)
        save_png(root / f"LabeledApproved_full/{name}_L.png", mask)


def coco_voc(root: Path) -> None:
    for split in ("train", "val"):
        for name in ("1", "2", "3"):
            picture(root / f"{split}2017/{name}.jpg", (40, 60))
        whole = [0, 0, 60, 0, 60, 40, 0, 40]
        annotations = [
            dict(image_id=1, category_id=1, segmentation=[[0, 0, 30, 0, 30, 40, 0, 40]]),  # person, the left half
            dict(image_id=1, category_id=72, segmentation=[whole]),  # tv behind it
            dict(image_id=2, category_id=62, segmentation=[[0, 0, 5, 0, 5, 5, 0, 5]]),  # a chair, too small
            dict(image_id=3, category_id=13, segmentation=[whole]),  # a stop sign is none of VOC's classes
            dict(
                image_id=3, category_id=3, segmentation=dict(size=[40, 60], counts=[40, 1200, 1160])
            ),  # a crowd of cars
        ]
        images = [dict(id=int(n), file_name=f"{n}.jpg", height=40, width=60) for n in "123"]
        text(
            root / f"annotations/instances_{split}2017.json", [json.dumps(dict(images=images, annotations=annotations))]
        )


def coco_stuff_10k(root: Path) -> None:
    base = root / "cocostuff-10k-v1.1"
    for split in ("train", "test"):
        picture(base / f"images/COCO_{split}.jpg")
        mat(base / f"annotations/COCO_{split}.mat", {"S": columns([0, 1, 182], np.uint16)})
        text(base / f"imageLists/{split}.txt", [f"COCO_{split}"])


def coco_stuff_164k(root: Path) -> None:
    for split in ("train", "val"):
        picture(root / f"images/{split}2017/0001{split}.jpg")
        grey(root / f"stuffthingmaps/{split}2017/0001{split}.png", [255, 0, 181])


def mhp_v1(root: Path) -> None:
    base = root / "LV-MHP-v1"
    for name in "12345":
        picture(base / f"images/{name}.jpg")
        grey(base / f"annotations/{name}_02_01.png", [0, 1, 0, 0])
        grey(base / f"annotations/{name}_02_02.png", [0, 2, 18, 0])  # the second person stands behind the first
    text(base / "train_list.txt", [f"{name}.jpg" for name in "1234"])
    text(base / "test_list.txt", ["5.jpg"])


def nyuv2(root: Path) -> None:
    h5py = pytest.importorskip("h5py")
    root.mkdir(parents=True)
    with h5py.File(root / "nyu_depth_v2_labeled.mat", "w") as file:
        images = np.random.RandomState(0).randint(0, 256, (4, HEIGHT, WIDTH, 3)).astype(np.uint8)
        labels = np.stack([columns([0, 21, 11, 157], np.uint16)] * 4)  # unlabelled, wall, floor, bed
        # MATLAB's arrays come out of HDF5 the other way round
        file["images"] = images.transpose(0, 3, 2, 1)
        file["labels"] = labels.transpose(0, 2, 1)
    np.save(root / "images.npy", images)


def pascal_context(root: Path) -> None:
    for split in ("train", "val"):
        picture(root / f"VOCdevkit/VOC2010/JPEGImages/2008_{split}.jpg")
        mat(root / f"trainval/2008_{split}.mat", {"LabelMap": columns([431, 2, 458], np.uint16)})
        # the main challenge has images that Pascal Context lacks
        text(root / f"VOCdevkit/VOC2010/ImageSets/Main/{split}.txt", [f"2008_{split}", f"2009_{split}"])


def sift_flow(root: Path) -> None:
    for name in ("coast_a", "street_b.c"):
        picture(root / f"SiftFlowDataset/Images/{SCENES}/{name}.jpg")
        mat(root / f"SiftFlowDataset/SemanticLabels/{SCENES}/{name}.mat", {"S": columns([0, 1, 33])})
    text(root / "SiftFlowDataset/TestSet1.txt", [f"{SCENES}\\street_b.c.jpg"])


def sun_rgbd(root: Path) -> None:
    for split in ("train", "test"):
        picture(root / f"SUNRGBD-{split}_images/img-000001.jpg")
    grey(root / "labels_all/img-000001.png", [0, 1])  # of the test image
    grey(root / "labels_all/img-005051.png", [0, 1, 37])


def voc_aug(root: Path) -> None:
    voc, dataset = root / "VOCdevkit/VOC2012", root / "benchmark_RELEASE/dataset"
    for name in ("2007_1", "2007_2", "2008_3", "2008_4"):
        picture(voc / f"JPEGImages/{name}.jpg")
    for name in ("2007_1", "2007_2"):
        with_palette(voc / f"SegmentationClass/{name}.png", [255, 0, 20])
    text(voc / "ImageSets/Segmentation/train.txt", ["2007_1"])
    text(voc / "ImageSets/Segmentation/val.txt", ["2007_2"])
    for name in ("2007_1", "2007_2", "2008_3", "2008_4"):
        sbd_mask(dataset / f"cls/{name}.mat", [0, 5])
    text(dataset / "train.txt", ["2007_2", "2008_3"])  # SBD's training images hold some of VOC's val
    text(dataset / "val.txt", ["2007_1", "2008_4"])


def weizmann_horses(root: Path) -> None:
    for number in range(5):
        picture(root / f"weizmann_horse_db/rgb/horse00{number}.jpg")
        mask = Image.fromarray(np.where(columns([0, 1]) > 0, 255, 0).astype(np.uint8))
        (root / "weizmann_horse_db/figure_ground").mkdir(parents=True, exist_ok=True)
        mask.save(root / f"weizmann_horse_db/figure_ground/horse00{number}.jpg", quality=70)


# data set -> downloads, images per split, label of the first image of the first split (None: looked at elsewhere)
CASES = {
    "camvid": (camvid, {"train": 3, "val": 1, "test": 2}, None),
    "coco": (coco_voc, {"train": 2, "val": 2}, None),
    "coco_stuff_10k": (coco_stuff_10k, {"train": 1, "test": 1}, [255, 0, 170]),
    "coco_stuff_164k": (coco_stuff_164k, {"train": 1, "val": 1}, [255, 0, 170]),
    "mhp_v1": (mhp_v1, {"train": 3, "val": 1, "test": 1}, [255, 0, 17, 255]),
    "nyuv2": (nyuv2, {"train": 2, "test": 2}, [255, 0, 1, 3]),
    "pascal_context": (pascal_context, {"train": 1, "val": 1}, [255, 0, 58]),
    "sift_flow": (sift_flow, {"train": 1, "test": 1}, [255, 0, 32]),
    "sun_rgbd": (sun_rgbd, {"train": 1, "test": 1}, [255, 0, 36]),
    "voc_aug": (voc_aug, {"train": 3, "val": 1}, [255, 0, 20]),
    "weizmann_horses": (weizmann_horses, {"train": 4, "val": 1}, [0, 1]),
}


def data_of(name, root):
    return DataConfig(name=name, root=str(root))


def files_of(root: Path):
    return {path: path.stat().st_mtime_ns for path in sorted(root.rglob("*")) if path.is_file()}


def test_every_preparation_is_tested():
    assert set(CASES) == set(PREPARATIONS) and set(PREPARATIONS) <= set(TABLE)


@pytest.mark.parametrize("name", sorted(CASES))
def test_prepare_makes_what_the_table_expects(name, tmp_path):
    build, splits, expected = CASES[name]
    build(tmp_path / "downloads")
    before = files_of(tmp_path / "downloads")
    written, kept = prepare(name, tmp_path / "downloads", tmp_path / "made", progress=False)
    assert written > 0 and (kept == 0 or name == "mhp_v1")
    data = data_of(name, tmp_path / "made")
    for split, count in splits.items():
        assert len(open_dataset(data, split)) == count
    if expected:
        label = open_dataset(data, next(iter(splits))).load(0).label
        np.testing.assert_array_equal(label, columns(expected))
    assert check(data, list(splits), progress=False)["problems"] == []
    # a second run finds all there and changes nothing
    made = files_of(tmp_path / "made")
    again, there = prepare(name, tmp_path / "downloads", tmp_path / "made", progress=False)
    assert again == 0 and there > 0 and files_of(tmp_path / "made") == made
    assert files_of(tmp_path / "downloads") == before
    assert not [path for path in made if path.name.endswith(".partial")]


def test_an_interrupted_run_goes_on(tmp_path, monkeypatch):
    voc_aug(tmp_path / "downloads")
    broken = tmp_path / "downloads/benchmark_RELEASE/dataset/cls/2008_4.mat"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:100])
    with pytest.raises(MXNetSegError, match=r"2008_4\.mat: not a \.mat file"):
        prepare("voc_aug", tmp_path / "downloads", tmp_path / "made", progress=False)
    with pytest.raises(MXNetSegError, match="no file .*train_aug.txt"):
        open_dataset(data_of("voc_aug", tmp_path / "made"), "train")  # half of it is not taken for a data set
    broken.write_bytes(whole)
    done = files_of(tmp_path / "made")
    prepare("voc_aug", tmp_path / "downloads", tmp_path / "made", progress=False)
    assert len(open_dataset(data_of("voc_aug", tmp_path / "made"), "train")) == 3
    assert done.items() <= files_of(tmp_path / "made").items()


def test_workers_do_the_same(tmp_path):
    base = tmp_path / "downloads/SiftFlowDataset"
    for number in range(40):
        picture(base / f"Images/{SCENES}/a{number}.jpg")
        mat(base / f"SemanticLabels/{SCENES}/a{number}.mat", {"S": columns([number % 34])})
    text(base / "TestSet1.txt", ["a1.jpg"])
    prepare("sift_flow", tmp_path / "downloads", tmp_path / "two", workers=2, progress=False)
    prepare("sift_flow", tmp_path / "downloads", tmp_path / "none", workers=0, progress=False)
    for path in (tmp_path / "none").rglob("*.png"):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "none")).read_bytes()


def test_voc_aug_holds_nothing_of_val_and_vocs_own_labels(tmp_path):
    voc_aug(tmp_path / "downloads")
    prepare("voc_aug", tmp_path / "downloads", tmp_path / "made", progress=False)
    train = open_dataset(data_of("voc_aug", tmp_path / "made"), "train")
    assert train.names == ["2007_1", "2008_3", "2008_4"]
    np.testing.assert_array_equal(train.load(0).label, columns([255, 0, 20]))
    np.testing.assert_array_equal(train.load(1).label, columns([0, 5]))
    assert Image.open(train.mask_paths[1]).getpalette()[15:18] == [128, 0, 128]  # masks can be looked at


def test_coco_masks(tmp_path):
    coco_voc(tmp_path / "downloads")
    prepare("coco", tmp_path / "downloads", tmp_path / "downloads", progress=False)  # in place: the images are there
    train = open_dataset(data_of("coco", tmp_path / "downloads"), "train")
    assert train.names == ["1", "3"]
    label = train.load(0).label
    assert (label[:, :30] == 15).all() and (label[:, 30:] == 20).all()
    crowd = train.load(1).label
    assert (crowd[:, 1:31] == 7).all() and (crowd[:, 0] == 0).all() and (crowd[:, 31:] == 0).all()


def test_polygons_fill_the_pixels_that_pycocotools_fills():
    # made with pycocotools 2.0.7: frPyObjects and decode
    expected = [
        "............",
        "...####.....",
        "..#####.....",
        "..#####.....",
        ".######.....",
        ".######.....",
        "#######.....",
        "............",
    ]
    filled = coco.fill_polygon([2.9, 0.6, 7.2, 0.8, 6.7, 6.9, 0.4, 6.6], 8, 12)
    assert ["".join("#" if pixel else "." for pixel in row) for row in filled] == expected
    assert coco.fill_polygon([-5, -5, 20, -5, 20, 20, -5, 20], 8, 12).all()


def test_camvid_colours_and_splits(tmp_path):
    camvid(tmp_path / "downloads")
    prepare("camvid", tmp_path / "downloads", tmp_path / "made", progress=False)
    label = open_dataset(data_of("camvid", tmp_path / "made"), "val").load(0).label
    expected = columns([0, 10, 255])
    expected[0, 0] = 255
    np.testing.assert_array_equal(label, expected)
    assert len(COLOURS) == 32 and set(COLOURS.values()) == set(range(12))
    with pytest.raises(MXNetSegError, match="not a frame of CamVid"):
        split_of("0007XX_1")
    save_png(tmp_path / "downloads/LabeledApproved_full/0006R0_f1_L.png", np.full((HEIGHT, WIDTH, 3), 7, np.uint8))
    picture(tmp_path / "downloads/701_StillsRaw_full/0006R0_f1.png")
    with pytest.raises(MXNetSegError, match=r"the colour \(7, 7, 7\) is not one of CamVid's 32"):
        prepare("camvid", tmp_path / "downloads", tmp_path / "more", progress=False)


CAMVID = Path(__file__).resolve().parents[3] / "shared" / "data" / "camvid"


@pytest.mark.skipif(not CAMVID.is_dir(), reason="the real images are not here")
@pytest.mark.parametrize("split", ["train", "val"])
def test_camvid_splits_are_those_of_the_small_release(split):
    assert {split_of(path.stem) for path in (CAMVID / split).iterdir()} == {split}


def test_nyuv2_is_not_mirrored(tmp_path):
    nyuv2(tmp_path / "downloads")
    images = np.load(tmp_path / "downloads/images.npy")
    prepare("nyuv2", tmp_path / "downloads", tmp_path / "made", progress=False)
    for index in range(4):
        np.testing.assert_array_equal(read_image(tmp_path / f"made/images/{index}.png"), images[index])
    assert open_dataset(data_of("nyuv2", tmp_path / "made"), "test").names == ["0", "1"]
    test = nyuv2_test_images()
    assert len(test) == 654 and max(test) == 1448 and {0, 1, 8} <= test and not {2, 7} & test


def test_missing_downloads_are_named(tmp_path):
    (tmp_path / "downloads").mkdir()
    with pytest.raises(
        MXNetSegError, match=r"no folder ImageSets/Segmentation with files like train\.txt below .*VOCtr"
    ):
        prepare("voc_aug", tmp_path / "downloads", tmp_path / "made")
    (tmp_path / "downloads/benchmark.tgz").write_bytes(b"")
    with pytest.raises(MXNetSegError, match=r"There are archives: benchmark\.tgz; unpack them first"):
        prepare("voc_aug", tmp_path / "downloads", tmp_path / "made")
    with pytest.raises(MXNetSegError, match="no such folder; name the one with the downloads"):
        prepare("voc_aug", tmp_path / "nowhere", tmp_path / "made")
    with pytest.raises(MXNetSegError, match="ade20k needs no preparation.*Unpack ADEChallengeData2016.zip"):
        prepare("ade20k", tmp_path, tmp_path / "made")
    with pytest.raises(MXNetSegError, match="your own folders need no preparation"):
        prepare("folder", tmp_path, tmp_path / "made")


def test_a_list_with_other_names_is_not_overwritten(tmp_path):
    sift_flow(tmp_path / "downloads")
    text(tmp_path / "made/train.txt", ["mine"])
    with pytest.raises(MXNetSegError, match=r"train\.txt is there already and names other files"):
        prepare("sift_flow", tmp_path / "downloads", tmp_path / "made", progress=False)
    assert (tmp_path / "made/train.txt").read_text() == "mine\n"


def test_images_are_copied_where_links_do_not_work(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("another file system")

    monkeypatch.setattr(os, "link", refuse)
    sift_flow(tmp_path / "downloads")
    prepare("sift_flow", tmp_path / "downloads", tmp_path / "made", progress=False)
    assert len(open_dataset(data_of("sift_flow", tmp_path / "made"), "train")) == 1


def test_from_the_command_line(tmp_path, capsys):
    sift_flow(tmp_path / "downloads")
    args = ["data", "prepare", "SiftFlow", "--from", "downloads", "--to", "made", "--quiet", "--workers", "0"]
    assert main(args) == 0
    assert "6 files written to made" in capsys.readouterr().out
    assert main(args) == 0
    out = capsys.readouterr().out
    assert "0 files written to made, 6 were there" in out and "data check sift_flow --root made" in out
    assert main(["data", "check", "sift_flow", "--root", "made", "--quiet"]) == 0
    assert main(["data", "prepare", "siftflo", "--from", "downloads"]) == 2
    assert "did you mean sift_flow" in capsys.readouterr().err
