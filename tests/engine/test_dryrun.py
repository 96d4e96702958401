"""The dry run: of every recipe under configs/, and what it tells."""

import functools
import gc
import re
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest

from mxnetseg import cli
from mxnetseg.config import Recipe, load_recipe, override_recipe
from mxnetseg.data import get_spec, num_classes_of
from mxnetseg.engine import dryrun
from mxnetseg.engine.dryrun import StandIn, dry_run
from mxnetseg.engine.forecast import activation_bytes, sparkline
from mxnetseg.errors import MXNetSegError

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
RECIPES = [p for p in sorted(CONFIGS.rglob("*.yaml")) if p.parent.name != "_base_" and p.stem != "sweep"]
CPU = [mx.cpu()]


def network_of(path):
    """What decides which network a recipe builds, as text."""
    recipe = load_recipe(path)
    return str((recipe.model.model_copy(update={"init": "random"}), num_classes_of(recipe.data)))


@pytest.fixture(scope="module")
def shared_networks():
    """Building networks once for the recipes that share them, one network at a time; they are sorted by network."""
    last = {}
    original = dryrun.build_network

    def build(recipe, *arguments):
        key = str((recipe.model, *arguments[:2]))
        if key not in last:
            last.clear()
            gc.collect()  # a network refers to itself in circles, and two large ones are too much
            last[key] = original(recipe, *arguments)
        return last[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dryrun, "build_network", build)
        yield


# Variants with a smaller sibling among the others. Of the largest, gradients and optimizer states take 2 to 4 GB
# siblings of a recipe that is tried by default: larger ones, other data or an older name
SIBLINGS = re.compile(
    "setr_(mla|naive|pup)$|_(large|base|medium|small)_|setr_naive_|ffnet_[34]_|ffnet_seg_1024|moganet_tiny|^[a-z]+-[a-z]+-[0-9]+$"
    "|fcn_resnet101_os8|pspnet_resnet101_os8|ffnet_2_512|setr_pup_dgmn2|upernet_moganet_xtiny|_finer$|_pasted$|_lite2$"
)
CASES = [
    pytest.param(path, id=str(path.relative_to(CONFIGS)), marks=pytest.mark.slow if SIBLINGS.search(path.stem) else [])
    for path in sorted(RECIPES, key=network_of)
]


@functools.lru_cache(maxsize=None)
def result_of(recipe):
    """By content, as JSON: some files only give another's recipe a second name."""
    # one number everywhere: drawing a hundred million takes longer than the step
    return dry_run(Recipe.model_validate_json(recipe), CPU, crop=32, initializer=mx.init.Constant(0.01))


@pytest.mark.parametrize("path", CASES)
def test_every_recipe_builds_and_takes_a_step_without_data_and_weights(path, shared_networks):
    recipe = load_recipe(path)
    result = result_of(recipe.model_dump_json())
    told = [what for what in result.missing if not what.startswith("initial weights: model.from")]
    assert np.isfinite(result.loss) and told[0].startswith("data: no folder datasets/")
    assert f"{num_classes_of(recipe.data)} classes" in result.report and recipe.description in result.report
    if recipe.train.iterations:
        assert result.iterations == recipe.train.iterations
    else:  # the number of images has to be known
        assert "images assumed" not in result.report


def test_a_network_to_go_on_from_that_is_not_here(recipe_file):
    result = dry_run(load_recipe(recipe_file, ["model.from=nowhere.params"]), CPU)
    assert [what.split(";")[0] for what in result.missing] == [
        f"initial weights: model.from nowhere.params: no such file, nor below weights/, seen from {Path.cwd()}"
    ]
    assert "mobilenet_v2_0_25, 10 classes" in result.report and "initial weights: random" in result.report
    with pytest.raises(MXNetSegError, match=r"model.from nowhere.params: no such file"):  # which network, then?
        dry_run(Recipe.model_validate({"model": {"from": "nowhere.params"}, "data": {"name": "streets"}}), CPU)


def test_what_it_tells(recipe_file, streets):
    recipe = load_recipe(recipe_file, ["optimizer.rules=[{match: bias$, decay_mult: 0}, {match: ^head, lr_mult: 5}]"])
    result = dry_run(recipe, CPU)
    report = result.report
    assert not result.missing and result.iterations == 6
    assert f"10 images in train, 4 in val, in {streets}" in report
    assert "6 steps of 4 images: 24 images, 2.4 epochs; validation every 3 steps" in report
    assert "0: 0" in report and "2: 0.003" in report  # the schedule, at the warm-up's end too
    assert np.isfinite(result.loss)
    assert "0.015" in report and "head" in report  # the head's learning rate
    assert not Path("runs").exists() and not Path("weights").exists()


