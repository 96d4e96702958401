"""data.classes, label_map, ignore and palette with data sets that have classes of their own."""

import re

import numpy as np
import pytest

from mxnetseg.cli import main
from mxnetseg.config import DataConfig, Recipe, as_recipe, load_recipe
from mxnetseg.data import IGNORE, get_spec, open_dataset
from mxnetseg.data.check import check
from mxnetseg.data.colours import palette_of
from mxnetseg.errors import MXNetSegError

from ..trees import grey, picture
from .made import CLASSES, FORMS, OF_FOLDERS, TABLE, label, save


def camvid(root, **keys):
    picture(root / "train/a.png")
    grey(root / "trainannot/a.png", [0, 1, 3, 4, 8, 9, 10, 11])
    return DataConfig(name="camvid", root=str(root), **keys)


def seen(data, split="train"):
    dataset = open_dataset(data, split)
    assert dataset.classes == list(get_spec(data).classes) and len(dataset.palette) == dataset.num_classes
    return dataset.classes, list(dict.fromkeys(dataset.load(0).label[0].tolist()))


def test_merged_by_name_the_others_stay(tmp_path):
    data = camvid(tmp_path, label_map={"car": "traffic", "bicyclist": "traffic", "pavement": "road"})
    classes, found = seen(data)
    assert classes == ["sky", "building", "pole", "road", "tree", "sign", "fence", "traffic", "pedestrian"]
    assert found == [0, 1, 3, 7, 8, IGNORE]
    spec = get_spec(data)
    own = get_spec(DataConfig(name="camvid"))
    assert spec.palette[7] == own.palette[own.classes.index("car")]


def test_left_out_by_name_and_by_value(tmp_path):
    for ignore in (["sky", "car"], [0, 8]):
        classes, found = seen(camvid(tmp_path, ignore=ignore))
        assert "sky" not in classes and "car" not in classes and len(classes) == 9
        assert found == [IGNORE, 0, 2, 3, 7, 8]


def test_an_ignored_value_may_become_a_class(tmp_path):
    classes, found = seen(camvid(tmp_path, label_map={11: "void"}))
    assert classes[-1] == "void" and found[-1] == 11


def test_classes_in_an_order_of_ones_own(tmp_path):
    keys = dict(
        classes=["thing", "flat", "sky"],
        label_map={**dict.fromkeys(["car", "pedestrian", "bicyclist"], "thing"), "road": "flat", "pavement": 1},
        ignore=["building", "pole", "tree", "sign", "fence"],
        palette=[(1, 2, 3), (4, 5, 6), (7, 8, 9)],
    )
    classes, found = seen(camvid(tmp_path, **keys))
    assert classes == ["thing", "flat", "sky"] and found == [2, IGNORE, 1, 0]
    assert get_spec(DataConfig(name="camvid", **keys)).palette == ((1, 2, 3), (4, 5, 6), (7, 8, 9))


def test_new_names_and_a_new_order(tmp_path):
    own = list(get_spec(DataConfig(name="camvid")).classes)
    assert seen(camvid(tmp_path, classes=own[::-1]))[1][:2] == [10, 9]
    german = [f"{name} (de)" for name in own]
    assert seen(camvid(tmp_path, classes=german)) == (german, [0, 1, 3, 4, 8, 9, 10, IGNORE])


@pytest.mark.parametrize(
    "keys, message",
    [
        (dict(classes=["road", "car"]), "no place for classes of camvid: sky, .*leave it out by data.ignore"),
        (dict(label_map={"carr": "x"}), "unknown class data.label_map names, of camvid 'carr'; did you mean car"),
        (dict(ignore=["skyy"]), "did you mean sky"),
        (dict(label_map={"car": 11}), "11 points beyond the 11 classes"),
        (dict(label_map={"car": "vehicel"}, classes=["vehicle"]), "'vehicel', which data.classes hasn't.*vehicle"),
        (dict(label_map={"car": "a", 8: "b"}), r"8 \(8\) is in data.label_map twice"),
        (dict(label_map={"car": "a"}, ignore=[8]), "in data.ignore too"),
        (dict(palette=[(0, 0, 0)]), "1 colours, camvid 11 classes"),
    ],
)
def test_mistakes(tmp_path, keys, message):
    with pytest.raises(MXNetSegError, match=message):
        seen(camvid(tmp_path, **keys))


def test_both_layouts_of_a_data_set(tmp_path):
    """By name it does not matter whether masks hold ids or training ids; by value it is as they are."""
    names = {"car": "vehicle", "bus": "vehicle", "truck": "vehicle"}
    expected = ["road", "vehicle", "vehicle"]
    for kind, values in (("labelIds", [7, 26, 28]), ("labelTrainIds", [0, 13, 15])):
        root = tmp_path / kind
        picture(root / "leftImg8bit/train/ulm/ulm_1_leftImg8bit.png")
        grey(root / f"gtFine/train/ulm/ulm_1_gtFine_{kind}.png", values)
        for label_map in (names, {values[1]: "vehicle", values[2]: "vehicle"}):
            data = DataConfig(name="cityscapes", root=str(root), label_map=label_map)
            dataset = open_dataset(data, "train")
            found = dict.fromkeys(dataset.load(0).label[0].tolist())
            assert [dataset.classes[i] for i in found] == expected[:2]


def test_colours_are_merged_and_left_out_by_name(tmp_path):
    FORMS["colours"].build(tmp_path)
    keys = {**FORMS["colours"].keys, "classes": ["plant", "ground"], "label_map": {"leaf": "plant", "fruit": "plant"}}
    dataset = open_dataset(DataConfig(name="folder", root=str(tmp_path), **keys), "train")
    expected = np.array([1, 0, 0, *[IGNORE] * 253])[label("a 1")]
    np.testing.assert_array_equal(dataset.load(0).label, expected)
    assert dataset.palette[1].tolist() == list(TABLE["ground"])


