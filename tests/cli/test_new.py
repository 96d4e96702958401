"""`mxnetseg new`: what it writes is a recipe that `data check` and a dry run take, and nothing is written over."""

import re
import shlex
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mxnetseg.cli import main
from mxnetseg.config import load_recipe
from mxnetseg.engine.origin import read_origin, with_record
from mxnetseg.shipped import CAMVID, shipped
from tests.data.forms.made import COLOURS, FORMS
from tests.data.trees import grey, picture


def new(*arguments):
    return main(["new", *arguments, "--workers", "0", "--quiet"])


def check(recipe="project/recipe.yaml"):
    return main(["data", "check", "--config", recipe, "--workers", "0", "--quiet"])


def build(values, pairs=10):
    for index in range(pairs):
        picture(Path(f"own/images/{index}.png"))
        grey(Path(f"own/masks/{index}.png"), values)


RECOGNISED = [form for form, made in FORMS.items() if made.recognised]


@pytest.mark.parametrize("form", RECOGNISED)
def test_every_form_becomes_a_recipe(form, capsys):
    FORMS[form].build(Path("own"))
    assert new("project", "--data", "own") == 0
    out = capsys.readouterr().out
    assert "4 pairs in train, 2 pairs in val" in out
    lines = out.partition("next: ")[2].splitlines()
    assert [line.split("--config")[1].split() for line in lines] == [
        ["project/recipe.yaml"],
        ["project/recipe.yaml", "--dry-run"],
        ["project/recipe.yaml"],
    ]
    assert check() == 0
    assert len(load_recipe("project/recipe.yaml").data.colors or load_recipe("project/recipe.yaml").data.classes) > 2


@pytest.mark.slow
@pytest.mark.parametrize("form", RECOGNISED[::4])
def test_a_dry_run_takes_it(form, capsys):
    FORMS[form].build(Path("own folder"))
    assert new("my project", "--data", "own folder") == 0
    line = capsys.readouterr().out.partition("next: ")[2].splitlines()[1]
    words = shlex.split(line)
    assert main(["train", *words[words.index("--config") :]]) == 0


def test_a_folder_without_splits_is_split(capsys):
    build([0, 1])
    grey(Path("own/masks/3.png"), [0, 1, 2])
    grey(Path("own/masks/7.png"), [0, 1, 2])
    assert new("project", "--data", "own", "--val", "0.3") == 0
    out = capsys.readouterr().out
    assert "7 pairs in train, 3 pairs in val" in out and "no images to validate on" in out and "--by PATTERN" in out
    lists = {split: Path(f"project/{split}.txt").read_text().splitlines() for split in ("train", "val")}
    assert [len(lines) for lines in lists.values()] == [7, 3]
    for lines in lists.values():  # what is rare is in both
        assert any("masks/3.png" in line or "masks/7.png" in line for line in lines)
    assert check() == 0
    before = Path("project/train.txt").read_bytes()
    Path("project/recipe.yaml").unlink()
    assert new("project", "--data", "own") == 2
    assert "train.txt is there already" in capsys.readouterr().err
    assert Path("project/train.txt").read_bytes() == before and not Path("project/recipe.yaml").exists()


def test_images_that_are_not_8_bit_rgb(capsys):
    build([0, 1])
    for index in range(10):
        values = np.linspace(0, 4000 + index, 120).reshape(10, 12)
        Image.fromarray(values.astype(np.uint16)).save(f"own/images/{index}.png")
    assert new("project", "--data", "own") == 0
    assert "data.range: [0, 4095] is a guess" in capsys.readouterr().out
    assert load_recipe("project/recipe.yaml").data.range == (0, 4095) and check() == 0
    tifffile = pytest.importorskip("tifffile")
    for index in range(10):
        Path(f"own/images/{index}.png").unlink()
        bands = np.random.RandomState(index).rand(10, 12, 5).astype(np.float32)
        tifffile.imwrite(f"own/images/{index}.tif", bands, photometric="minisblack", planarconfig="contig")
    assert new("other", "--data", "own") == 0
    data = load_recipe("other/recipe.yaml").data
    assert data.channels == [0, 1, 2, 3, 4] and data.range == (0, 1) and data.mean == (127,) * 5
    assert check("other/recipe.yaml") == 0


def test_a_name_that_no_recipe_can_have(capsys):
    build([0, 1])
    assert new("project {a}", "--data", "own") == 2
    assert "a name with braces" in capsys.readouterr().err and not Path("project {a}").exists()


def test_a_limit_for_large_files(capsys):
    build([0, 1])
    assert new("project", "--data", "own", "--max-pixels", "100") == 2
    assert "looks like folders" in capsys.readouterr().err
    assert new("project", "--data", "own", "--max-pixels", str(10**8)) == 0
    assert load_recipe("project/recipe.yaml").data.max_pixels == 10**8


