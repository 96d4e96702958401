"""Every trap is found, named, and stops what would be spoilt by it; what is right is left alone."""

import io
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from mxnetseg.cli import main
from mxnetseg.config import DataConfig, LossConfig, as_recipe
from mxnetseg.data import DatasetSpec, get_spec, open_dataset
from mxnetseg.data import diagnosis as looked_at
from mxnetseg.data.check import check
from mxnetseg.data.diagnosis import diagnose, overlap
from mxnetseg.data.diagnosis.gate import examine, weights_of
from mxnetseg.data.diagnosis.overlap import file_findings
from mxnetseg.errors import MXNetSegError
from mxnetseg.scoring import check_scored
from mxnetseg.shipped import CAMVID

from .trees import TREES, grey, picture

COLOURS = {"ground": (0, 0, 0), "leaf": (0, 128, 0)}
KEYS = dict(name="folder", images="images/{split}", masks="masks/{split}", classes=["ground", "leaf", "fruit"])


def build(values, splits=("train", "val"), count=3):
    """`count` pairs a split in own/, whose masks hold `values`."""
    for split in splits:
        for index in range(count):
            picture(Path(f"own/images/{split}/{split}{index}.png"))
            grey(Path(f"own/masks/{split}/{split}{index}.png"), values)


def data_of(**keys):
    return DataConfig(**{**KEYS, "root": "own", **keys})


def diagnosis(data, loss=None, **how):
    sets = [open_dataset(data, split) for split in (data.train_split, data.val_split)]
    return diagnose(data, sets, weights=weights_of(loss), **{"validating": True, **how})


def copy(source, target):
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


def leak(image):
    """What `image` makes of a training image is a validation image, too."""
    build([0, 1, 2])
    image(Path("own/images/train/train0.png"), Path("own/images/val/val0.png"))


def reencoded(source, target):
    Image.open(source).save(target, compress_level=0)
    assert source.read_bytes() != target.read_bytes()


def mirrored(source, target):
    with Image.open(source) as picture:
        ImageOps.mirror(picture).save(target)


def jpeg(source, target):
    smooth = np.linspace(0, 255, 64 * 64).reshape(64, 64).astype(np.uint8)
    scene = np.stack([smooth, smooth.T, smooth], 2)
    Image.fromarray(scene).save(source)
    Image.fromarray(scene).save(target.with_suffix(".jpg"), quality=60)
    target.unlink()
    for mask in ("train/train0", "val/val0"):
        Image.fromarray(np.resize(np.array([0, 1, 2], np.uint8), (64, 64))).save(f"own/masks/{mask}.png")


def colours(*values):
    build([0])
    for mask in Path("own/masks").rglob("*.png"):
        Image.fromarray(np.resize(np.array(values, np.uint8), (10, 12, 3))).save(mask)


def shared_mask():
    build([0, 1, 2])
    lines = [f"images/train/{name}.png masks/train/train0.png\n" for name in ("train0", "train1")]
    Path("own/train.txt").write_text("".join(lines))
    Path("own/val.txt").write_text("images/val/val0.png")


def one_mask(change):
    build([0, 1, 2])
    change(Path("own/images/train/train1.png"), Path("own/masks/train/train1.png"))


def grey_copy(image, mask):
    picture = Image.open(image).convert("L")
    picture.save(image)
    picture.save(mask)


def photograph(image, mask, orientation):
    picture = Image.open(image)
    image.unlink()
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.save(image.with_suffix(".jpg"), exif=exif)


def linked(image, mask):
    mask.unlink()
    mask.hardlink_to(image) if hasattr(mask, "hardlink_to") else image.link_to(mask)


def rare():
    """Masks in which a tenth of a percent is of other classes."""
    build([0, 1, 2], count=2)
    for split in ("train", "val"):
        for index in range(2):
            big = np.zeros((40, 50), np.uint8)
            big[0, :2] = 1, 2
            picture(Path(f"own/images/{split}/{split}{index}.png"), big.shape)
            Image.fromarray(big).save(f"own/masks/{split}/{split}{index}.png")


