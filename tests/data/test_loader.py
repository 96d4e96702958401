"""Loading: the same samples whatever the number of workers, seekable, and honest about what fails."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mxnetseg.config import DataConfig, RareClassConfig
from mxnetseg.data import (
    EvalLoader,
    RareClassStream,
    SampleStream,
    TrainLoader,
    TrainTransform,
    count_pixels,
    open_dataset,
)
from mxnetseg.data.sampling import Draw, class_chances, sample_rng
from mxnetseg.errors import MXNetSegError


@pytest.fixture
def data(streets):
    return DataConfig(name="streets", root=str(streets), augment=dict(crop=48, photometric=True, blur=0.5))


def batches(data, workers, count=4, start=0, seed=3):
    dataset = open_dataset(data, "train")
    stream = SampleStream(len(dataset), 4, seed)
    with TrainLoader(dataset, TrainTransform(data), stream, workers, start) as loader:
        return [next(loader) for _ in range(count)]


def assert_equal(left, right):
    for a, b in zip(left, right):
        assert a.names == b.names
        np.testing.assert_array_equal(a.images, b.images)
        np.testing.assert_array_equal(a.labels, b.labels)


@pytest.mark.parametrize("workers", [2, *(pytest.param(count, marks=pytest.mark.slow) for count in (1, 3))])
def test_workers_do_not_change_what_is_seen(data, workers):
    assert_equal(batches(data, 0), batches(data, workers))


def test_a_run_goes_on_anywhere(data):
    assert_equal(batches(data, 0, 6)[3:], batches(data, 0, 3, start=3))


def test_an_epoch_shows_every_sample_once_and_epochs_differ(data):
    stream = SampleStream(10, 4, 0)
    draws = [draw for number in range(10) for draw in stream.batch(number)]
    for epoch in range(4):
        part = draws[10 * epoch : 10 * epoch + 10]
        assert sorted(d.index for d in part) == list(range(10)) and {d.epoch for d in part} == {epoch}
    assert [d.index for d in draws[:10]] != [d.index for d in draws[10:20]]
    assert [d.index for d in draws[:10]] != [d.index for d in SampleStream(10, 10, 1).batch(0)]


def test_a_sample_looks_different_in_every_epoch_and_seed():
    first = sample_rng(0, Draw(0, 5)).random()
    others = [sample_rng(*args).random() for args in ((0, Draw(1, 5)), (0, Draw(0, 6)), (1, Draw(0, 5)))]
    assert first not in others and first == sample_rng(0, Draw(0, 5)).random()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_file_is_named(data, streets, tmp_path, workers):
    import shutil

    root = tmp_path / "copy"
    shutil.copytree(streets, root)
    (root / "labels/train/0003.png").write_bytes(b"broken")
    with pytest.raises(MXNetSegError, match=r"0003\.png"):
        batches(data.model_copy(update={"root": str(root)}), workers, 3)


def test_evaluation_sees_everything_once_in_order(data):
    dataset = open_dataset(data, "val")
    for workers in (0, 2):
        samples = list(EvalLoader(dataset, workers))
        assert [s.name for s in samples] == dataset.names
        np.testing.assert_array_equal(samples[2].image, dataset.load(2).image)


def test_training_needs_masks(data):
    dataset = open_dataset(data, "train", labelled=False)
    with pytest.raises(MXNetSegError, match="'train' of data set streets was opened without its masks"):
        TrainLoader(dataset, TrainTransform(data), SampleStream(len(dataset), 4, 0))
    with pytest.raises(MXNetSegError, match="without its masks"):
        count_pixels(dataset, progress=False)


def test_loading_never_imports_mxnet():
    script = (
        "import sys, mxnetseg.data, mxnetseg.metrics, mxnetseg.config, mxnetseg.visual; print('mxnet' in sys.modules)"
    )
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    done = subprocess.run([sys.executable, "-c", script], cwd=root, stdout=subprocess.PIPE, timeout=60)
    assert done.stdout.strip() == b"False"


def test_sizes_that_differ_need_a_crop(own_folder):
    from mxnetseg.visual import save_png

    save_png(Path(own_folder["root"]) / "images/train/p0.png", np.zeros((10, 10, 3), np.uint8))
    save_png(Path(own_folder["root"]) / "masks/train/p0_mask.png", np.zeros((10, 10), np.uint8))
    data = DataConfig(**own_folder, augment=dict(crop=None, scale=(1, 1)))
    with pytest.raises(MXNetSegError, match="differ in size.*set data.augment.crop"):
        batches(data, 0, 1)


PIXELS = np.array([[900, 0, 0], [500, 90, 0], [880, 10, 5], [400, 0, 0]])


def test_chances_of_classes_equal_their_definition():
    shares = PIXELS.sum(0) / PIXELS.sum()
    expected = np.exp((1 - shares) / 0.5) / np.exp((1 - shares) / 0.5).sum()
    np.testing.assert_allclose(class_chances(PIXELS, RareClassConfig(temperature=0.5)), expected, rtol=1e-12)
    sharp = class_chances(PIXELS, RareClassConfig(temperature=1e-6))  # no overflow
    np.testing.assert_array_equal(sharp, [0, 0, 1])
    few = class_chances(PIXELS, RareClassConfig(temperature=0.5, min_pixels=11))
    assert few[2] == 0 and few.sum() == pytest.approx(1)
    with pytest.raises(MXNetSegError, match="no image shows a class on 1000 pixels"):
        class_chances(PIXELS, RareClassConfig(min_pixels=1000))


def test_rare_classes_are_drawn_as_often_as_said():
    config = RareClassConfig(temperature=0.5, min_pixels=6)
    chances = class_chances(PIXELS, config)
    assert chances[2] == 0  # five pixels are too few
    draws = [d for number in range(1000) for d in RareClassStream(PIXELS, 4, 7, config).batch(number)]
    expected = chances[0] * np.full(4, 1 / 4) + chances[1] * np.array([0, 1 / 2, 1 / 2, 0])
    seen = np.bincount([d.index for d in draws], minlength=4) / len(draws)
    assert (np.abs(seen - expected) < 4 * np.sqrt(expected * (1 - expected) / len(draws))).all()
    assert len({d.epoch for d in draws}) == len(draws)  # the same image never looks the same
    assert RareClassStream(PIXELS, 4, 7, config).batch(500) == draws[2000:2004]  # anywhere, without replay
    assert RareClassStream(PIXELS, 4, 8, config).batch(500) != draws[2000:2004]


def test_counting_pixels(data):
    dataset = open_dataset(data, "train")
    pixels = count_pixels(dataset, progress=False)
    assert pixels.shape == (len(dataset), 10)
    label = dataset.load(3).label
    assert pixels[3].tolist() == [int((label == c).sum()) for c in range(10)]
