"""Data sets on disk: matching, labels, and what is said about broken files."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mxnetseg.config import DataConfig
from mxnetseg.data import IGNORE, get_spec, list_datasets, open_dataset
from mxnetseg.data.check import check
from mxnetseg.data.files import read_image
from mxnetseg.data.masks import read_mask
from mxnetseg.errors import MXNetSegError
from mxnetseg.visual import save_png


def opened(data, split="train", **kwargs):
    return open_dataset(DataConfig(**data), split, **kwargs)


def test_a_folder_of_ones_own(own_folder):
    dataset = opened(own_folder)
    assert dataset.names == ["p0", "p1", "p2"] and dataset.classes == ["grass", "path", "pond"]
    sample = dataset.load(1)
    root = Path(own_folder["root"])
    on_disk = np.asarray(Image.open(root / "images/train/p1.png"))
    np.testing.assert_array_equal(sample.image, on_disk)  # RGB, not BGR
    np.testing.assert_array_equal(sample.label, np.asarray(Image.open(root / "masks/train/p1_mask.png")))
    assert sample.name == "p1" and sample.label.dtype == np.uint8


def test_label_map_and_ignore(own_folder):
    dataset = opened(dict(own_folder, label_map={2: 0, 0: 1}, ignore=[1, 255], classes=["a", "b"]))
    raw = np.asarray(Image.open(Path(own_folder["root"]) / "masks/train/p0_mask.png"))
    expected = np.select([raw == 2, raw == 0], [0, 1], IGNORE)
    np.testing.assert_array_equal(dataset.load(0).label, expected)


def test_a_label_value_that_is_no_class_is_refused_with_file_value_and_remedy(own_folder):
    dataset = opened(dict(own_folder, classes=["grass", "path"]))
    with pytest.raises(MXNetSegError) as error:
        dataset.load(0)
    for part in ("p0_mask.png", "2 (", "pixels", "classes 0-1", "ignores 255", "Mend the mask"):
        assert part in str(error.value)


def test_missing_partners_name_both_files(own_folder):
    root = Path(own_folder["root"])
    (root / "masks/train/p1_mask.png").rename(root / "masks/train/q_mask.png")
    with pytest.raises(MXNetSegError, match=r"1 of 3 images have no mask: .*p1\.png; expected .*p1_mask\.png"):
        opened(own_folder)
    (root / "images/train/p1.png").unlink()
    with pytest.raises(MXNetSegError, match=r"masks have no image: .*q_mask\.png; expected .*images/train/q"):
        opened(own_folder)


def test_a_size_mismatch_names_both_files_and_sizes(own_folder):
    save_png(Path(own_folder["root"]) / "masks/train/p2_mask.png", np.zeros((20, 31), np.uint8))
    with pytest.raises(MXNetSegError, match=r"p2\.png is 30x20, but its mask .*p2_mask\.png is 31x20"):
        opened(own_folder).load(2)


@pytest.mark.parametrize("content", [b"", b"no image at all", b"\x89PNG\r\n\x1a\n damaged"])
def test_unreadable_files_are_named(own_folder, content):
    for folder, name in (("images", "p0.png"), ("masks", "p0_mask.png")):
        broken = Path(own_folder["root"]) / folder / "train" / name
        intact = broken.read_bytes()
        broken.write_bytes(content)
        with pytest.raises(MXNetSegError, match=rf"{name}: .*replace it"):
            opened(own_folder).load(0)
        broken.write_bytes(intact)


def test_a_truncated_mask_is_an_error_not_a_black_half(own_folder):
    path = Path(own_folder["root"]) / "masks/train/p0_mask.png"
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(MXNetSegError, match=r"p0_mask\.png"):
        opened(own_folder).load(0)


def test_a_truncated_image_is_an_error_not_a_grey_half(tmp_path):
    path = tmp_path / "photo.jpg"
    Image.fromarray(np.random.RandomState(0).randint(0, 256, (40, 40, 3)).astype(np.uint8)).save(path)
    assert read_image(path).shape == (40, 40, 3)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(MXNetSegError, match=r"photo\.jpg: .*replace it"):
        read_image(path)


def test_kinds_of_masks(tmp_path):
    values = np.array([[0, 1], [2, 255]], np.uint8)
    palette = Image.fromarray(values, "P")
    palette.putpalette(list(range(256)) * 3)
    palette.save(tmp_path / "palette.png")
    Image.fromarray(np.repeat(values[..., None], 3, 2)).save(tmp_path / "grey_rgb.png")
    for name in ("palette", "grey_rgb"):
        np.testing.assert_array_equal(read_mask(tmp_path / f"{name}.png"), values)
    Image.fromarray(np.arange(12, dtype=np.uint8).reshape(2, 2, 3)).save(tmp_path / "colours.png")
    with pytest.raises(MXNetSegError, match="the mask holds colours"):
        read_mask(tmp_path / "colours.png")


def test_kinds_of_images(tmp_path):
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_image(tmp_path / "grey.png"), np.repeat(grey[..., None], 3, 2))
    Image.fromarray(np.zeros((2, 3, 4), np.uint8)).save(tmp_path / "alpha.png")
    assert read_image(tmp_path / "alpha.png").shape == (2, 3, 3)
    with pytest.raises(MXNetSegError, match="can't be read"):
        read_image(tmp_path / "none.png")


@pytest.mark.parametrize("key", ["images", "masks", "classes"])
def test_a_folder_that_lacks_a_key(own_folder, key):
    del own_folder[key]
    with pytest.raises(MXNetSegError, match=rf"data\.{key} is not given"):
        opened(own_folder)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"palette": [(0, 0, 0)]}, "1 colours, data.classes 3 names"),
        ({"label_map": {0: 3}}, "beyond the 3 classes"),
        ({"root": "nowhere"}, "no folder nowhere; name the right one with --root"),
        ({"images": "pictures"}, "no folder .*pictures for split"),
        ({"masks": "labels"}, "no folder .*labels with their masks"),
        ({"name": "camvit"}, "unknown data set 'camvit'; did you mean camvid"),
    ],
)
def test_mistakes(own_folder, change, message):
    with pytest.raises(MXNetSegError, match=message):
        opened(dict(own_folder, **change))


def test_the_tables_are_whole():
    assert {"camvid", "cityscapes", "folder", "streets"} <= set(list_datasets())
    for name in list_datasets():
        if name == "folder":
            continue
        spec = get_spec(DataConfig(name=name.upper()))
        raw = spec.raw_values()
        assert sorted(set(raw.values())) == list(range(spec.num_classes))
        assert not set(raw) & set(spec.ignore)
        # ADE20K's own palette has one colour twice
        assert len(set(spec.palette)) >= spec.num_classes - (spec.name == "ade20k")


def test_two_splits_as_one(own_folder):
    train, val = opened(own_folder), opened(own_folder, "val")
    both = opened(own_folder, "train+val")
    assert len(both) == 6 and both.image_paths == train.image_paths + val.image_paths
    np.testing.assert_array_equal(both.load(4).label, val.load(1).label)
    np.testing.assert_array_equal(both.load(4).image, val.load(1).image)
    assert opened(own_folder, "val+train", labelled=False).load(0).label is None
    with pytest.raises(MXNetSegError, match=r"p0\.png is in more than one split of 'train\+train'"):
        opened(own_folder, "train+train")
    with pytest.raises(MXNetSegError, match="no folder .*test"):
        opened(own_folder, "train+test")
    report = check(DataConfig(**dict(own_folder, train_split="train+val")), progress=False)
    assert list(report["splits"]) == ["train", "val"]


def test_a_background_is_black_as_in_pascal_voc(own_folder):
    voc = get_spec(DataConfig(name="voc2012")).palette
    spec = get_spec(DataConfig(**dict(own_folder, classes=["Background", "path", "pond"])))
    assert spec.palette == voc[:3] and spec.palette[0] == (0, 0, 0)
    last = get_spec(DataConfig(**dict(own_folder, classes=["grass", "path", "_background_"]))).palette
    assert last == (*voc[1:3], (0, 0, 0)) and get_spec(DataConfig(**own_folder)).palette == voc[1:4]
    mine = [(9, 9, 9), (1, 2, 3), (4, 5, 6)]
    data = DataConfig(**dict(own_folder, classes=["background", "path", "pond"], palette=mine))
    assert get_spec(data).palette == tuple(mine)


def test_check_tells_what_opening_finds_before_it_reads(own_folder, caplog):
    with caplog.at_level("WARNING"):
        report = check(DataConfig(**dict(own_folder, val_split="test")))
    assert "no folder" in caplog.text and "the other files are read first" in caplog.text
    assert list(report["splits"]) == ["train"] and "no folder" in report["problems"][0]


def test_splits_whose_masks_differ_in_kind_are_not_one(tmp_path):
    for split, labels in (("train", "labelIds"), ("val", "labelTrainIds")):
        save_png(tmp_path / f"leftImg8bit/{split}/ulm/{split}_leftImg8bit.png", np.zeros((2, 2, 3), np.uint8))
        save_png(tmp_path / f"gtFine/{split}/ulm/{split}_gtFine_{labels}.png", np.full((2, 2), 7, np.uint8))
    data = dict(name="cityscapes", root=str(tmp_path))
    assert opened(data, "train").load(0).label[0, 0] == 0 and opened(data, "val").load(0).label[0, 0] == 7
    with pytest.raises(MXNetSegError, match="of 'train' and 'val' are of different kinds"):
        opened(data, "train+val")


def test_cityscapes_layout(tmp_path):
    image = tmp_path / "leftImg8bit/val/ulm/ulm_000000_000019_leftImg8bit.png"
    save_png(image, np.zeros((2, 4, 3), np.uint8))
    ids = np.array([[7, 8, 33, 0], [26, 11, 34, 3]], np.uint8)
    save_png(tmp_path / "gtFine/val/ulm/ulm_000000_000019_gtFine_labelIds.png", ids)
    save_png(tmp_path / "gtFine/val/ulm/ulm_000000_000019_gtFine_color.png", np.zeros((2, 4, 3), np.uint8))
    dataset = open_dataset(DataConfig(name="cityscapes", root=str(tmp_path)), "val")
    assert dataset.names == ["ulm/ulm_000000_000019"]
    np.testing.assert_array_equal(dataset.load(0).label, [[0, 1, 18, 255], [13, 2, 255, 255]])
    with pytest.raises(MXNetSegError, match="no public labels"):
        (tmp_path / "leftImg8bit/val").rename(tmp_path / "leftImg8bit/test")
        open_dataset(DataConfig(name="cityscapes", root=str(tmp_path)), "test")
    assert len(open_dataset(DataConfig(name="cityscapes", root=str(tmp_path)), "test", labelled=False)) == 1


def test_camvid_layout(tmp_path):
    save_png(tmp_path / "val" / "0016E5_07961.png", np.zeros((2, 2, 3), np.uint8))
    save_png(tmp_path / "valannot" / "0016E5_07961.png", np.array([[0, 10], [11, 3]], np.uint8))
    dataset = open_dataset(DataConfig(name="camvid", root=str(tmp_path)), "val")
    np.testing.assert_array_equal(dataset.load(0).label, [[0, 10], [IGNORE, 3]])
    with pytest.raises(MXNetSegError, match="no folder .*vall for split 'vall'.*did you mean val"):
        open_dataset(DataConfig(name="camvid", root=str(tmp_path)), "vall")


CAMVID = Path(__file__).resolve().parents[3] / "shared" / "data" / "camvid"


@pytest.mark.skipif(not CAMVID.is_dir(), reason="the real images are not here")
def test_the_real_images():
    for split, count in (("train", 367), ("val", 101)):
        dataset = open_dataset(DataConfig(name="camvid", root=str(CAMVID)), split)
        assert len(dataset) == count
        for index in (0, count // 2, count - 1):
            sample = dataset.load(index)
            assert sample.image.shape == (360, 480, 3) and sample.label.shape == (360, 480)
            assert set(np.unique(sample.label)) <= {*range(11), IGNORE}