# the trap, the recipe's keys, (kind, grave), and what the message says
TRAPS = {
    "zero and 255": (lambda: build([0, 255]), {"classes": ["ground", "leaf"]}, ("zero_and_255", True),
                     r"train: .* only 0 and 255 .*50.0 %.*mIoU is 100.*label_map: {0: 0, 255: 1}\?"),
    "zero and 255, neither ignored": (lambda: build([0, 255]), {"classes": ["ground", "leaf"], "ignore": []},
                                      ("unknown_value", True), r"value 255 .*train0.png.*label_map: {0: 0, 255: 1}\?"),
    "grey levels": (lambda: build([0, 128, 255]), {"ignore": []}, ("unknown_value", True),
                    r"value 128 .*label_map: {0: 0, 128: 1, 255: 2}\?"),
    "one class": (lambda: build([0]), {}, ("one_class", True),
                  r"train: ground is the only class.*3 masks.*hold 0 \(100.0 %\).*data.label_map"),
    "nothing labelled": (lambda: build([255]), {}, ("nothing_labelled", True),
                         r"no pixel of any class .*train0.png.*255 \(100.0 %\).*another data set's"),
    "a class that is not trained": (lambda: build([0, 1]), {}, ("never_trained", False),
                                    r"train: classes that never occur: fruit; the network can't learn"),
    "one too high, without 0": (lambda: build([1, 2, 3]), {}, ("shifted", True),
                                r"value 3 .*1 to 3, one too high: say data.label_map: {1: 0, 2: 1, 3: 2}"),
    "ADE20K's zero": (lambda: build([0, 1, 2, 3]), {}, ("shifted", True),
                      r"value 3 .*0 to 3.*0 means unlabelled.*{1: 0, 2: 1, 3: 2} and data.ignore: \[0, 255\]"),
    "no 0": (lambda: build([1, 2]), {}, ("shifted", False), r"run from 1 to 2, and ground, which is 0, never occurs"),
    "shifted twice": (lambda: build([0, 1, 255]), {"label_map": {1: 0, 2: 1, 3: 2}, "ignore": [0]}, ("shifted", True),
                      r"value 255 .*3 never occurs.*reduce_zero_label"),
    "nearly one class": (rare, {}, ("nearly_one_class", False), r"99.90 %.*class_weights"),
    "mostly ignored": (lambda: build([0, 1, 255, 255, 255, 255]), {}, ("mostly_ignored", False),
                       r"ignored \(label values 255"),
    "blank masks": (lambda: one_mask(lambda image, mask: grey(mask, [255])), {}, ("blank_masks", False),
                    r"train: 1 of 3 masks hold no pixel of any class: .*train1.png"),
    "the same files": (lambda: leak(copy), {}, ("two_splits", True),
                       r"1 image in both train and val.*train0.png and .*val0.png; remove"),
    "the same picture in another file": (lambda: leak(reencoded), {}, ("two_splits", True),
                                         r"1 image in both train and"),
    "a copy in JPEG": (lambda: leak(jpeg), {}, ("alike", False),
                       r"1 images of val look just like one of train: .*val0.jpg"),
    "a mirrored copy": (lambda: leak(mirrored), {}, ("alike", False),
                        r"1 images of val look just like one of train: .*val0.png"),
    "no {split}": (lambda: build([0, 1, 2]), {"images": "images/train", "masks": "masks/train"}, ("no_split", True),
                   r"data.images is images/train, without {split}.*images/{split}, or make lists with `.*data split`"),
    "a mask for two images": (shared_mask, {"lists": "{split}.txt"}, ("shared_mask", False),
                              r"train: 1 mask that several images share: .*train0.png \(2 images\)"),
    "no {split} in lists": (lambda: build([0, 1, 2]) or Path("own/all.txt").write_text("train0.png\ntrain1.png\n"),
                            {"images": "images/train", "masks": "masks/train", "lists": "all.txt"}, ("no_split", True),
                            r"data.lists is all.txt, without {split}"),
    "a colour without a name": (lambda: colours((0, 0, 0), (9, 8, 7)), {"classes": None, "colors": COLOURS},
                                ("unknown_value", True), r"colour \[9, 8, 7\] is neither .*train0.png.*data.colors"),
    "colours that nothing means": (lambda: colours((1, 1, 1)), {"classes": None, "colors": COLOURS},
                                   ("nothing_labelled", True), r"which hold \[1, 1, 1\] \(100.0 %\)"),
    "val is train": (lambda: build([0, 1, 2]), {"val_split": "train"}, ("val_is_train", True),
                     r"data.val_split train is data.train_split train.*another split"),
    "val is a part of train": (lambda: build([0, 1, 2]), {"train_split": "train+val"}, ("val_is_train", True),
                               r"val_split val is a part of data.train_split train\+val"),
    "a class and ignored": (lambda: build([0, 1, 2]), {"ignore": [0, 255]}, ("class_and_ignored", True),
                            r"a class and ignored: 0 \(ground\); take"),
    "mean on 0..1": (lambda: build([0, 1, 2]), {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)},
                     ("mean_std", True), r"for pixels from 0 to 1, but these are from 0 to 255 .*multiply both"),
    "no mean": (lambda: build([0, 1, 2]), {"mean": (0, 0, 0), "std": (1, 1, 1)}, ("mean_std", False), r"multiply both"),
    "a mask that is the image": (lambda: one_mask(grey_copy), {}, ("mask_is_image", True),
                                 r"masks/train/train1.png: the mask is the image itself .*data.mask_suffix"),
    "a mask that is linked to the image": (lambda: one_mask(linked), {}, ("mask_is_image", True), r"the image itself"),
    "another size": (lambda: one_mask(lambda image, mask: grey(mask, [0]) or picture(image, (8, 8))), {},
                     ("sizes", True), r"train1.png is 8x8, but its mask .*train1.png is 12x10"),
    "width and height swapped": (lambda: one_mask(lambda image, mask: picture(image, (12, 10))), {},
                                 ("sizes_swapped", True), r"is 10x12, but its mask .*turn one of the two by 90"),
    "a photograph that is turned": (lambda: one_mask(lambda image, mask: photograph(image, mask, 6)), {},
                                    ("sizes_swapped", True), r"is 10x12, but its mask .*set data.exif: raw"),
    "a photograph on its head": (lambda: one_mask(lambda image, mask: photograph(image, mask, 3)), {},
                                 ("turned", False), r"train: 1 image turned .*train1.jpg; .*data.exif: raw"),
    "a broken file": (lambda: one_mask(lambda image, mask: image.write_bytes(b"no")), {}, ("unreadable", True),
                      r"train1.png: not"),
    "a picture for a mask": (lambda: one_mask(lambda image, mask: Image.open(image).convert("L").save(mask)), {},
                             ("unknown_value", True), r"such values: a picture instead of a mask"),
}  # fmt: skip


