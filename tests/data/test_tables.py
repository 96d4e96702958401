"""Every data set of the table, on a small tree of its real layout: splits, labels, checks, a contact sheet."""

import json
from pathlib import Path

import numpy as np
import pytest

from mxnetseg.cli import main
from mxnetseg.config import DataConfig
from mxnetseg.data import IGNORE, TrainTransform, get_spec, list_datasets, open_dataset
from mxnetseg.data.check import check
from mxnetseg.data.files import read_image
from mxnetseg.data.masks import read_mask
from mxnetseg.errors import MXNetSegError
from mxnetseg.visual import save_png

from .trees import TREES, columns, grey, mat, picture, text

LAYOUTS = pytest.mark.parametrize("tree", TREES, ids=[tree.build.__name__ for tree in TREES])

COUNTS = {
    "ade20k": 150,
    "aeroscapes": 12,
    "bdd100k": 19,
    "camvid": 11,
    "cityscapes": 19,
    "cityscapes_coarse": 19,
    "coco": 21,
    "coco_stuff_10k": 171,
    "coco_stuff_164k": 171,
    "gatech": 8,
    "mapillary_vistas": 65,
    "mhp_v1": 18,
    "nyuv2": 40,
    "pascal_context": 59,
    "sbd": 21,
    "sift_flow": 33,
    "stanford_background": 8,
    "streets": 10,
    "sun_rgbd": 37,
    "voc2012": 21,
    "voc_aug": 21,
    "weizmann_horses": 2,
}


def data_of(name, root, **kwargs):
    return DataConfig(name=name, root=str(root), augment=dict(crop=(8, 8)), **kwargs)


@LAYOUTS
def test_a_data_set_on_its_real_layout(tree, tmp_path):
    tree.build(tmp_path)
    data = data_of(tree.name, tmp_path)
    spec = get_spec(data)
    names = {}
    for split, count in tree.splits.items():
        dataset = open_dataset(data, split)
        assert len(dataset) == count
        names[split] = set(dataset.names)
        sample = dataset.load(0)
        assert sample.image.shape[:2] == sample.label.shape and sample.label.dtype == np.uint8
        assert set(np.unique(sample.label)) <= {*range(spec.num_classes), IGNORE}
    first, *others = names
    np.testing.assert_array_equal(open_dataset(data, first).load(0).label, columns(tree.expected))
    for other in others:
        assert not names[first] & names[other]
    image, label, _ = open_dataset(data, first).load(0)
    image, label = TrainTransform(data)(image, label, np.random.default_rng(0))
    assert image.shape == (8, 8, 3) and label.shape == (8, 8)
    report = check(data, list(tree.splits), progress=False)
    assert report["problems"] == []
    for split, count in tree.splits.items():
        found = report["splits"][split]
        assert found["images"] == count and found["sizes"] == {"12x10": count} and not found["unknown"]
        assert sum(row["share"] for row in found["classes"].values()) + found["ignored"]["share"] == pytest.approx(
            1, abs=1e-4
        )


def test_every_data_set_has_a_tree_and_its_number_of_classes():
    assert {tree.name for tree in TREES} | {"folder", "streets"} == set(list_datasets())
    assert {name: get_spec(DataConfig(name=name)).num_classes for name in list_datasets() if name != "folder"} == COUNTS


@pytest.mark.parametrize("name", sorted(COUNTS))
def test_an_entry_says_all_that_a_user_needs(name):
    spec = get_spec(DataConfig(name=name))
    assert spec.title and spec.license and spec.splits[0] == "train" and len(spec.splits) >= 2
    assert len(set(spec.classes)) == spec.num_classes and all(spec.classes)
    assert len(set(spec.splits)) == len(spec.splits) and set(spec.unlabelled) <= set(spec.splits)
    files = [(layout.image_folder(s), layout.list_file(s)) for s in spec.splits for layout in spec.layouts(s)[:1]]
    if spec.choose is None:
        assert len(set(files)) == len(spec.splits)  # no split stands for another
    for split in spec.splits:
        for layout in spec.layouts(split):
            raw = layout.raw_values()
            assert sorted(set(raw.values())) == list(range(spec.num_classes)) and not set(raw) & set(layout.ignore)
    if name != "streets":
        assert spec.homepage.startswith("http") and spec.download


