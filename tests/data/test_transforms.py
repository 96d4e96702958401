"""Joint transforms: what they promise about sizes, labels and randomness."""

import cv2
import numpy as np
import pytest

from mxnetseg.config import DataConfig
from mxnetseg.data import IGNORE, TrainTransform, normalize
from mxnetseg.data.transforms import (
    blur,
    distort,
    fit_size,
    gamma,
    pad,
    photometric_distortion,
    resize,
    resize_long,
    rotate,
    scaled_size,
)


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
    np.testing.assert_array_equal(blur(image, np.random.default_rng(0), (0.01, 0.02)), image)
    assert blur(image, np.random.default_rng(0), (3, 4)).std() < out.std()


def test_training_blurs_as_much_as_the_recipe_says():
    image, label = sample()
    for sigma, changes in (((0.01, 0.02), False), ((1.0, 2.0), True)):
        augment = dict(scale=(1, 1), crop=None, flip=0, blur=1.0, blur_sigma=sigma)
        out, _ = TrainTransform(DataConfig(augment=augment))(image, label, np.random.default_rng(0))
        assert (out != image).any() == changes


@pytest.mark.parametrize("degrees", [-33.0, 7.5, 90.0, 180.0])
def test_rotation_equals_its_formula(degrees):
    """Every pixel shows what lies at its place turned back about the centre; beyond the image, `outside`."""
    _, label = sample(41, 61)
    smooth = np.rint(100 + 50 * np.sin(np.arange(61) / 9)[None] + 40 * np.cos(np.arange(41) / 7)[:, None])
    y, x = np.mgrid[:41, :61] - np.array([20.0, 30.0]).reshape(2, 1, 1)
    angle = np.deg2rad(degrees)
    back_x, back_y = np.cos(angle) * x - np.sin(angle) * y + 30, np.sin(angle) * x + np.cos(angle) * y + 20
    near_x, near_y = np.rint(back_x).astype(int), np.rint(back_y).astype(int)
    inside = (near_x >= 0) & (near_x < 61) & (near_y >= 0) & (near_y < 41)
    expected = np.where(inside, label[near_y.clip(0, 40), near_x.clip(0, 60)], IGNORE)
    sure = (np.abs(back_x % 1 - 0.5) > 0.05) & (np.abs(back_y % 1 - 0.5) > 0.05)  # OpenCV counts in 32nds
    np.testing.assert_array_equal(rotate(label, degrees, IGNORE)[sure], expected[sure])
    image = rotate(np.repeat(smooth[..., None], 3, 2).astype(np.uint8), degrees, (1, 2, 3))
    within = (back_x > 1) & (back_x < 59) & (back_y > 1) & (back_y < 39)
    analytic = 100 + 50 * np.sin(back_x / 9) + 40 * np.cos(back_y / 7)
    assert np.abs(image[within] - analytic[within][:, None]).max() < 1.6
    beyond = (back_x < -1) | (back_x > 61) | (back_y < -1) | (back_y > 41)
    assert (image[beyond] == (1, 2, 3)).all()


def test_rotation_in_training():
    image, label = sample()
    for seed in range(5):
        turned, labels = transform(rotate=10)(image, label, np.random.default_rng(seed))
        kept = labels != IGNORE
        assert kept.mean() > 0.7
        assert np.isin(labels[kept], label).all()
        corner = turned[labels == IGNORE][:1].astype(int)  # may lie on the edge, a mixture
        assert np.abs(corner - np.round(DataConfig().mean)).sum() < 400
    assert len({transform(rotate=10)(image, label, np.random.default_rng(s))[1].tobytes() for s in range(9)}) == 9


def test_gamma():
    ramp = np.arange(256, dtype=np.uint8).reshape(1, 256, 1).repeat(3, 2)
    for exponent in (0.5, 1.0, 2.2):
        np.testing.assert_array_equal(gamma(ramp, exponent)[0, :, 0], np.rint(255 * (np.arange(256) / 255) ** exponent))
    level = np.full((1, 1, 3), 64, np.uint8)
    draws = [transform(gamma=(0.5, 2))(level, level[..., 0], np.random.default_rng(s))[0][0, 0, 0] for s in range(400)]
    exponents = np.log(np.array(draws) / 255) / np.log(64 / 255)
    assert 0.48 < exponents.min() < 0.55 and 1.9 < exponents.max() < 2.1
    assert np.mean(exponents < 1) == pytest.approx(0.5, abs=0.07)  # brighter as often as darker
    with pytest.raises(ValueError, match="gamma: in order, the lower end first"):
        transform(gamma=(2, 0.5))


def test_rotation_and_gamma_of_other_images():
    """Of any number of channels, and of floats."""
    image, _ = sample()
    floats = np.concatenate([image, image[..., :2]], 2).astype(np.float32)
    turned = rotate(floats, 20, [1.0, 2.0, 3.0, 4.0, 5.0])
    assert turned.shape == floats.shape and turned.dtype == np.float32 and (turned[0, 0] == [1, 2, 3, 4, 5]).all()
    assert np.abs(turned[10:30, 20:40, :3] - rotate(image, 20, (1, 2, 3))[10:30, 20:40]).max() <= 0.51
    assert rotate(floats[..., :1], 20, [7.0]).shape == (40, 60, 1)
    np.testing.assert_allclose(gamma(floats, 0.5), 255 * (floats / 255) ** 0.5, rtol=1e-5)
    np.testing.assert_array_equal(gamma(floats[..., :1].astype(np.uint8), 2.0), gamma(image, 2.0)[..., :1])


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


