"""Networks that go on from a checkpoint: as it was trained, for other classes, with nothing half-loaded."""

import logging
from pathlib import Path
from unittest import mock

import mxnet as mx
import numpy as np
import pytest

from mxnetseg import cli, create_model, registry
from mxnetseg.config import Recipe, as_recipe, load_recipe, override_recipe
from mxnetseg.data import get_spec
from mxnetseg.engine import checkpoint
from mxnetseg.engine.build import build_network
from mxnetseg.engine.origin import read_origin, take_over, with_record
from mxnetseg.engine.record import Feeding, NetworkSpec, Record
from mxnetseg.errors import MXNetSegError
from mxnetseg.shipped import CAMVID, shipped
from tests.small import batch

from . import tiny

CPU = [mx.cpu()]
OPTIONS = {"width": 6}
THERE = ["sky", "road", "car", "tree"]
MEAN = [127.0, 127.0, 127.0]


@pytest.fixture(scope="module", autouse=True)
def small_backbone():
    with mock.patch.dict(registry.BACKBONES):
        tiny.register()
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory, small_backbone):
    """A network with an auxiliary head for four classes, in a file with its record."""
    mx.random.seed(1)
    net = create_model("fcn", "tiny", 4, aux=True, **OPTIONS)
    net.initialize(mx.init.Normal(0.3))
    recipe = as_recipe({"model": {"name": "fcn"}, "data": {"augment": {"crop": [96, 64]}}, "eval": {"crop": 80}})
    feeding = Feeding(name="x", classes=THERE, mean=MEAN, base=200)
    path = tmp_path_factory.mktemp("trained") / "old.params"
    checkpoint.write(
        path, checkpoint.weights(net), Record(model=NetworkSpec(**net.spec), feeding=feeding, recipe=recipe)
    )
    return path


def started(recipe, classes):
    """The network that training begins with, and what came of the checkpoint."""
    recipe = recipe if isinstance(recipe, Recipe) else as_recipe(recipe)
    found = read_origin(recipe)
    recipe = with_record(recipe, found)
    net = build_network(recipe, len(classes), CPU)
    before = {name: array.asnumpy() for name, array in checkpoint.weights(net).items()}
    taken = take_over(net, found, classes, recipe.model.partial)
    return net, taken, before


def values(net):
    return {name: array.asnumpy() for name, array in checkpoint.weights(net).items()}


def test_what_it_was_trained_as_comes_from_its_record(trained):
    found = checkpoint.read(trained)
    recipe = with_record(as_recipe({"model": {"from": str(trained)}, "data": {"std": [1, 2, 3]}}), found)
    model = recipe.model
    assert (model.name, model.backbone, model.aux) == ("fcn", "tiny", True)
    assert model.options == OPTIONS and (model.output_stride, model.norm) == (16, "bn")
    assert recipe.data.mean == tuple(MEAN) and recipe.data.std == (1, 2, 3)
    assert recipe.data.base == 200 and recipe.data.augment.crop == (96, 64) and recipe.eval.crop == 80
    # what is set holds; of base and fit, which exclude each other, too
    given = {"data": {"fit": [90, 60], "augment": {"crop": None}}, "model": {"from": str(trained), "aux": False}}
    recipe = with_record(as_recipe(given), found)
    assert recipe.data.base is None and recipe.data.augment.crop is None and recipe.model.aux is False
    # and a recipe that was shown or saved is the same again
    assert with_record(as_recipe(recipe.model_dump(mode="json")), found) == recipe
    changed = with_record(override_recipe(as_recipe(given), ["train.val_every=7"]), found)
    assert changed.model == recipe.model and changed.train.val_every == 7


@pytest.mark.parametrize(
    "classes, reason",
    [
        (["cat", "dog", "bird"], "for 4 classes there, 3 here"),
        (["sky", "road", "car", "bird"], "its classes have other names"),
    ],
)
def test_other_classes_replace_the_classifiers_alone(trained, classes, reason):
    net, taken, before = started({"model": {"from": str(trained)}}, classes)
    replaced = [f"{head}.conv2.{kind}" for head in ("head", "aux_heads.0") for kind in KINDS]
    assert sorted(taken.left) == sorted(replaced) and all(reason in why for why in taken.left.values())
    arrays = checkpoint.read(trained).arrays
    for name, value in values(net).items():
        np.testing.assert_array_equal(value, before[name] if name in replaced else arrays[name], err_msg=name)
    assert (taken.arrays, taken.total) == (len(arrays) - 4, len(arrays))


KINDS = ("weight", "bias")


def test_the_same_classes_in_another_order_keep_their_rows(trained, caplog):
    same, _, _ = started({"model": {"from": str(trained)}}, THERE)
    with caplog.at_level(logging.INFO, "mxnetseg"):
        net, taken, _ = started({"model": {"from": str(trained)}}, THERE[::-1])
    assert not taken.left and "follow their names" in caplog.text
    x = batch(64, 64)
    for ours, theirs in zip(net.head_logits(x), same.head_logits(x)):  # the head's and both auxiliary ones'
        np.testing.assert_allclose(ours.asnumpy(), theirs.asnumpy()[:, ::-1], rtol=1e-5, atol=1e-6)