@pytest.mark.parametrize(
    "name, value, cls",
    [
        ("nyuv2", 4, "bed"),
        ("nyuv2", 38, "other structure"),
        ("sun_rgbd", 37, "bag"),
        ("pascal_context", 2, "bag"),
        ("pascal_context", 59, "wood"),
        ("coco_stuff_164k", 0, "person"),
        ("coco_stuff_164k", 89, "toothbrush"),
        ("coco_stuff_164k", 91, "banner"),
        ("coco_stuff_10k", 182, "wood"),
        ("mapillary_vistas", 13, "road"),
        ("mapillary_vistas", 55, "car"),
        ("mhp_v1", 1, "hat"),
        ("mhp_v1", 18, "torso skin"),
        ("sift_flow", 28, "sky"),
        ("stanford_background", 7, "foreground object"),
        ("voc2012", 15, "person"),
        ("cityscapes", 26, "car"),
        ("ade20k", 150, "flag"),
    ],
)
def test_label_values_mean_what_the_data_set_says(name, value, cls):
    spec = get_spec(DataConfig(name=name))
    assert spec.classes[spec.raw_values()[value]] == cls


def test_the_59_of_459_labels():
    from mxnetseg.data.tables.objects import COCO_TO_VOC, CONTEXT_VALUES

    spec = get_spec(DataConfig(name="pascal_context"))
    by_name = {spec.classes[index]: value for value, index in CONTEXT_VALUES.items()}
    assert (by_name["aeroplane"], by_name["bicycle"], by_name["person"], by_name["wood"]) == (2, 23, 284, 458)
    voc = get_spec(DataConfig(name="coco")).classes
    assert {1: "person", 3: "car", 62: "chair", 67: "dining table", 72: "tv monitor"}.items() <= {
        category: voc[index] for category, index in COCO_TO_VOC.items()
    }.items()


def test_splits_that_do_not_exist_are_explained(tmp_path):
    next(tree for tree in TREES if tree.name == "sun_rgbd").build(tmp_path)
    with pytest.raises(MXNetSegError, match=r"no file .*val\.txt.*its splits are train, test; say which with data"):
        open_dataset(data_of("sun_rgbd", tmp_path), "val")


def test_what_is_missing_says_how_to_make_it(tmp_path):
    (tmp_path / "images").mkdir()
    with pytest.raises(MXNetSegError, match=r"train\.txt, which names .*data prepare nyuv2 --from DOWNLOADS"):
        open_dataset(data_of("nyuv2", tmp_path), "train")


def test_the_folders_of_the_toolkit_of_2022_are_found_without_a_root(tmp_path):
    next(tree for tree in TREES if tree.build.__name__ == "nyuv2_2022").build(tmp_path / "dataset/NYUv2")
    assert len(open_dataset(DataConfig(name="nyuv2"), "test")) == 1


def test_lists_of_all_kinds(tmp_path):
    for name in ("a.b", "c"):
        picture(tmp_path / f"JPEGImages/{name}.jpg")
        picture(tmp_path / f"SegmentationClass/{name}.png")
    lists = tmp_path / "ImageSets/Segmentation"
    for lines in (["a.b", "", "c"], ["JPEGImages/a.b.jpg SegmentationClass/a.b.png", "/x\\JPEGImages\\c.jpg"]):
        text(lists / "train.txt", lines)
        assert open_dataset(data_of("voc2012", tmp_path), "train").names == ["a.b", "c"]
    text(lists / "train.txt", ["c", "d"])
    with pytest.raises(
        MXNetSegError, match=r"train\.txt names 1 files that have no image in .*: d; .*; is the download"
    ):
        open_dataset(data_of("voc2012", tmp_path), "train")
    text(lists / "train.txt", ["c d"])
    with pytest.raises(MXNetSegError, match=r"no mask in .*SegmentationClass: d"):
        open_dataset(data_of("voc2012", tmp_path), "train")
    text(lists / "train.txt", [""])
    with pytest.raises(MXNetSegError, match="names no images"):
        open_dataset(data_of("voc2012", tmp_path), "train")


