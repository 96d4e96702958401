"""Transforms of others: what they are given, what they may give, and that their random numbers are the sample's."""

import random
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mxnetseg.config import DataConfig
from mxnetseg.data import IGNORE, SampleStream, TrainLoader, TrainTransform, open_dataset, register_transform
from mxnetseg.data.foreign import TRANSFORMS
from mxnetseg.errors import MXNetSegError
from mxnetseg.plugins import PluginError

PLAIN = {"scale": (1, 1), "flip": 0, "crop": None}


@pytest.fixture(autouse=True)
def tables(monkeypatch):
    monkeypatch.setattr(TRANSFORMS, "_modules", dict(TRANSFORMS._modules))
    before = dict(TRANSFORMS)
    yield
    TRANSFORMS.clear()
    TRANSFORMS.update(before)


class Compose:
    """Called as albumentations' Compose is: keyword arguments alone, more than asked for, all of them given back."""

    def __init__(self, *steps):
        self.steps = steps

    def __call__(self, *args, force_apply=False, **data):
        assert not args and {"image", "mask"} <= set(data)
        for step in self.steps:
            data["image"], data["mask"] = step(data["image"], data["mask"])
        return data


def global_noise(image, mask):
    """Draws from the generators of Python and NumPy, as albumentations did before 1.4.19."""
    noise = np.random.randint(0, 50, image.shape) + random.randint(0, 50)
    return np.clip(image + noise, 0, 255).astype(np.uint8), mask


def darker(image, mask):
    image //= 2  # in place
    mask[:2] = IGNORE
    return image, mask


class Own:
    """With a generator of its own, as albumentations has since 1.4.19."""

    def __init__(self):
        self.rng = np.random.default_rng()

    def set_random_seed(self, seed):
        self.rng = np.random.default_rng(seed)

    def __call__(self, image, mask):
        return {"image": image + self.rng.integers(0, 2, image.shape, np.uint8), "mask": mask}


def with_rng(image, mask, rng):
    return {"image": np.roll(image, rng.integers(1, 20), 1), "mask": mask}


def data(root="", **augment):
    return DataConfig(name="streets", root=str(root), augment={**PLAIN, **augment})


def sample():
    rng = np.random.default_rng(3)
    return rng.integers(0, 200, (24, 32, 3), np.uint8), rng.integers(0, 10, (24, 32), np.uint8)


def seen(function, seed=0, **augment):
    image, mask = sample()
    return TrainTransform(data(**augment), function)(image, mask, np.random.default_rng(seed))


@pytest.mark.parametrize("function", [Compose(global_noise), Own(), with_rng])
def test_random_numbers_are_the_samples(function):
    state = random.getstate(), np.random.get_state()[1].tolist()
    first, _ = seen(function)
    random.random(), np.random.rand()
    np.testing.assert_array_equal(first, seen(function)[0])
    assert (first != seen(function, seed=1)[0]).any()
    random.setstate(state[0])
    np.random.seed(4)
    before = random.getstate(), np.random.get_state()[1].tolist()
    seen(function)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before  # others' draws are not disturbed