def test_data_that_are_there_are_looked_at(recipe_file, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(MXNetSegError, match="no folder .*empty"):
        dry_run(load_recipe(recipe_file, [f"data.root={tmp_path / 'empty'}"]), CPU)
    recipe = load_recipe(recipe_file, ["data.root=nowhere", "train.epochs=3", "train.batch_size=5"])
    result = dry_run(recipe, CPU)
    assert result.missing == ["data: no folder nowhere (data.root, --root)"]
    assert "1,000 images assumed" in result.report and result.iterations == 600


@pytest.mark.parametrize(
    "override, message",
    [
        ("optimizer.rules=[{match: nothing}]", "matches no parameter"),
        ("optimizer.layer_decay={rate: 0.9}", "knows the layers of"),
        ("loss.name=cee", "unknown loss"),
        ("schedule.name=pollly", "unknown schedule"),
        ("loss.class_weights=[1]", "class_weights has 1 values for 10"),
    ],
)
def test_mistakes_are_found_without_the_data(recipe_file, override, message):
    with pytest.raises(MXNetSegError, match=message):
        dry_run(override_recipe(load_recipe(recipe_file), ["data.root=nowhere", override]), CPU)


def test_everything_at_once(recipe_file):
    options = ["train.ema=0.9", "data.rare_class={}", "data.augment.cat_max_ratio=0.7", "data.fit=[128, 96]"]
    options += ["loss=[{name: ohem}, {name: focal}, {name: dice}, {name: lovasz, weight: 0.5}]", "data.root=nowhere"]
    report = dry_run(load_recipe(recipe_file, options), CPU).report
    assert "ohem + focal (over valid pixels) + dice + 0.5 x lovasz" in report
    assert "within 128x96" in report and "rare classes" in report and "average" in report


def test_initial_weights_that_are_there_are_loaded(recipe_file, tmp_path):
    from mxnetseg.engine import checkpoint
    from mxnetseg.engine.build import build_network
    from mxnetseg.engine.record import Record

    recipe = load_recipe(recipe_file)
    net = build_network(recipe, 10, CPU)
    checkpoint.write(tmp_path / "init.params", checkpoint.weights(net), Record())
    assert not dry_run(override_recipe(recipe, [f"model.init={tmp_path / 'init.params'}"]), CPU).missing
    missing = dry_run(override_recipe(recipe, ["model.init=gone.params"]), CPU).missing
    assert len(missing) == 1 and missing[0].startswith("initial weights: model.init gone.params: no such file")
    with pytest.raises(MXNetSegError, match="model.init: .*did you mean imagenet"):
        dry_run(override_recipe(recipe, ["model.init=imagnet"]), CPU)


def test_activations_grow_with_the_batch_and_the_crop(recipe_file):
    from mxnetseg.engine.build import build_network

    net = build_network(load_recipe(recipe_file), 10, CPU)
    one = activation_bytes(net, (1, 3, 64, 64))
    assert activation_bytes(net, (4, 3, 64, 64)) == pytest.approx(4 * one, rel=0.02)
    assert 3.5 * one < activation_bytes(net, (1, 3, 128, 128)) < 4.5 * one
    assert activation_bytes(net, (4, 3, 64, 64), checkpoint=True) < 3 * one
    assert one > 4 * 10 * 64 * 64  # the logits alone


def test_the_stand_in_shows_classes_and_pixels_to_ignore():
    stand_in = StandIn(get_spec(load_recipe(CONFIGS / "fcn.yaml").data), "train", (50, 70))
    sample = stand_in.load(1)
    assert sample.image.shape == (50, 70, 3) and sample.label.shape == (50, 70)
    assert set(np.unique(sample.label)) <= {*range(19), 255} and (sample.label == 255).any()
    np.testing.assert_array_equal(sample.label, stand_in.label(1))


def test_sparkline():
    assert sparkline([0, 0.5, 1.0]) == " ▄█" and sparkline([0, 0]) == "  "


def test_the_command(recipe_file, capsys):
    arguments = ["train", "--config", str(recipe_file), "--ctx", "cpu", "--dry-run", "32", "--set", "data.root=nowhere"]
    assert cli.main(arguments) == 0
    out = capsys.readouterr().out
    assert "6 steps of 4 images" in out and "missing    data: no folder nowhere" in out and "32x32" in out
    assert cli.main([*arguments[:6], "8"]) == 2
