"""Joint transforms: what they promise about sizes, labels and randomness."""

import cv2
import numpy as np
import pytest

from mxnetseg.config import DataConfig
from mxnetseg.data import IGNORE, TrainTransform, normalize
from mxnetseg.data.transforms import blur, distort, pad, resize, resize_long


def transform(base=None, **augment):
    plain = dict(scale=(1.0, 1.0), crop=None, flip=0.0)
    return TrainTransform(DataConfig(base=base, augment=dict(plain, **augment)))


def sample(height=40, width=60, seed=0):
    """An image whose red channel tells the label, so that what moves apart is seen."""
    rng = np.random.RandomState(seed)
    label = cv2.resize(rng.randint(0, 5, (5, 6)).astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    image = rng.randint(0, 256, (height, width, 3)).astype(np.uint8)
    image[..., 0] = label * 50
    return image, label


def test_nothing_asked_nothing_done():
    image, label = sample()
    out = transform()(image, label, np.random.default_rng(0))
    np.testing.assert_array_equal(out[0], image)
    np.testing.assert_array_equal(out[1], label)


@pytest.mark.parametrize("seed", range(5))
def test_image_and_label_move_together(seed):
    image, label = sample()
    out_image, out_label = transform(crop=(24, 32), flip=0.5)(image, label, np.random.default_rng(seed))
    assert out_image.shape == (24, 32, 3) and out_label.shape == (24, 32)
    np.testing.assert_array_equal(out_image[..., 0], out_label * 50)


def test_a_crop_beyond_the_image_is_padded_with_ignore_and_the_mean_colour():
    image, label = sample()
    out_image, out_label = transform(crop=(64, 96))(image, label, np.random.default_rng(0))
    np.testing.assert_array_equal(out_label[:40, :60], label)
    assert (out_label[40:] == IGNORE).all() and (out_label[:, 60:] == IGNORE).all()
    assert (out_image[40:] == np.round(DataConfig().mean)).all()


def test_scaling_labels_invents_no_class():
    image, _ = sample()
    label = np.where(np.arange(60)[None] % 2, 0, 4).astype(np.uint8).repeat(40, 0)
    for seed in range(5):
        _, out = transform(scale=(0.5, 2.0))(image, label, np.random.default_rng(seed))
        assert set(np.unique(out)) <= {0, 4}


def test_the_base_is_the_long_side():
    image, label = sample()
    out, _ = transform(base=120)(image, label, np.random.default_rng(0))
    assert out.shape == (80, 120, 3)
    assert resize_long(image, 30).shape == (20, 30, 3)


def test_flip():
    image, label = sample()
    out_image, out_label = transform(flip=1.0)(image, label, np.random.default_rng(0))
    np.testing.assert_array_equal(out_image, image[:, ::-1])
    np.testing.assert_array_equal(out_label, label[:, ::-1])


def test_every_place_of_the_crop_is_reached():
    image = np.zeros((6, 6, 3), np.uint8)
    label = np.arange(36, dtype=np.uint8).reshape(6, 6)
    corners = {int(transform(crop=4)(image, label, np.random.default_rng(s))[1][0, 0]) for s in range(200)}
    assert corners == {6 * y + x for y in range(3) for x in range(3)}


def test_colours_change_labels_do_not():
    image, label = sample()
    changed = 0
    for seed in range(8):
        out_image, out_label = transform(photometric=True, blur=0.5)(image, label, np.random.default_rng(seed))
        np.testing.assert_array_equal(out_label, label)
        assert out_image.dtype == np.uint8
        changed += (out_image != image).any()
    assert changed >= 6


def test_distortion_is_bounded_and_leaves_grey_grey():
    grey = np.full((4, 4, 3), 128, np.uint8)
    for seed in range(50):
        out = distort(grey, np.random.default_rng(seed)).astype(int)
        assert np.ptp(out.reshape(-1, 3), axis=1).max() <= 1  # no hue without saturation
        assert out.min() >= (128 - 32) * 0.5 - 1 and out.max() <= (128 + 32) * 1.5 + 1


def test_blur_keeps_the_mean():
    image, _ = sample()
    out = blur(image, np.random.default_rng(0))
    assert out.std() < image.std() and abs(out.mean() - image.mean()) < 2


def test_normalize():
    image, _ = sample()
    mean, std = (10.0, 20.0, 30.0), (2.0, 4.0, 8.0)
    expected = ((image[None].astype(np.float64) - mean) / std).transpose(0, 3, 1, 2)
    out = normalize(image[None], mean, std)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-4)


def test_pad_and_resize():
    array = np.ones((2, 3), np.uint8)
    assert pad(array, 2, 2, 7) is array
    np.testing.assert_array_equal(pad(array, 3, 4, 7), [[1, 1, 1, 7], [1, 1, 1, 7], [7, 7, 7, 7]])
    assert resize(array, 2, 3) is array