def test_what_it_is_given_is_its_own():
    image, mask = sample()
    image.flags.writeable = False  # as one that is mapped into memory
    kept = image.copy(), mask.copy()
    changed, label = TrainTransform(data(), Compose(darker))(image, mask, np.random.default_rng(0))
    np.testing.assert_array_equal(changed, kept[0] // 2)
    assert (label[:2] == IGNORE).all() and (label[2:] == kept[1][2:]).all()
    np.testing.assert_array_equal(image, kept[0])
    np.testing.assert_array_equal(mask, kept[1])


@pytest.mark.parametrize(
    "function, message",
    [
        (lambda image, mask: None, "has to give a mapping with image and mask; it gave a NoneType"),
        (lambda image, mask: {"image": image}, "has to give a mapping with image and mask; it gave one of image"),
        (
            lambda image, mask: {"image": image / 255, "mask": mask},
            r"the image has to stay \(H, W, 3\) uint8; it is an array \(24, 32, 3\) of float64. Leave normalising",
        ),
        (lambda image, mask: {"image": image[..., 0], "mask": mask}, r"it is an array \(24, 32\) of uint8"),
        (lambda image, mask: {"image": image[:0], "mask": mask[:0]}, r"it is an array \(0, 32, 3\) of uint8"),
        (lambda image, mask: {"image": image[1:], "mask": mask}, r"the mask has to stay .*, \(23, 32\); it is"),
        (lambda image, mask: {"image": image, "mask": mask.astype(int)}, r"it is an array \(24, 32\) of int64"),
        (
            lambda image, mask: {"image": image, "mask": mask + 5},
            "the mask holds 10, 11, 12, 13, 14, neither one of th",
        ),
        (lambda image, mask: 1 / 0, r"fails: ZeroDivisionError: division by zero \(.*test_foreign.py:\d+\)"),
        (lambda image: image, "fails: TypeError: .*unexpected keyword argument 'mask'"),
        (Compose(), None),
    ],
)
def test_what_it_gives_is_checked(function, message):
    if message is None:
        seen(function)
        return
    with pytest.raises(MXNetSegError, match=f"transform .*test_foreign.*<lambda>.*{message}"):
        seen(function)


def test_before_or_behind_the_crop():
    """Before it any size will do; behind it the result is padded to the crop, and must not be larger."""

    @register_transform("sized")
    def sized(height, width):
        return lambda image, mask: {
            "image": np.resize(image, (height, width, 3)),
            "mask": np.resize(mask, (height, width)),
        }

    def shape(before_crop, height, width):
        transforms = [{"name": "Sized", "options": {"height": height, "width": width}, "before_crop": before_crop}]
        return seen(None, crop=(16, 20), transforms=transforms)

    assert shape(True, 50, 60)[0].shape == (16, 20, 3)
    image, mask = shape(False, 10, 20)
    assert image.shape == (16, 20, 3) and (mask[10:] == IGNORE).all() and (mask[:10] != IGNORE).all()
    with pytest.raises(
        MXNetSegError, match=r"transform Sized: gave 17x20 pixels, more than the crop .* 16x20; with bef"
    ):
        shape(False, 17, 20)


@pytest.mark.parametrize(
    "transform, message",
    [
        ({"name": "smoky"}, "unknown transform 'smoky'; did you mean smoke"),
        (
            {"name": "smoke", "options": {"thick": 1}},
            r"transform smoke can't be built with the options {'thick': 1} \(TypeE",
        ),
        ({"name": "smoke", "options": {"color": 1}}, "transform smoke: is of type int, which can't be called"),
    ],
)
def test_a_transform_that_cant_be_had(transform, message):
    register_transform("smoke")(lambda color=0: color)
    with pytest.raises(MXNetSegError, match=message):
        TrainTransform(data(transforms=[transform]))


def test_workers_see_the_same_samples(streets, tmp_path, monkeypatch, capfd):
    """With a module that only this process's path leads to."""
    module = tmp_path / "site" / "theirs_noise.py"
    module.parent.mkdir()
    module.write_text(
        "import numpy as np\n"
        "def noise(image, mask):\n"
        "    return {'image': image // 2 + np.random.randint(0, 99, image.shape).astype(np.uint8), 'mask': mask}\n"
        "def sized(image, mask):\n    return {'image': image, 'mask': mask + 100}\n"
    )
    monkeypatch.syspath_prepend(str(module.parent))
    import theirs_noise

    config = data(streets, crop=(32, 32))
    dataset = open_dataset(config, "train")

    def batches(workers, function=theirs_noise.noise):
        stream = SampleStream(len(dataset), 2, seed=1)
        with TrainLoader(dataset, TrainTransform(config, function), stream, workers) as loader:
            return [next(loader) for _ in range(3)]

    alone, shared = batches(0), batches(1)
    for one, other in zip(alone, shared):
        np.testing.assert_array_equal(one.images, other.images)
    assert "imports MXNet" not in capfd.readouterr().err
    for workers in (0, 1):
        with pytest.raises(MXNetSegError, match=r"^sample train/\d+: transform theirs_noise.sized: the mask holds"):
            batches(workers, theirs_noise.sized)
    with pytest.raises(MXNetSegError, match="data workers can't unpickle .*lambda"):
        batches(1, lambda image, mask: {"image": image, "mask": mask})
    del sys.modules["theirs_noise"]
    module.rename(module.with_name("gone.py"))
    with pytest.raises(MXNetSegError, match="can't unpickle"):
        batches(1)


def test_a_worker_that_is_made_to_import_mxnet_is_told(streets, tmp_path, monkeypatch, capfd):
    site = tmp_path / "site"
    site.mkdir()
    (site / "mxnet.py").touch()  # the worker's; this process has its own already
    (site / "theirs_heavy.py").write_text(
        "import mxnet\ndef f(image, mask):\n    return dict(image=image, mask=mask)\n"
    )
    monkeypatch.syspath_prepend(str(site))
    import theirs_heavy

    config = data(streets, crop=(32, 32))
    dataset = open_dataset(config, "train")
    with TrainLoader(dataset, TrainTransform(config, theirs_heavy.f), SampleStream(len(dataset), 1, 0), 1) as loader:
        next(loader)
    err, deadline = "", time.monotonic() + 20
    while "warning: a plugin imports MXNet into data workers" not in err:  # another thread passes it on
        assert time.monotonic() < deadline
        time.sleep(0.02)
        err += capfd.readouterr().err


def test_a_name_that_is_taken():
    register_transform("mine")(lambda: None)
    register_transform("mine")(lambda: None)
    TRANSFORMS._modules["mine"] = "others"
    with pytest.raises(PluginError, match="transform mine: both the module others and the module tests.data.test_for"):
        register_transform("mine")(lambda: None)


@pytest.mark.slow
@pytest.mark.parametrize("version, python", [("1.3.1", (3, 8)), ("1.4.24", (3, 9))])
def test_albumentations_itself(tmp_path, streets, version, python):
    """Both ages of its random numbers, beside the NumPy and OpenCV that are here."""
    if sys.version_info < python:
        pytest.skip(f"albumentations {version} needs Python {python[0]}.{python[1]}")
    others = [
        "qudida",
        "scikit-learn<1.4",
        "scikit-image<0.22",
        "joblib<1.5",
        "threadpoolctl",
        "imageio",
        "lazy_loader",
    ]
    others += ["networkx<3.2", "tifffile<2023.8", "PyWavelets"] if version < "1.4" else []
    others = others if version < "1.4" else ["albucore==0.0.23", "stringzilla", "simsimd", "eval_type_backport"]
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--only-binary", ":all:"]
    command += ["--target", "site", f"albumentations=={version}", *others]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode and re.search(r"NewConnectionError|No matching distribution|ReadTimeout", done.stderr):
        pytest.skip(f"albumentations can't be installed: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    Path("site/theirs_album.py").write_text(
        "import albumentations as A\n"
        "pipeline = A.Compose([A.RandomBrightnessContrast(p=0.9), A.HorizontalFlip(p=0.5), A.GaussNoise(p=0.9)])\n"
    )
    script = """
import sys
from mxnetseg.config import DataConfig
from mxnetseg.data import SampleStream, TrainLoader, TrainTransform, open_dataset
from theirs_album import pipeline
config = DataConfig(name="streets", root=sys.argv[1], augment=dict(crop=(32, 32)))
dataset = open_dataset(config, "train")
seen = []
for workers, start in ((0, 0), (2, 0), (0, 1)):
    transform, stream = TrainTransform(config, pipeline), SampleStream(len(dataset), 2, 1)
    with TrainLoader(dataset, transform, stream, workers, start) as loader:
        seen.append([next(loader).images.tobytes() for _ in range(3)])
print(seen[0] == seen[1], seen[0][1:] == seen[2][:2], len(set(seen[0])))
"""
    root = str(Path(__file__).resolve().parents[2])
    environment = {"PYTHONPATH": f"site:{root}", "NO_ALBUMENTATIONS_UPDATE": "1", "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", script, str(streets)], env=environment, capture_output=True, text=True)
    assert done.stdout.split() == ["True", "True", "3"], done.stderr