@pytest.mark.parametrize(
    "size, sides, expected",
    [
        ((512, 683), (2048, 512), (512, 683)),  # ADE20K: the short side decides
        ((256, 2000), (2048, 512), (262, 2048)),  # until the long one does
        ((1024, 2048), (2049, 1025), (1025, 2049)),
        ((683, 512), (512, 2048), (683, 512)),
        ((300, 400), (1024, 256), (256, 341)),
    ],
)
def test_the_size_that_fits(size, sides, expected):
    assert fit_size(*size, sides) == expected


@pytest.mark.parametrize("seed", range(20))
def test_the_ratio_range_multiplies_both_sides(seed):
    """mmsegmentation: the sides times the ratio, cut to whole pixels; then the ratio kept, rounded half up."""
    rng = np.random.RandomState(seed)
    height, width, scale = rng.randint(50, 3000), rng.randint(50, 3000), rng.uniform(0.5, 2)
    long, short = int(2048 * scale), int(512 * scale)
    factor = min(long / max(height, width), short / min(height, width))
    got = scaled_size(height, width, scale, fit=(2048, 512))
    assert got == (int(height * factor + 0.5), int(width * factor + 0.5))
    assert max(got) <= long and min(got) <= short and (max(got) == long or min(got) == short)


def test_fit_in_training():
    image, label = sample(40, 60)
    data = DataConfig(fit=(200, 80), augment={"scale": (1.5, 1.5), "crop": None, "flip": 0})
    assert TrainTransform(data)(image, label, np.random.default_rng(0))[0].shape == (120, 180, 3)


@pytest.mark.parametrize("most", [0.55, 0.75, 0.9])
def test_no_class_takes_more_of_a_crop_than_allowed_if_it_can_be_helped(most):
    label = np.zeros((60, 60), np.uint8)
    label[:, 40:] = 1
    label[:10] = IGNORE  # does not count
    image = np.zeros((60, 60, 3), np.uint8)
    over = []
    for seed in range(300):
        _, crop = transform(crop=20, cat_max_ratio=most)(image, label, np.random.default_rng(seed))
        shares = np.bincount(crop.ravel(), minlength=256)[:2]
        over.append(shares.max() / shares.sum() >= most)
    # a crop is good when its left edge is in a band around 30; eleven places are seen, the last one unchecked
    edges = [left for left in range(41) if max(40 - left, left - 20) / 20 < most and 20 < left < 40]
    chance = (1 - len(edges) / 41) ** 10 * (1 - len(edges) / 41)
    assert abs(np.mean(over) - chance) < 4 * np.sqrt(chance * (1 - chance) / 300) + 0.01


def test_a_crop_of_one_class_only_is_taken_after_all():
    image, label = np.zeros((30, 30, 3), np.uint8), np.full((30, 30), 3, np.uint8)
    _, crop = transform(crop=20, cat_max_ratio=0.5)(image, label, np.random.default_rng(0))
    assert crop.shape == (20, 20) and (crop == 3).all()


class Script:
    """A generator that says what it is told to, in order."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def random(self):
        return 0.0 if self.answers.pop(0) else 1.0

    def uniform(self, low, high):
        answer = self.answers.pop(0)
        assert low <= answer <= high
        return answer

    def integers(self, low, high):
        answer = self.answers.pop(0)
        assert low <= answer < high
        return answer


def photometric_reference(image, brightness, contrast_first, contrast, saturation, hue):
    """mmsegmentation's PhotoMetricDistortion step by step, on floats."""

    def convert(array, alpha=1, beta=0):
        return np.clip(array.astype(np.float32) * np.float32(alpha) + np.float32(beta), 0, 255).astype(np.uint8)

    bgr = image[..., ::-1].copy()
    if brightness is not None:
        bgr = convert(bgr, beta=brightness)
    if contrast is not None and contrast_first:
        bgr = convert(bgr, alpha=contrast)
    if saturation is not None:
        hsv = cv2.cvtColor(bgr, cv2.COLOR_BGR2HSV)
        hsv[:, :, 1] = convert(hsv[:, :, 1], alpha=saturation)
        bgr = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
    if hue is not None:
        hsv = cv2.cvtColor(bgr, cv2.COLOR_BGR2HSV)
        hsv[:, :, 0] = (hsv[:, :, 0].astype(int) + hue) % 180
        bgr = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
    if contrast is not None and not contrast_first:
        bgr = convert(bgr, alpha=contrast)
    return bgr[..., ::-1]


@pytest.mark.parametrize("brightness", [None, -31.7, 20.3])
@pytest.mark.parametrize("contrast_first", [True, False])
@pytest.mark.parametrize("contrast", [None, 0.53, 1.47])
@pytest.mark.parametrize("saturation", [None, 0.61, 1.41])
@pytest.mark.parametrize("hue", [None, -18, 17])
def test_photometric_distortion_equals_mmsegmentations(brightness, contrast_first, contrast, saturation, hue):
    image = np.random.RandomState(0).randint(0, 256, (20, 30, 3)).astype(np.uint8)
    answers = []
    for value in (brightness, contrast, saturation, hue):
        answers += [value is not None] + ([value] if value is not None else [])
        if len(answers) == 1 + (brightness is not None):  # the mode is drawn after the brightness
            answers.append(contrast_first)
    script = Script(*answers)
    got = photometric_distortion(image, script)
    assert not script.answers
    expected = photometric_reference(image, brightness, contrast_first, contrast, saturation, hue)
    np.testing.assert_array_equal(got, expected)


def test_photometric_distortion_in_training_leaves_padding_alone():
    image, label = sample()
    for seed in range(5):
        got, out = transform(crop=(64, 96), photometric_distortion=True, flip=1.0)(
            image, label, np.random.default_rng(seed)
        )
        np.testing.assert_array_equal(out[:40, :60], label[:, ::-1])
        assert (got[40:] == np.round(DataConfig().mean)).all() and (out[:, 60:] == IGNORE).all()