def test_what_belongs_together_stays_together():
    build([0, 1])
    for index in range(10):
        for folder in ("images", "masks"):
            Path(f"own/{folder}/{index}.png").rename(f"own/{folder}/film{index % 3}_{index}.png")
    assert new("project", "--data", "own", "--by", "film[0-9]") == 0
    lists = [Path(f"project/{split}.txt").read_text() for split in ("train", "val")]
    films = [set(re.findall("images/film([0-9])", text)) for text in lists]
    assert set.union(*films) == {"0", "1", "2"} and not films[0] & films[1]


def test_in_the_folder_itself_which_may_have_training_images_alone(capsys):
    build([0, 1])
    shutil.move("own/images", "own/photos")
    for folder in ("photos", "masks"):
        Path(f"own/{folder}").rename(f"own/{folder}_")
        Path(f"own/{folder}").mkdir()
        Path(f"own/{folder}_").rename(f"own/{folder}/train")
    assert new("own") == 0
    assert load_recipe("own/recipe.yaml").data.lists == "{split}.txt" and check("own/recipe.yaml") == 0
    assert new("own") == 2
    assert "recipe.yaml is there already" in capsys.readouterr().err


@pytest.mark.parametrize(
    "values, keys",
    [
        ([0, 255], dict(classes=["background", "foreground"], label_map={0: 0, 255: 1}, ignore=None)),
        ([0, 1, 255], dict(classes=["background", "foreground"], label_map=None, ignore=[255])),
        ([0, 1, 3, 255], dict(classes=["class_0", "class_1", "class_2", "class_3"], label_map=None, ignore=[255])),
        ([1, 2], dict(classes=["class_1", "class_2"], label_map={1: 0, 2: 1}, ignore=None)),
        ([0, 128, 255], dict(classes=["class_0", "class_128", "class_255"], label_map={0: 0, 128: 1, 255: 2})),
    ],
)
def test_what_values_stand_for(values, keys):
    build(values)
    assert new("project", "--data", "own") == 0
    data = load_recipe("project/recipe.yaml").data
    assert {key: getattr(data, key) for key in keys} == keys and check() == 0


def test_names_that_lie_beside(capsys):
    build([0, 1, 2])
    Path("own/classes.txt").write_text("yes\nno\n\nmaybe: so\n")
    assert new("project", "--data", "own") == 0
    assert load_recipe("project/recipe.yaml").data.classes == ["yes", "no", "maybe: so"]
    assert "class names are those of own/classes.txt" in capsys.readouterr().out


@pytest.mark.parametrize("table", ["leaf:{1},{2},{3}::", "{1} {2} {3} leaf", "{1},{2},{3},leaf"])
def test_names_of_colours(table, capsys):
    FORMS["colours"].build(Path("own"))
    Path("own/labelmap.txt").write_text("# label:color_rgb:parts:actions\n" + table.format("", *COLOURS[1]) + "\n")
    assert new("project", "--data", "own") == 0
    colors = load_recipe("project/recipe.yaml").data.colors
    assert colors["leaf"] == COLOURS[1] and len(colors) == 4
    assert "3 colours have made-up names" in capsys.readouterr().out


def test_classes_of_converted_annotations():
    build([0, 1, 255])
    Path("own/data.yaml").write_text("data: {classes: [a, b, c], palette: [[1, 1, 1], [2, 2, 2], [3, 3, 3]]}\n")
    assert new("project", "--data", "own") == 0
    data = load_recipe("project/recipe.yaml").data
    assert data.classes == ["a", "b", "c"] and data.palette[2] == (3, 3, 3)


def test_sizes_of_the_recipe_are_those_of_the_data():
    build([0, 1], 2)
    for index in range(2):
        picture(Path(f"own/images/{index}.png"), (300, 2048))
        Image.fromarray(np.resize(np.array([0, 1], np.uint8), (300, 2048))).save(f"own/masks/{index}.png")
    assert new("project", "--data", "own", "--val", "0.5") == 0
    data = load_recipe("project/recipe.yaml").data
    assert data.base == 1024 and data.augment.crop == (128, 384)


def test_what_can_not_be_a_recipe(capsys):
    build([0])
    assert new("project", "--data", "own") == 2
    assert "all masks hold 0" in capsys.readouterr().err
    assert new("project", "--data", "nowhere") == 2 and new("project", "--data", "own", "--val", "1") == 2
    err = capsys.readouterr().err
    assert "no folder nowhere" in err and "--val 1: a share" in err and not Path("project").exists()
    values = np.arange(0, 600, 5)
    for index in range(10):
        grey(Path(f"own/masks/{index}.png"), values[index * 12 :][:12] * 4, np.uint16)
    assert new("project", "--data", "own") == 2
    assert "too many for classes" in capsys.readouterr().err


def test_the_way_round_that_convert_wrote_down_stays():
    build(np.tile([[0, 1]], (24, 16)))
    Path("own/data.yaml").write_text("data: {classes: [ground, box], palette: [[0, 0, 0], [9, 9, 9]], exif: raw}\n")
    assert new("project", "--data", "own") == 0
    assert load_recipe("project/recipe.yaml").data.exif == "raw"