@pytest.mark.parametrize("trap", TRAPS)
def test_a_trap_is_found(trap):
    make, keys, (kind, grave), message = TRAPS[trap]
    make()
    data = data_of(**keys)
    for every in (False, True):
        found = [f for f in diagnosis(data, every=every).findings if re.search(message, str(f))]
        assert [(f.kind, f.grave) for f in found[:1]] == [(kind, grave)]
    report = check(data, progress=False)
    listed = [text for text in report["problems" if grave else "notes"] if re.search(message, text)]
    assert listed or kind == "val_is_train" and data.train_split != data.val_split  # which `train --no-val` may do
    if grave:
        sets = [open_dataset(data, split) for split in (data.train_split, data.val_split)]
        with pytest.raises(MXNetSegError, match=message) as caught:
            examine(data, sets, validating=True)
        assert "--force" in str(caught.value)
        examine(data, sets, validating=True, force=True)


def test_what_is_right_has_no_findings():
    build([0, 1, 2, 255])
    assert diagnosis(data_of(), every=True).findings == diagnosis(data_of()).findings == []
    assert diagnosis(data_of(classes=["no", "yes"], label_map={0: 0, 1: 1, 2: 1})).findings == []


@pytest.mark.parametrize("tree", TREES, ids=lambda tree: tree.build.__name__)
def test_known_sets_are_not_stopped(tree, tmp_path):
    tree.build(tmp_path)
    first, *_, last = tree.splits
    found = diagnosis(DataConfig(name=tree.name, root=str(tmp_path), train_split=first, val_split=last))
    assert found.grave == []


def test_binary_masks_with_a_label_map():
    build([0, 255])
    data = data_of(classes=["ground", "leaf"], label_map={0: 0, 255: 1})
    assert get_spec(data).ignore == () and diagnosis(data).findings == []
    build([0, 1, 2])
    assert "neither a class nor ignored" in str(diagnosis(data).grave[0])