@pytest.mark.parametrize(
    "keys, message",
    [
        (dict(colors={"a": [1, 2, 3], "b": [1, 2, 3]}), "a and b have one colour"),
        (dict(colors={}), "data.colors is empty"),
        (dict(colors=TABLE, ignore=[255]), "255 is a number, but the masks hold colours"),
        (dict(colors=TABLE, classes=[*CLASSES, "void", "sky"]), "data.colors has no colour for 'sky'"),
        (dict(classes=CLASSES, label_map={"leaf": "leaf"}), "'leaf' is no label value"),
        (dict(classes=CLASSES, ignore=["leaf"]), "'leaf' is no label value"),
        (dict(classes=CLASSES, label_map={1: "leav"}), "'leav' is not among data.classes"),
        (dict(classes=CLASSES, images="{folder}/x"), "braces that are not {split}"),
    ],
)
def test_mistakes_in_a_folder(tmp_path, keys, message):
    (tmp_path / "images").mkdir()
    with pytest.raises(MXNetSegError, match=message):
        open_dataset(DataConfig(**{**dict(name="folder", root=str(tmp_path), images="i", masks="m"), **keys}), "train")


def test_names_for_label_values(tmp_path):
    FORMS["folders"].build(tmp_path)
    keys = dict(FORMS["folders"].keys, classes=["other", "fruit"], label_map={0: "other", 1: "other", 2: "fruit"})
    found = open_dataset(DataConfig(name="folder", root=str(tmp_path), **keys), "train").load(0).label
    np.testing.assert_array_equal(found, np.array([0, 0, 1, *[IGNORE] * 253])[label("a 1")])


def test_colours_that_have_no_name_are_listed_with_counts(tmp_path):
    FORMS["colours"].build(tmp_path)
    strange = np.zeros((10, 12, 3), np.uint8)
    strange[:2], strange[2:3] = (9, 9, 9), (200, 1, 2)
    save(tmp_path / "masks/train/b.png", strange)
    dataset = open_dataset(DataConfig(name="folder", root=str(tmp_path), **FORMS["colours"].keys), "train")
    with pytest.raises(
        MXNetSegError, match=r"b\.png: colours that.*: \[9, 9, 9\] \(24 .*\[200, 1, 2\] \(12 pix.*data.colors"
    ):
        dataset.load(dataset.names.index("b"))
    report = check(DataConfig(name="folder", root=str(tmp_path), **FORMS["colours"].keys), progress=False)
    assert re.search(
        r"train: colour \[9, 9, 9\] is neither.*: 24 pixels in 1 masks, .*b\.png", "\n".join(report["problems"])
    )
    assert report["splits"]["train"]["unknown"]["[200, 1, 2]"]["pixels"] == 12


@pytest.mark.parametrize("keys", [dict(images="train"), dict(lists="{split}.txt"), dict(colors=TABLE)])
def test_keys_of_a_folder_are_not_ignored_elsewhere(keys):
    with pytest.raises(MXNetSegError, match="has no effect where name is camvid, only with folder"):
        as_recipe({"data": {"name": "camvid", **keys}})


def test_a_record_keeps_what_a_recipe_says():
    """Keys of JSON are text."""
    data = DataConfig(name="camvid", label_map={8: "car", "sky": 0}, ignore=[3, "sign"])
    assert Recipe.model_validate_json(Recipe(data=data).model_dump_json()).data == data


@pytest.mark.parametrize("keys", [dict(ignore=[70000]), dict(label_map={-1: 0}), dict(ignore=[True])])
def test_what_is_no_label_value(keys):
    with pytest.raises(ValueError, match="neither a label value"):
        DataConfig(**keys)


def test_another_data_set_begins_without_the_keys_of_the_base(tmp_path):
    (tmp_path / "own.yaml").write_text(
        "data: {name: folder, images: i, masks: m, classes: [a], ignore: [1], root: x}\ntrain: {epochs: 1}\n"
    )
    (tmp_path / "camvid.yaml").write_text("_base_: own.yaml\ndata: {name: camvid, label_map: {car: traffic}}\n")
    data = load_recipe(tmp_path / "camvid.yaml").data
    assert data == DataConfig(name="camvid", label_map={"car": "traffic"}, root="x")


def test_what_data_show_says(tmp_path, capsys):
    path = tmp_path / "r.yaml"
    path.write_text(
        "data: {images: 'i/{split}', masks: 'm/{split}', colors: {road: [128, 64, 128], void: [0, 0, 0]}, "
        "ignore: [void]}\n"
    )
    assert main(["data", "show", "--config", str(path)]) == 0
    out = capsys.readouterr().out
    assert "[128, 64, 128]" in out and "#804080" in out and "ignored colours: [0, 0, 0]" in out
    path.write_text("data: {name: camvid, label_map: {car: traffic, bicyclist: traffic}}\n")
    assert main(["data", "show", "--config", str(path)]) == 0
    assert "traffic" in capsys.readouterr().out


def test_numbers_of_colours_that_differ_from_file_to_file(tmp_path):
    FORMS["colours in palettes"].build(tmp_path)
    keys = dict(OF_FOLDERS, classes=["a", "b", "c", "d"])  # 0 to 3 would all be classes
    report = check(DataConfig(name="folder", root=str(tmp_path), **keys), progress=False)
    found = [finding for finding in report["findings"] if finding["kind"] == "palettes_differ"]
    assert found and "data.colors" in found[0]["remedy"] and ".png and [" in found[0]["what"]
    assert palette_of(tmp_path / "images/train/b.png") == palette_of(tmp_path / "none") == []