def test_bands_of_16_bits_become_channels_and_a_range(capsys):
    build(np.tile([[0, 1]], (24, 16)))
    for index, path in enumerate(sorted(Path("own/images").glob("*.png"))):
        path.unlink()
        cv2.imwrite(str(path.with_suffix(".tif")), np.full((24, 32, 4), 100 * index + 99, np.uint16))
    assert new("project", "--data", "own") == 0
    assert "is a guess from the values in a few images" in capsys.readouterr().out
    data = load_recipe("project/recipe.yaml").data
    assert (list(data.channels), list(data.range), len(data.mean)) == ([0, 1, 2, 3], [0, 1023], 4)  # as 10 bits have


def test_problems_are_told_and_a_failure_leaves_no_lists(capsys):
    build(np.tile([[0, 1]], (24, 16)))
    Path("own/images/3.png").write_bytes(b"no picture")
    assert new("project", "--data", "own") == 0
    assert "1 problem, which data check lists: own/images/3.png" in capsys.readouterr().out
    for path in Path("own/images").glob("*.png"):
        path.write_bytes(b"no picture")
    assert new("other", "--data", "own") == 2
    assert not Path("other").exists()


def test_from_a_checkpoint(capsys):
    """What docs/finetune.md writes by hand."""
    build([0, 1, 2])
    assert new("no", "--data", "own", "--from", "nowhere.params") == 2
    assert "--from nowhere.params: no such file" in capsys.readouterr().err and not Path("no").exists()
    assert new("project", "--data", "own", "--from", Path(CAMVID).name) == 0
    recipe = load_recipe("project/recipe.yaml")
    assert recipe.model.from_ == str(shipped(CAMVID)) and recipe.optimizer.backbone_lr == 0.1
    assert len(recipe.data.classes) == 3 and "mean" not in recipe.data.model_fields_set
    assert check() == 0
    found = read_origin(recipe)
    whole = with_record(recipe, found)
    assert (whole.model.name, whole.model.backbone) == ("swiftnet", "efficientnet_lite0")
    assert list(whole.data.mean) == list(found.record.feeding.mean)


@pytest.mark.slow
def test_a_dry_run_takes_a_recipe_from_a_checkpoint():
    build([0, 1, 2])
    assert new("project", "--data", "own", "--from", CAMVID) == 0
    assert main(["train", "--config", "project/recipe.yaml", "--dry-run", "--ctx", "cpu"]) == 0


def test_a_value_of_one_mask_alone_may_be_a_slip(capsys):
    build([0, 1, 2])
    mask = np.array(Image.open("own/masks/3.png").resize((400, 300), Image.NEAREST))
    for index in range(10):
        Image.fromarray(mask).save(f"own/masks/{index}.png")
        Image.new("RGB", (400, 300), (index, 9, 9)).save(f"own/images/{index}.png")
    Path("own/classes.txt").write_text("road\ngrass\nsky\n")
    assert new("clean", "--data", "own") == 0
    out = capsys.readouterr().out
    assert "alone" not in out and "class names are those of own/classes.txt" in out
    mask[:5, :5] = 7
    Image.fromarray(mask).save("own/masks/3.png")
    assert new("slip", "--data", "own") == 0
    out = capsys.readouterr().out
    told = "value 7 is in one mask of 10 alone (own/masks/3.png, 0.0021 % of all pixels): if it is a slip and no class"
    assert told in out
    assert "class names are made up (classes.txt has 3 lines, the masks hold 4 values): write yours" in out


@pytest.mark.parametrize("size, crop", [((120, 160), [96, 160]), ((64, 500), [64, 384]), ((360, 480), None)])
def test_a_checkpoint_s_crop_is_no_larger_than_the_images(size, crop):
    build([0, 1])
    for kind, mode in (("images", "RGB"), ("masks", "L")):
        for file in Path(f"own/{kind}").iterdir():
            Image.open(file).convert(mode).resize(size[::-1], Image.NEAREST).save(file)
    assert new("project", "--data", "own", "--from", str(shipped(CAMVID))) == 0
    recipe = load_recipe("project/recipe.yaml")
    found = with_record(recipe, read_origin(recipe)).data.augment.crop
    assert list(found) == (crop or [288, 384])


@pytest.mark.parametrize("damage, told", [(b"", "is empty"), (60, "cut short"), (b"no picture", "not a PNG")])
def test_a_damaged_mask_is_named_wherever_it_stands(damage, told, capsys):
    build([0, 1, 2])
    for index in (0, 4):
        file = Path(f"own/masks/{index}.png")
        whole = file.read_bytes()
        file.write_bytes(whole[:damage] if isinstance(damage, int) else damage)
        assert new("project", "--data", "own") == 2
        err = capsys.readouterr().err
        assert f"{file}: " in err and told in err and "looks like folders" in err and not Path("project").exists()
        file.write_bytes(whole)
