"""What does not go together is told with what is there instead."""

import numpy as np
import pytest
from PIL import Image

from mxnetseg.config import DataConfig
from mxnetseg.data import open_dataset
from mxnetseg.data.forms import recognise
from mxnetseg.data.masks import read_mask
from mxnetseg.errors import MXNetSegError

from .made import CLASSES, FORMS, OF_FOLDERS, image, label, save


def opened(root, split="train", **keys):
    return open_dataset(DataConfig(**{**dict(OF_FOLDERS, name="folder", root=str(root)), **keys}), split)


def pairs(root, mask="masks/train/{}.png", picture="images/train/{}.png", names="abc"):
    for name in names:
        save(root / picture.format(name), image(name))
        save(root / mask.format(name), label(name))


@pytest.mark.parametrize(
    "mask, picture, message",
    [
        (
            "masks/train/{}_gt.png",
            "images/train/{}.png",
            r"3 masks end otherwise: did you mean data.mask_suffix: _gt\?",
        ),
        (
            "masks/train/{}_gt.png",
            "images/train/{}_rgb.png",
            r"did you mean data.image_suffix: _rgb and data.mask_suffix: _gt\?",
        ),
        ("masks/train/{}.png", "images/train/{}-img.jpg", r"data.image_suffix: -img\?"),
        ("masks/train/{}.jpg", "images/train/{}.png", r"masks/train/a.jpg: a mask can't be a JPEG.*make PNGs"),
        ("masks/train/{}.webp", "images/train/{}.png", r"expected .*a.png \(or .tif.*; .*/masks/train/a.webp found"),
        ("masks/train/m_{}.png", "images/train/i_{}.png", r"3 stems differ at their beginning \('i_', 'm_'\): rename"),
        ("masks/train/sub/{}.png", "images/train/{}.png", r"; .*/masks/train/sub/a.png found"),
        (
            "mask/train/{}.png",
            "images/train/{}.png",
            r"no folder .*masks/train with.*holds the folders images, mask; did",
        ),
        (
            "masks/train/{}.png",
            "image/train/{}.png",
            r"no folder .*images/train for.*image, masks; did you mean image\?",
        ),
        ("masks/train/{}.png", "images/train/{}.raw.npy", r"images/train holds no images \(.jpg.*, but 3 .npy"),
    ],
)
def test_masks_that_are_elsewhere(tmp_path, mask, picture, message):
    pairs(tmp_path, mask, picture)
    with pytest.raises(MXNetSegError, match=message):
        opened(tmp_path)


def test_another_split(tmp_path):
    pairs(tmp_path, "masks/valid/{}.png", "images/valid/{}.png")
    with pytest.raises(
        MXNetSegError, match=r"no folder .*images/val for split 'val'.*folders valid; did you mean valid"
    ):
        opened(tmp_path, "val")
    with pytest.raises(MXNetSegError, match=r"is to be a name without \*"):
        opened(tmp_path, images="images/{split}/*.png")
    (tmp_path / "training.txt").write_text("a\n")
    with pytest.raises(MXNetSegError, match=r"no file .*train\.txt, which names.*holds training.txt"):
        opened(tmp_path, lists="{split}.txt")


def test_two_files_of_one_stem(tmp_path):
    pairs(tmp_path)
    save(tmp_path / "images/train/a.jpg", image("a"))
    with pytest.raises(MXNetSegError, match=r"a.jpg and .*a.png have the same stem; .*data.image_suffix"):
        opened(tmp_path)
    assert opened(tmp_path, image_suffix=".png", mask_suffix=".png").image_paths[0].suffix == ".png"


