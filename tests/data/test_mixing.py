"""Parts of one training image in another: images and labels together, the same whenever and wherever it is done."""

import pickle

import numpy as np
import pytest

from mxnetseg.config import DataConfig
from mxnetseg.config.schema import MixConfig
from mxnetseg.data import IGNORE, SampleStream, TrainLoader, TrainTransform, open_dataset
from mxnetseg.data.mixing import mix, mixing_of
from mxnetseg.errors import MXNetSegError


def pair(seed, classes):
    """An image that shows each label's class as its colour."""
    label = np.random.default_rng(seed).choice(np.array(classes, np.uint8), (30, 40))
    return np.repeat(label[..., None], 3, 2), label


@pytest.mark.parametrize("name", ["classmix", "cutmix"])
def test_image_and_label_move_together(name):
    onto, source = pair(0, [0, 1, 2]), pair(1, [10, 11, 12, 13, 14, IGNORE])
    shares = []
    for seed in range(200):
        image, label = mix(mixing_of(MixConfig(name=name), ()).mask, onto, source, np.random.default_rng(seed))
        assert (image == label[..., None]).all() and image.dtype == label.dtype == np.uint8
        taken = label >= 10
        assert (label[taken] == source[1][taken]).all() and (label[~taken] == onto[1][~taken]).all()
        shares.append(taken.mean())
        if name == "classmix":  # three of five classes, whole, and nothing that is to ignore
            chosen = np.unique(label[taken])
            assert len(chosen) == 3 and IGNORE not in chosen and (taken == np.isin(source[1], chosen)).all()
        else:
            rows, columns = np.flatnonzero(taken.any(1)), np.flatnonzero(taken.any(0))
            assert taken[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
    assert np.mean(shares) == pytest.approx(0.5, abs=0.08)
    assert np.std(shares) > (0.2 if name == "cutmix" else 0)


def test_classes_that_are_named():
    onto, source = pair(0, [0, 1]), pair(1, [0, 1, 2, 3, IGNORE])
    config = MixConfig(name="copypaste", classes=["Pole", "traffic-sign"])
    mixing = mixing_of(config, ["road", "sky", "pole", "traffic_sign"])
    image, label = mix(pickle.loads(pickle.dumps(mixing)).mask, onto, source, np.random.default_rng(0))
    taken = np.isin(source[1], (2, 3))
    np.testing.assert_array_equal(label, np.where(taken, source[1], onto[1]))
    assert (image == label[..., None]).all() and mixing.chance == 0.5


def test_a_class_that_is_not_there():
    config = MixConfig(name="copypaste", classes=["pols"])
    with pytest.raises(MXNetSegError, match="data.augment.mix.classes: unknown class 'pols'; did you mean pole"):
        mixing_of(config, ["road", "pole"])
    with pytest.raises(ValueError, match="the names of the classes that copypaste takes"):
        MixConfig(name="copypaste")


def test_nothing_to_take_changes_nothing():
    onto, (image, label) = pair(0, [0, 1]), pair(1, [IGNORE])
    mixed = mix(mixing_of(MixConfig(), ()).mask, onto, (image, label), np.random.default_rng(0))
    assert (mixed[1] == onto[1]).all()


def test_it_depends_on_the_sample_alone(streets):
    """However many workers there are, and wherever a run goes on."""
    config = DataConfig(name="streets", root=str(streets), augment={"crop": 48, "mix": {"chance": 0.5}})
    dataset, stream = open_dataset(config, "train"), SampleStream(10, 5, seed=3)

    chosen = mixing_of(config.augment.mix, dataset.classes)

    def batches(workers, start, mixing=chosen):
        with TrainLoader(dataset, TrainTransform(config), stream, workers, start, mixing) as loader:
            return [next(loader) for _ in range(4 - start)]

    here, plain = batches(0, 0), batches(0, 0, None)
    for others in (batches(1, 0), batches(0, 2)):
        for ours, theirs in zip(here[-len(others) :], others):
            np.testing.assert_array_equal(ours.images, theirs.images)
            np.testing.assert_array_equal(ours.labels, theirs.labels)
    changed = [(a != b).any() for ours, theirs in zip(here, plain) for a, b in zip(ours.images, theirs.images)]
    assert 4 <= sum(changed) <= 16
