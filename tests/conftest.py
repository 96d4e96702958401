"""Shared fixtures. Nothing here, nor in any test, needs a network or a GPU."""

import logging
import os
import signal

os.environ["WANDB_MODE"] = "offline"
os.environ.setdefault("WANDB_SILENT", "true")
os.environ["OMP_NUM_THREADS"] = "1"  # several CPU contexts need it
os.environ.setdefault("MXNET_MKLDNN_CACHE_NUM", "100")  # hundreds of networks in one process

import numpy as np
import pytest

from mxnetseg import visual
from mxnetseg.data.streets import draw_streets
from mxnetseg.saving import write_file
from mxnetseg.visual import save_png

pytest_plugins = ["tests.memory", "tests.browser"]

for signum, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(signum) is signal.SIG_IGN:  # as in a shell's background jobs, and under nohup; tests send it
        signal.signal(signum, handler)

RECIPE = """
model: {name: bisenet, backbone: mobilenet_v2_0_25, options: {width: 16, spatial_width: 8}}
data:
  name: streets
  root: %s
  augment: {scale: [0.8, 1.2], crop: [64, 64], photometric: true}
optimizer: {name: adam, lr: 0.003, weight_decay: 0.0001}
schedule: {name: poly, warmup: 2}
train: {iterations: 6, batch_size: 4, workers: 0, val_every: 3, static: false}
"""


@pytest.fixture(scope="session")
def streets(tmp_path_factory):
    """A folder with a few drawn scenes of 64x96."""
    root = tmp_path_factory.mktemp("streets")
    draw_streets(root, {"train": 10, "val": 4}, (64, 96), seed=1, progress=False)
    return root


@pytest.fixture
def recipe_file(streets, tmp_path):
    """A recipe that trains the smallest network on the drawn scenes in seconds."""
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE % streets, encoding="utf-8")
    return path


@pytest.fixture
def own_folder(tmp_path):
    """The user's own images and masks: three pairs of 20x30, classes 0..2 and 255, and their recipe's data part."""
    rng = np.random.RandomState(0)
    for split in ("train", "val"):
        for index in range(3):
            save_png(tmp_path / "own" / "images" / split / f"p{index}.png", rng.randint(0, 256, (20, 30, 3), np.uint8))
            mask = rng.choice(np.array([0, 1, 2, 255], np.uint8), (20, 30))
            save_png(tmp_path / "own" / "masks" / split / f"p{index}_mask.png", mask)
    return dict(
        name="folder",
        root=str(tmp_path / "own"),
        images="images/{split}",
        masks="masks/{split}",
        mask_suffix="_mask",
        classes=["grass", "path", "pond"],
    )


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    """Whatever a test writes to runs/ or weights/ lands in its temporary folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def no_drawing(monkeypatch):
    """Curves take longer to draw than such small networks to train."""
    monkeypatch.setattr(visual, "plot_curves", lambda table, picture: write_file(picture, table.read_bytes()))


@pytest.fixture
def caplog(caplog, monkeypatch):
    """The toolkit's log as well: the command line, which other tests call, keeps it from the root logger."""
    monkeypatch.setattr(logging.getLogger("mxnetseg"), "propagate", True)
    return caplog
