"""The drawn street scenes."""

import numpy as np
import pytest

from mxnetseg.config import DataConfig
from mxnetseg.data import IGNORE, open_dataset
from mxnetseg.data.streets import draw_scene, draw_streets


def scene(index, size=(96, 128)):
    return draw_scene(np.random.default_rng([0, index]), size)


def test_the_same_seed_draws_the_same_scene(tmp_path):
    for left, right in zip(scene(1), scene(1)):
        np.testing.assert_array_equal(left, right)
    assert (scene(1)[0] != scene(2)[0]).mean() > 0.5
    for folder in "ab":
        draw_streets(tmp_path / folder, {"train": 2, "val": 1}, (64, 64), seed=4, progress=False)
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*.png"))
    assert len(files) == 6 and len((tmp_path / "a" / "classes.txt").read_text().splitlines()) == 10
    assert all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files)
    train, val = ((tmp_path / "a" / "images" / s / "0000.png").read_bytes() for s in ("train", "val"))
    assert train != val


def test_all_classes_and_an_unlabelled_region():
    counts = sum(np.bincount(scene(i)[1].ravel(), minlength=256) for i in range(20))
    share = counts / counts.sum()
    assert (share[:10] > 0.005).all() and 0.02 < share[IGNORE] < 0.2
    assert not counts[10:IGNORE].any()
    for index in range(5):
        assert (scene(index)[1][-1] == IGNORE).any()  # the camera's own car


def test_things_hide_each_other_and_have_texture():
    """A class is seldom one whole piece of one colour."""
    image, label = scene(0)
    for kind in np.unique(label[label != IGNORE]):
        if (label == kind).sum() > 200:
            assert image[label == kind].std(axis=0).min() > 2


@pytest.mark.parametrize("size", [(64, 64), (97, 131), (128, 256)])
def test_any_size(size):
    image, label = scene(3, size)
    assert image.shape == (*size, 3) and label.shape == size
    assert image.dtype == label.dtype == np.uint8


def test_the_folder_is_the_data_set(streets):
    dataset = open_dataset(DataConfig(name="streets", root=str(streets)), "val")
    assert len(dataset) == 4 and dataset.load(0).image.shape == (64, 96, 3)