def test_val_may_lack_classes_and_may_be_broken():
    build([0, 1, 2], ("train",))
    build([0], ("val",))
    assert [(f.kind, f.grave) for f in diagnosis(data_of()).findings] == [("one_class", False), ("never", False)]
    Path("own/masks/val/val2.png").write_bytes(b"no")
    assert diagnosis(data_of()).grave[0].files == ("own/masks/val/val2.png",)


def test_a_leak_of_a_small_share_may_be_an_accident(monkeypatch):
    monkeypatch.setattr(overlap, "FEW", 0.1)
    build([0, 1, 2], count=10)
    copy("own/images/train/train0.png", "own/images/val/val0.png")
    [found] = diagnosis(data_of()).findings
    assert (found.kind, found.grave, found.share) == ("two_splits", False, 0.1)
    copy("own/images/train/train1.png", "own/images/val/val1.png")
    assert diagnosis(data_of()).grave[0].share == 0.2
    assert [f.kind for f in diagnosis(data_of(), every=True).grave] == ["two_splits"]


def test_blank_tiles_of_16_bits_are_no_leak():
    build([0, 1, 2])
    for path in ("own/images/train/train0.png", "own/images/val/val0.png"):
        Image.fromarray(np.full((8, 8), 300, np.uint16)).save(path)
    data = data_of(range=(0, 4095))
    assert not list(file_findings([open_dataset(data, split) for split in ("train", "val")]))


def test_blank_tiles_are_no_leak():
    build([0, 1, 2])
    for split in ("train", "val"):
        Image.fromarray(np.zeros((10, 12, 3), np.uint8)).save(f"own/images/{split}/{split}0.png")
    assert diagnosis(data_of()).findings == diagnosis(data_of(), every=True).findings == []


def test_few_files_are_read_of_many(monkeypatch):
    monkeypatch.setattr(looked_at, "FILES", 8)
    build([0, 1, 2], count=20)
    for split in ("train", "val"):  # a name that both have comes first
        copy(f"own/images/{split}/{split}0.png", f"own/images/{split}/x.png")
        grey(Path(f"own/masks/{split}/x.png"), [0, 1])
    reencoded(Path("own/images/train/x.png"), Path("own/images/val/x.png"))
    found = diagnosis(data_of())
    assert found.looked == "8 of 21 images in train, 8 of 21 images in val"
    assert [f.kind for f in found.grave] == ["two_splits"]
    with pytest.raises(MXNetSegError, match="8 of 21 images in train, 8 of 21 images in val looked at"):
        found.stop("")


def test_a_rare_class_is_looked_for(monkeypatch):
    """Ninety-nine blank masks in a hundred are no mistake, and a hundred are one."""
    monkeypatch.setattr(looked_at, "FILES", 4)
    build([0], count=30)
    grey(Path("own/masks/train/train7.png"), [0, 1])
    data = data_of(classes=["ground", "defect"])
    found = diagnosis(data)
    assert not found.grave and 4 <= found.tallies["train"].looked <= 30
    grey(Path("own/masks/train/train7.png"), [0])
    assert [f.kind for f in diagnosis(data).grave] == ["one_class"]


def test_weights_of_what_is_there():
    build([0, 1])
    none = LossConfig(class_weights=[0, 0, 1])
    [found] = diagnosis(data_of(), none).grave
    assert found.kind == "weights_zero" and "ground, leaf; 3 masks looked at" in str(found)
    assert not diagnosis(data_of(), LossConfig(class_weights=[0, 1, 1])).grave
    assert weights_of(LossConfig.model_validate([dict(class_weights=[0, 0, 1]), dict(name="dice")])) is None
    assert weights_of(LossConfig.model_validate([dict(class_weights=[0, 2]), dict(class_weights=[1, 0])])) == [1, 2]


@pytest.mark.parametrize(
    "keys, message",
    [
        (dict(classes=["a", "b", " a"]), "'a' more than once"),
        (dict(classes=["a", ""]), "an empty name"),
        (dict(label_map={-1: 0, 0: 1}), "is neither a label value"),
        (dict(ignore=[65536]), "is neither a label value"),
    ],
)
def test_names_and_values_that_can_not_be(keys, message):
    with pytest.raises(MXNetSegError, match=message):
        get_spec(as_recipe({"data": {**KEYS, **keys}}).data)