def test_broken_mat_and_text_masks_are_named(tmp_path):
    mat(tmp_path / "a.mat", {"T": columns([1])})
    with pytest.raises(MXNetSegError, match=r"a\.mat: no label values 'S' in it \(it holds T\)"):
        read_mask(tmp_path / "a.mat", "S")
    (tmp_path / "a.mat").write_bytes((tmp_path / "a.mat").read_bytes()[:-20])
    with pytest.raises(MXNetSegError, match=r"a\.mat: not a mask that can be read"):
        read_mask(tmp_path / "a.mat", "T")
    text(tmp_path / "b.txt", ["1 2", "3"])
    with pytest.raises(MXNetSegError, match=r"b\.txt: .*not rows of integers"):
        read_mask(tmp_path / "b.txt")


@pytest.fixture
def damaged(tmp_path):
    """Ten pairs with all that can be wrong."""
    for split in ("train", "val"):
        for index in range(5):
            picture(tmp_path / f"images/{split}/{split}{index}.png")
            grey(tmp_path / f"masks/{split}/{split}{index}.png", [0, 1, 255])
    grey(tmp_path / "masks/train/train1.png", [0, 77])
    save_png(tmp_path / "masks/train/train2.png", columns([0, 1])[:5])
    (tmp_path / "images/train/train3.png").write_bytes(b"no image")
    (tmp_path / "images/val/val0.png").write_bytes((tmp_path / "images/train/train0.png").read_bytes())
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        f"data: {{name: folder, root: '{tmp_path}', images: 'images/{{split}}', masks: 'masks/{{split}}', "
        "classes: [grass, path, pond]}\ntrain: {epochs: 1}\n"
    )
    return recipe


def test_check_goes_on_where_partners_are_missing(damaged, capsys, tmp_path):
    (tmp_path / "images/val/val0.png").rename(tmp_path / "images/val/new.png")
    assert main(["data", "check", "--config", str(damaged), "--split", "val", "--quiet"]) == 1
    out, err = capsys.readouterr()
    assert "val: 4 images" in out and "2 problems" in out
    assert "1 of 5 images have no mask" in err and "1 of 5 masks have no image" in err


@pytest.mark.parametrize("workers", ["0", "2"])
def test_check_tells_all_that_is_wrong(damaged, capsys, monkeypatch, workers):
    monkeypatch.setattr("mxnetseg.data.diagnosis.FEW", 2)
    args = ["data", "check", "--config", str(damaged), "--json", "found.json", "--quiet", "--workers", workers]
    assert main(args) == 1
    out, err = capsys.readouterr()
    for part in (
        r"label value 77 is neither a class nor ignored: 60 pixels in 1 masks",
        "train1.png",
        "train2.png is 12x10, but its mask",
        "train3.png: not an image",
        "1 image in both train and val",
    ):
        assert part in err
    assert "classes that never occur: pond" in out and "5 problems" not in out and "4 problems" in out
    assert "grass" in out and "(ignored)" in out
    report = json.loads(Path("found.json").read_text())
    assert report["splits"]["train"]["unknown"]["77"]["masks"] == 1
    assert report["splits"]["val"]["classes"]["path"]["images"] == 5
    assert report["splits"]["val"]["never"] == ["pond"] and len(report["problems"]) == 4


def test_check_without_a_split_and_with_foreign_masks(tmp_path, capsys):
    next(tree for tree in TREES if tree.build.__name__ == "camvid").build(tmp_path)
    for folder in ("test", "testannot"):
        (tmp_path / folder).rename(tmp_path / f"{folder}_away")
    assert main(["data", "check", "camvid", "--root", str(tmp_path), "--quiet"]) == 0
    assert "note: test left out: " in capsys.readouterr().out
    (tmp_path / "valannot").rename(tmp_path / "valannot_away")
    assert main(["data", "check", "camvid", "--root", str(tmp_path), "--quiet"]) == 1
    assert "no folder" in capsys.readouterr().err


def test_browse_draws_a_sheet(streets, capsys):
    assert main(["data", "browse", "streets", "--root", str(streets), "--out", "out/sheet.png", "--samples", "3"]) == 0
    sheet = read_image("out/sheet.png")
    assert sheet.shape[0] > 3 * 150 and sheet.shape[1] > 500 and len(np.unique(sheet.reshape(-1, 3), axis=0)) > 100
    assert main(["data", "browse", "streets", "--root", str(streets), "--out", "sheet.jpg"]) == 2
    assert "ends with .png" in capsys.readouterr().err