def test_all_in_one_folder(tmp_path):
    """Both of one kind: endings tell them apart once they are named."""
    pairs(tmp_path, "all/{}.png", "all/{}.tif")
    keys = dict(images="all", masks="all")
    with pytest.raises(
        MXNetSegError, match=r"a.png and .*a.tif have the same stem; .*say the ending in data.image_suffix"
    ):
        opened(tmp_path, **keys)
    for named in (dict(image_suffix=".tif"), dict(mask_suffix=".png"), dict(image_suffix=".tif", mask_suffix=".png")):
        dataset = opened(tmp_path, **keys, **named)
        assert {p.suffix for p in dataset.image_paths} == {".tif"} and {p.suffix for p in dataset.masks()} == {".png"}
    pairs(tmp_path, "other/{}.png", "other/{}_image.png")
    dataset = opened(tmp_path, images="other", masks="other", image_suffix="_image")
    assert dataset.names == ["a", "b", "c"] and all("image" not in path.stem for path in dataset.masks())


@pytest.mark.parametrize(
    "line, message",
    [
        ("images/train/x.png\tmasks/train/x.png", r"no image in .*: images/train/x.png.*; paths are taken from "),
        ("images/train/a.png masks/train/x.png", r"names 1 files that have no mask in .*: masks/train/x.png"),
        ("images/train/a.png", "names 1 images without masks: .*put the mask behind its image, with a tab"),
        ("images/train/a.png masks/train/a.jpg", "line 2: .*a.jpg: a mask can't be a JPEG"),
        ("images/train/b.png masks/train/b.png", r"lines 1 and 2 name .*b.png; a list names every image once"),
        ("a b.png c.png", r"can be parted into an image and a mask in 2 ways; put a tab"),
    ],
)
def test_lines_that_name_no_pair(tmp_path, line, message):
    pairs(tmp_path)
    save(tmp_path / "masks/train/a.jpg", image("a"))
    for name in ("a.png", "a b.png", "b.png c.png", "c.png"):
        save(tmp_path / name, label("a"))
    (tmp_path / "a").mkdir()
    (tmp_path / "list.txt").write_text(f"images/train/b.png masks/train/b.png\n{line}\n")
    keys = dict(images=None, masks=None, lists="list.txt")
    if "ways" in message:  # a and "b.png c.png", "a b.png" and c.png
        save(tmp_path / "pictures/a.png", image("a"))
        save(tmp_path / "pictures/a b.png", image("a"))
        keys["images"] = "pictures"
    with pytest.raises(MXNetSegError, match=message):
        opened(tmp_path, **keys)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_lists_of_all_editors(tmp_path, encoding):
    pairs(tmp_path, names=["ä ö", "b"])
    for end in ("\n", "\r\n", "\r"):
        lines = ["# images, masks", "images/train/ä ö.png, masks/train/ä ö.png", "", "  ", "b.png;b.png  "]
        (tmp_path / "train.txt").write_bytes(end.join(lines).encode(encoding))
        assert opened(tmp_path, lists="{split}.txt").names == ["ä ö", "b"]
    (tmp_path / "train.txt").write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(MXNetSegError, match="not a list that can be read"):
        opened(tmp_path, lists="{split}.txt")


@pytest.mark.parametrize("name", ["a", "ä ö"])
def test_the_mask_that_a_line_names_counts(tmp_path, name):
    """Not the one that has the image's name, nor the image that has the mask's."""
    pairs(tmp_path, names=[name, "b"])
    save(tmp_path / f"better/{name}.png", label("b"))
    for line in (f"images/train/{name}.png better/{name}.png", f"images/train/{name}.png masks/train/b.png"):
        (tmp_path / "train.txt").write_text(line)
        dataset = opened(tmp_path, lists="{split}.txt")
        assert dataset.names == [name]
        np.testing.assert_array_equal(dataset.load(0).label, label("b"))


def test_absolute_paths_and_those_outside_the_root(tmp_path):
    pairs(tmp_path / "far")
    (tmp_path / "near").mkdir()
    (tmp_path / "near/train.txt").write_text(
        "../far/images/train/a.png ../far/masks/train/a.png\n"
        f"{tmp_path}/far/images/train/b.png\t../far/masks/train/b.png"
    )
    dataset = opened(tmp_path / "near", images=None, masks=None, lists="{split}.txt")
    assert dataset.names[0] == "far/images/train/a" and not dataset.names[1].startswith("/")
    np.testing.assert_array_equal(dataset.load(1).label, label("b"))