def test_names_in_python():
    facts = dict(name="x", title="x", palette=((0, 0, 0),) * 2, images="i", masks="m")
    with pytest.raises(MXNetSegError, match="'a' more than once"):
        DatasetSpec(classes=("a", "a"), **facts)
    with pytest.raises(MXNetSegError, match="65536 is none"):
        DatasetSpec(classes=("a", "b"), ignore=(65536,), **facts)


def test_large_files_of_one_size_are_told_apart(tmp_path):
    """By what is between their ends as well."""
    build([0, 1, 2], count=1)
    data = data_of()
    sets = [open_dataset(data, split) for split in ("train", "val")]
    content = bytearray(np.random.RandomState(0).bytes(100_000))
    buffer = io.BytesIO()
    Image.open("own/images/train/train0.png").save(buffer, "PNG")
    whole = buffer.getvalue() + bytes(content)  # what follows a picture is not read
    sets[0].image_paths[0].write_bytes(whole)
    sets[1].image_paths[0].write_bytes(whole)
    assert len(list(file_findings(sets))) == 1
    content[50_000] ^= 1
    sets[1].image_paths[0].write_bytes(buffer.getvalue() + bytes(content))
    assert list(file_findings(sets)) == []


def test_train_and_dry_run_stop(capsys):
    from mxnetseg import train

    build([0, 255])
    recipe = "data: {name: folder, root: own, images: 'images/{split}', masks: 'masks/{split}', classes: [a, b]}\n"
    Path("r.yaml").write_text(recipe + "model: {name: fcn, backbone: mobilenet_v2_0_25}\ntrain: {epochs: 1}\n")
    assert main(["train", "--config", "r.yaml", "--ctx", "cpu"]) == 2
    err = capsys.readouterr().err
    assert "the data would spoil the result (3 images in train, 3 images in val looked at)" in err
    assert "did you mean data.label_map: {0: 0, 255: 1}?" in err and "--force" in err and not Path("runs").exists()
    assert main(["train", "--config", "r.yaml", "--ctx", "cpu", "--dry-run"]) == 2
    with pytest.raises(MXNetSegError, match="only 0 and 255"):
        train("r.yaml", "cpu", overrides=["data.train_split=val"], validate=False)
    assert main(["data", "check", "--config", "r.yaml", "--quiet"]) == 1


def test_scores_of_what_was_trained_on_or_means_nothing():
    build([0, 1, 2])
    recipe = as_recipe({"data": {**KEYS, "root": "own"}})
    check_scored(recipe.data, open_dataset(recipe.data, "val"))
    copy("own/images/train/train0.png", "own/images/val/val0.png")
    with pytest.raises(MXNetSegError, match="1 image in both train and val"):
        check_scored(recipe.data, open_dataset(recipe.data, "val"))
    check_scored(recipe.data, open_dataset(recipe.data, "val"), learned=False)
    same = recipe.data.model_copy(update={"val_split": "train"})
    with pytest.raises(MXNetSegError, match="val_split train is data.train_split"):
        check_scored(same, open_dataset(same, "train"))
    check_scored(same, open_dataset(same, "train"), named=True)
    shutil.rmtree("own/images/train")
    check_scored(recipe.data, open_dataset(recipe.data, "val"))
    build([0, 255])
    with pytest.raises(MXNetSegError, match="only 0 and 255"):
        check_scored(recipe.data, open_dataset(recipe.data, "val"))


def test_eval_stops(tmp_path, capsys):
    next(tree for tree in TREES if tree.build.__name__ == "camvid").build(tmp_path)
    shutil.copy(tmp_path / "train/0001TP_train.png", tmp_path / "val/0001TP_val.png")
    line = ["eval", "--checkpoint", CAMVID, "--root", str(tmp_path), "--ctx", "cpu", "--workers", "0", "--quiet"]
    line += ["--base", "64"]  # of the network's least size
    assert main(line) == 2
    assert "1 image in both train and val" in capsys.readouterr().err
    assert main([*line, "--force"]) == 0
    captured = capsys.readouterr()
    assert "mIoU" in captured.out and "warning: 1 image in both train and val" in captured.err