def test_contradictions_and_what_does_not_fit(trained, caplog, tmp_path):
    for part, message in [
        (
            {"name": "PSPNet"},
            "model.name is pspnet, but .*old.params, which model.from names, holds fcn; leave model.na",
        ),
        ({"backbone": "resnet18"}, "model.backbone is resnet18, but .* holds tiny; leave model.backbone out"),
        ({"norm": "gn"}, r"more than the classifiers does not fit fcn .*running_var \(not in the network"),
        ({"options": {"width": 8}}, r"other shape, 6x4x3x3 there, 8x4x3x3 here.*model.partial=true"),
    ]:
        with pytest.raises(MXNetSegError, match=message):
            started({"model": {"from": str(trained), **part}}, THERE)
    with caplog.at_level(logging.INFO, "mxnetseg"):
        net, taken, before = started({"model": {"from": str(trained), "norm": "gn", "partial": True}}, THERE)
    assert "model.norm is gn; " in caplog.text and "was trained with bn" in caplog.text
    assert set(taken.left.values()) == {"not in the network"} and all("running" in name for name in taken.left)
    # a network may do without auxiliary heads, but not get some from nowhere
    _, taken, _ = started({"model": {"from": str(trained), "aux": False}}, THERE)
    assert {name.split(".")[0] for name in taken.left} == {"aux_heads"}
    found = checkpoint.read(trained)
    bare = {name: array for name, array in found.arrays.items() if not name.startswith("aux_heads")}
    checkpoint.write(tmp_path / "bare.params", bare, found.record)
    with pytest.raises(MXNetSegError, match=r"aux_heads.0.* more \(not in the checkpoint\)"):
        started({"model": {"from": str(tmp_path / "bare.params")}}, THERE)


def test_files_without_a_record(trained, tmp_path):
    """Plain Gluon's: what fits decides."""
    net, _, _ = started({"model": {"from": str(trained)}}, THERE)
    net.save_parameters(str(tmp_path / "plain.params"))
    model = {"name": "fcn", "backbone": "tiny", "aux": True, "options": OPTIONS}
    model["from"] = str(tmp_path / "plain.params")
    again, taken, _ = started({"model": model}, ["a", "b", "c", "d"])
    assert not taken.left
    _, taken, _ = started({"model": model}, ["a", "b"])
    assert len(taken.left) == 4 and all("for 4 classes there, 2 here" in why for why in taken.left.values())
    with pytest.raises(MXNetSegError, match="does not fit deeplabv3"):
        started({"model": {"name": "deeplabv3", "backbone": "tiny", "from": model["from"]}}, THERE)


def test_files_that_are_no_network_to_train(trained, tmp_path):
    found = checkpoint.read(trained)
    for record, message in [
        (Record(backbone="resnet18"), "holds resnet18 alone; start from it with model.init="),
        (found.record.model_copy(update={"model": NetworkSpec(name="fcn", backbone="x", num_classes=2,
                                                              reparameterized=True)}), "was reparameterized for"),
    ]:  # fmt: skip
        checkpoint.write(tmp_path / "other.params", found.arrays, record)
        with pytest.raises(MXNetSegError, match=message):
            read_origin(as_recipe({"model": {"from": str(tmp_path / "other.params")}}))
    spoilt = {name: np.full_like(array, np.nan) for name, array in found.arrays.items()}
    checkpoint.write(tmp_path / "nan.params", spoilt, found.record)
    with pytest.raises(MXNetSegError, match="NaN or infinity in"):
        started({"model": {"from": str(tmp_path / "nan.params")}}, THERE)


def test_the_command_line(trained, streets, capsys, no_drawing):
    """A run from the command line; its log and its recipe say what became of the checkpoint."""
    Path("own.yaml").write_text(
        f"data: {{name: streets, root: {streets}, augment: {{crop: 32}}}}\n"
        "train: {iterations: 2, batch_size: 2, workers: 0, ema: 0.5}\n"
    )
    Path("weights/fcn").mkdir(parents=True)
    Path("weights/fcn/old.params").write_bytes(trained.read_bytes())
    argv = ["train", "--config", "own.yaml", "--ctx", "cpu", "--no-val", "--quiet"]
    assert cli.main([*argv, "--from", "old.params", "--run-dir", "run"]) == 0, capsys.readouterr().err
    text = Path("run/log.txt").read_text()
    assert "from weights/fcn/old.params: " in text
    line = next(line for line in text.splitlines() if "not taken over: " in line)
    assert "head.conv2.weight" in line and "for 4 classes there, 10 here" in line
    recipe = load_recipe("run/recipe.yaml")
    assert recipe.model.from_ == "weights/fcn/old.params" and recipe.model.options == OPTIONS
    # that recipe, once more; and only the checkpoint, on the terms for fine-tuning
    argv[2] = "run/recipe.yaml"
    assert cli.main([*argv, "--run-dir", "again"]) == 0
    left, right = (checkpoint.read(Path(folder) / "state.ckpt").arrays for folder in ("run", "again"))
    assert all(left[name].tobytes() == right[name].tobytes() for name in left)
    base = ["train", "--from", "old.params", "--ctx", "cpu", "--dry-run", "--set", "data.name=streets"]
    assert cli.main(base) == 0
    shown = capsys.readouterr().out
    assert "initial weights: weights/fcn/old.params" in shown and "adamw" in shown
    assert cli.main(["train", "--resume", "run", "--from", "old.params"]) == 2
    assert "give one of the two" in capsys.readouterr().err


def test_from_the_shipped_network():
    """Its eleven classes, in another order and others."""
    path = shipped(CAMVID)
    classes = get_spec(as_recipe({"data": {"name": "camvid"}}).data).classes
    recipe = {"model": {"from": CAMVID}}
    net, taken, _ = started(recipe, sorted(classes))
    assert not taken.left and net.spec["backbone"] == "efficientnet_lite0"
    row = checkpoint.read(path).arrays["head.ladder.classify.conv2.bias"][list(classes).index("car")]
    assert values(net)["head.ladder.classify.conv2.bias"][sorted(classes).index("car")] == row
    assert len(started(recipe, ["a", "b", "c"])[1].left) == 2