def test_a_list_of_images_is_no_list_of_masks(tmp_path):
    """A PNG may be a mask, but not its own."""
    pairs(tmp_path)
    (tmp_path / "train.txt").write_text("images/train/a.png\n")
    with pytest.raises(MXNetSegError, match="1 images without masks"):
        opened(tmp_path, images=None, masks=None, lists="{split}.txt")


def test_what_is_no_form_is_told_with_what_is_there(tmp_path):
    with pytest.raises(MXNetSegError, match="no folder .*none"):
        recognise(tmp_path / "none")
    with pytest.raises(MXNetSegError, match="has no form that is known.*found: no file"):
        recognise(tmp_path)
    save(tmp_path / "images/a.png", image("a"))
    (tmp_path / "labels.json").write_text("{}")
    with pytest.raises(MXNetSegError, match=r"found: 1 \.\w+, 1 \.\w+\. Outlines in .*data convert"):
        recognise(tmp_path)


def test_a_form_with_a_fault_is_told_with_the_fault(tmp_path):
    FORMS["folders"].build(tmp_path)
    (tmp_path / "masks/train/b.png").unlink()
    with pytest.raises(
        MXNetSegError, match=r"looks like folders \(images: images/{split}, masks: .*1 of 4 images have no"
    ):
        recognise(tmp_path)


def test_other_names_of_splits_and_no_split(tmp_path):
    for split in ("Training", "validation", "test"):
        pairs(tmp_path / "a", f"{split}/gt/{{}}_L.png", f"{split}/img/{{}}.png")
    found = recognise(tmp_path / "a")
    assert found.keys == dict(
        images="{split}/img", masks="{split}/gt", mask_suffix="_L", train_split="Training", val_split="validation"
    )
    assert dict(found.splits) == {"Training": 3, "validation": 3, "test": 3}
    pairs(tmp_path / "b", "terrain/annotation/{}.png", "terrain/image/{}.png")
    found = recognise(tmp_path / "b")
    assert found.keys == dict(images="terrain/image", masks="terrain/annotation") and not found.splits
    pairs(tmp_path / "c", "trainannot/{}.png", "train/{}.png")
    assert recognise(tmp_path / "c").keys["masks"] == "{split}annot"
    assert found.kind == "folders" and found.pairs == 3 and CLASSES


def test_accents_in_one_or_apart(tmp_path):
    apart, one = "a\u0308", "\xe4"  # as macOS may write them, and as others do
    save(tmp_path / f"images/train/{apart}.png", image("a"))
    save(tmp_path / f"masks/train/{one}.png", image("a")[..., 0])
    assert opened(tmp_path).names == [one]
    (tmp_path / "train.txt").write_text(f"images/train/{one}.png\tmasks/train/{apart}.png\n", encoding="utf-8")
    assert len(opened(tmp_path, images=None, masks=None, lists="{split}.txt")) == 1


def test_masks_of_several_channels_are_refused(tmp_path):
    """Of an array of (H, W, classes) no channel is transparency; of a grey PNG with two channels it is the second."""
    values = np.arange(120, dtype=np.uint8).reshape(10, 12) % 2
    for name, array in {"a.npy": np.eye(2, dtype=np.uint8)[values], "b.npy": values[None]}.items():
        np.save(tmp_path / name, array)
        with pytest.raises(MXNetSegError, match=rf"{name}: the mask has (2|12) channels"):
            read_mask(tmp_path / name)
    Image.fromarray(np.stack([values, 7 * values], 2), "LA").save(tmp_path / "c.png")
    assert (read_mask(tmp_path / "c.png") == values).all()


def test_images_alone_where_masks_should_be_beside_them(tmp_path):
    save(tmp_path / "train/a.png", image("a"))
    with pytest.raises(MXNetSegError, match="1 .png; images and masks lie in one folder: say what is a mask with"):
        opened(tmp_path, images="{split}", masks="{split}")
