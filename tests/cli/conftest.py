"""Run commands in process, and a checkpoint for them to work with."""

import shutil
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest

from mxnetseg import create_model
from mxnetseg.cli import main
from mxnetseg.config import Recipe
from mxnetseg.data import get_spec
from mxnetseg.engine import checkpoint
from mxnetseg.engine.record import Feeding, NetworkSpec, Record

CPU = ["--ctx", "cpu"]


@pytest.fixture
def run(capsys):
    """Run a command; gives exit status, standard output, standard error."""

    def call(*argv):
        status = main([str(a) for a in argv])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


@pytest.fixture(scope="session")
def untrained(streets, tmp_path_factory):
    """A checkpoint of an untrained network for the drawn scenes, with a full record."""
    np.random.seed(0)
    net = create_model("bisenet", "mobilenet_v2_0_25", 10, width=16, spatial_width=8)
    net.initialize(mx.init.Xavier(magnitude=4))
    recipe = Recipe(model={"name": "bisenet"}, data={"name": "streets", "root": str(streets)})
    record = Record(
        model=NetworkSpec(**net.spec), feeding=Feeding.of(recipe.data, get_spec(recipe.data)), recipe=recipe
    )
    path = tmp_path_factory.mktemp("untrained") / "street.params"
    checkpoint.write(path, checkpoint.weights(net), record)
    return path


@pytest.fixture
def trained(untrained):
    """The same below weights/, where checkpoints are looked for."""
    path = Path("weights/bisenet/bisenet_x_streets_1_best.params")
    path.parent.mkdir(parents=True)
    shutil.copy(untrained, path)
    return path
