"""Decoded files that are kept: the same samples, made anew when the source changes, whole or not at all."""

import errno
import os

import numpy as np
import pytest

from mxnetseg.config import DataConfig
from mxnetseg.data import Cache, SampleStream, TrainLoader, TrainTransform, announce, open_dataset
from mxnetseg.errors import MXNetSegError
from mxnetseg.visual import save_png


@pytest.fixture
def dataset(own_folder):
    return open_dataset(DataConfig(**own_folder), "train")


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_the_same_bit_for_bit(own_folder, tmp_path, workers):
    data = DataConfig(**own_folder, augment=dict(crop=16, scale=(1.0, 1.0), photometric=True, blur=0.5))
    batches = []
    for cache in (None, Cache(tmp_path / "cache"), Cache(tmp_path / "cache")):
        dataset = open_dataset(data, "train")
        dataset.cache = cache
        with TrainLoader(dataset, TrainTransform(data), SampleStream(3, 2, seed=3), workers) as loader:
            batches.append([next(loader) for _ in range(4)])
    assert len(files(tmp_path / "cache")) == 6
    for plain, *cached in zip(*batches):
        for batch in cached:
            np.testing.assert_array_equal(plain.images, batch.images)
            np.testing.assert_array_equal(plain.labels, batch.labels)
            assert plain.names == batch.names


def test_the_second_time_nothing_is_decoded(dataset, tmp_path, monkeypatch):
    dataset.cache = Cache(tmp_path / "cache")
    first = dataset.load(1)
    monkeypatch.setattr("mxnetseg.data.dataset.read_image", None)
    monkeypatch.setattr("mxnetseg.data.dataset.read_mask", None)
    second = dataset.load(1)
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.label, second.label)
    assert not second.image.flags.writeable


def test_a_changed_file_is_noticed(dataset, tmp_path):
    dataset.cache = Cache(tmp_path / "cache")
    before = dataset.load(0).image
    save_png(dataset.image_paths[0], 255 - before)
    later = os.stat(dataset.image_paths[0]).st_mtime_ns + 1_000_000
    os.utime(dataset.image_paths[0], ns=(later, later))
    np.testing.assert_array_equal(dataset.load(0).image, 255 - before)


def test_other_classes_are_other_labels(own_folder, tmp_path):
    labels = []
    for label_map in (None, {0: 2, 1: 1, 2: 0}):
        dataset = open_dataset(DataConfig(**own_folder, label_map=label_map), "train")
        dataset.cache = Cache(tmp_path / "cache")
        labels.append(dataset.label(0))
    assert (labels[0] != labels[1]).any()
    np.testing.assert_array_equal(np.where(labels[0] < 3, 2 - labels[0].astype(int), 255), labels[1])


def test_a_damaged_file_is_made_anew(dataset, tmp_path, caplog):
    dataset.cache = Cache(tmp_path / "cache")
    whole = np.array(dataset.load(0).image)
    kept = dataset.cache.file(dataset.image_paths[0])
    for content in (b"", b"\x93NUMPY", kept.read_bytes()[:-1]):
        kept.unlink()
        kept.write_bytes(content)
        np.testing.assert_array_equal(dataset.load(0).image, whole)
    assert len(caplog.records) == 3 and "is damaged; it is made anew" in caplog.text


def test_a_full_disk_is_an_error_that_leaves_nothing(dataset, tmp_path, monkeypatch):
    dataset.cache = Cache(tmp_path / "cache")

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MXNetSegError, match="disk of .*cache is full; name another folder"):
        dataset.load(0)
    assert not files(tmp_path / "cache")


def test_mistakes(dataset, tmp_path):
    (tmp_path / "file").write_text("")
    dataset.cache = Cache(tmp_path / "file")
    with pytest.raises(MXNetSegError, match="can't write into .*file"):
        dataset.load(0)
    dataset.cache = Cache(tmp_path / "cache")
    dataset.image_paths[0] = tmp_path / "gone.png"
    with pytest.raises(MXNetSegError, match="gone.png: can't be read"):
        dataset.load(0)


def test_the_size_is_told_before(dataset, tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO")
    dataset.cache = Cache(tmp_path / "cache")
    announce(dataset.cache, dataset)
    assert "about 0.00 GB of decoded images" in caplog.text and len(files(tmp_path / "cache")) == 2
    needed = 2 * (20 * 30 * 4 + 2 * 128)  # one of the three is there
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("", (), {"free": needed}))
    announce(dataset.cache, dataset)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("", (), {"free": needed - 1}))
    with pytest.raises(MXNetSegError, match="Name a folder on another disk"):
        announce(dataset.cache, dataset)
