"""Training on CamVid gives the same network, bit for bit, whatever form its files are in."""

import numpy as np
import pytest

import mxnetseg
from mxnetseg.config import DataConfig
from mxnetseg.data import open_dataset
from mxnetseg.data.forms import recognise
from mxnetseg.engine import checkpoint

from .camvid import ANNOTATED, CAMVID, MAKERS, ORIGINAL, SPLITS

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not CAMVID.is_dir(), reason=f"CamVid is not here ({CAMVID})")]


def trained(root, keys, folder):
    """All arrays of the run's state, and the scores, after four steps."""
    recipe = {
        "model": {"name": "bisenet", "backbone": "mobilenet_v2_0_25", "options": {"width": 16, "spatial_width": 8}},
        "data": {"name": "folder", "root": str(root), "augment": {"crop": 96, "photometric": True}, **keys},
        "optimizer": {"name": "adam", "lr": 0.003},
        "train": {"iterations": 4, "batch_size": 4, "workers": 0, "static": False},
    }
    result = mxnetseg.train(recipe, "cpu", run_dir=folder, weights_dir=f"{folder}/weights")
    return checkpoint.read(f"{folder}/state.ckpt").arrays, checkpoint.read(result.last_path).arrays, result.scores


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return trained(CAMVID, ORIGINAL, str(tmp_path_factory.mktemp("original") / "run"))


@pytest.mark.parametrize("form", [*MAKERS, *ANNOTATED])
def test_the_same_state_from_every_form(tmp_path, no_drawing, original, form):
    if form == "coco":
        pytest.importorskip("pycocotools")
    keys = {**MAKERS, **ANNOTATED}[form](CAMVID, tmp_path / "data")
    data = DataConfig(name="folder", root=str(tmp_path / "data"), **keys)
    for split in SPLITS:
        meant = open_dataset(DataConfig(name="folder", root=str(CAMVID), **ORIGINAL), split)
        assert [path.name for path in open_dataset(data, split).image_paths] == [p.name for p in meant.image_paths]
    for ours, theirs in zip(trained(tmp_path / "data", keys, "run")[:2], original[:2]):
        assert ours.keys() == theirs.keys()
        for name, values in ours.items():
            np.testing.assert_array_equal(values, theirs[name], err_msg=name)


@pytest.mark.parametrize("form", MAKERS)
def test_the_form_is_recognised(tmp_path, form):
    keys = MAKERS[form](CAMVID, tmp_path)
    found = recognise(tmp_path)
    files = ("images", "masks", "lists", "image_suffix", "mask_suffix")
    assert found.keys == {key: value for key, value in keys.items() if key in files}
    assert dict(found.splits) == {"train": 367, "val": 101}
