"""Layers of a recipe: where bases and paths are looked for, what replaces what, and what is not lost in silence."""

import re

import pytest

from mxnetseg.config import as_recipe, load_recipe, override_recipe, recorded_recipe
from mxnetseg.config.schema import names
from mxnetseg.errors import MXNetSegError


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """A working directory without configs/, beside the one that recipes are in."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_the_names_in_the_schema_are_those_that_there_are():
    import mxnetseg.losses
    import mxnetseg.zoo  # noqa: F401
    from mxnetseg.data.spec import TABLE
    from mxnetseg.registry import BACKBONES, LOSSES, MODELS

    tables = [(MODELS, names.MODEL), (BACKBONES, names.BACKBONE), (LOSSES, names.LOSS), (TABLE, names.DATA_SET)]
    for table, ours in tables:
        there = {name for name in table if table.origin(name) is None}
        assert {spelling for spelling, _ in ours.known} == there | set(table.reserved)


@pytest.mark.parametrize(
    "base",
    ["fcn", "configs/fcn", "configs/fcn.yaml", "fcn.yaml", "FCN", "_base_/sgd_poly.yaml", "configs/_base_/sgd_poly"],
)
def test_shipped_bases_are_found_from_anywhere(tmp_path, base):
    path = write(tmp_path / "mine" / "my.yaml", f"_base_: {base}\ndata: {{name: camvid}}\ntrain: {{epochs: 3}}\n")
    recipe = load_recipe(path)
    assert (recipe.optimizer.weight_decay, recipe.train.epochs, recipe.data.name) == (0.0002, 3, "camvid")
    assert as_recipe({"_base_": base}).optimizer == recipe.optimizer
    if not base.startswith(("_base_", "configs/_base_")):
        assert load_recipe(base).optimizer == recipe.optimizer


def test_a_base_beside_the_recipe_comes_first(tmp_path):
    write(tmp_path / "mine" / "fcn.yaml", "optimizer: {lr: 0.5}\n")
    path = write(tmp_path / "mine" / "my.yaml", "_base_: [fcn.yaml, ./fcn.yaml]\ndescription: mine\n")
    assert load_recipe(path).optimizer.lr == 0.5
    with pytest.raises(MXNetSegError, match=r"no recipe .*nowhere\.yaml"):
        load_recipe(write(tmp_path / "mine" / "other.yaml", "_base_: nowhere.yaml\n"))


@pytest.mark.parametrize(
    "base", ["../_base_/camvid.yaml", "camvid/bisenet_mobilnet_v2.yaml", "camvid/bisenet_mobilnet_v2"]
)
def test_a_base_that_is_nowhere_is_answered_with_what_is_near(tmp_path, base):
    path = write(tmp_path / "mine" / "my.yaml", f"_base_: {base}\n")
    meant = "_base_/camvid.yaml" if base.startswith("..") else "camvid/bisenet_mobilenet_v2"
    with pytest.raises(MXNetSegError, match=f"my.yaml: .*no recipe .*did you mean {meant}"):
        load_recipe(path)
    ours = f"_base_: {meant}\ntrain: {{epochs: 3}}\n"
    assert load_recipe(write(tmp_path / "mine" / "found.yaml", ours)).train.epochs == 3


def test_which_root_is_meant(tmp_path, monkeypatch, caplog):
    path = write(tmp_path / "mine" / "my.yaml", "data: {root: tiles}\nmodel: {init: a.params}\n")
    assert load_recipe(path).data.root == "tiles"  # neither is there: as it is written
    (tmp_path / "mine" / "tiles").mkdir()
    write(tmp_path / "mine" / "a.params", "")
    assert load_recipe(path).data.root == str(tmp_path / "mine" / "tiles")
    assert load_recipe(path).model.init == str(tmp_path / "mine" / "a.params")
    above = write(tmp_path / "other" / "above.yaml", "_base_: ../mine/my.yaml\n")  # as seen from the file that says it
    assert load_recipe(above).data.root == str(tmp_path / "mine" / "tiles")
    assert load_recipe(path, ["data.root=tiles"]).data.root == "tiles" and not caplog.messages
    (tmp_path / "here" / "tiles").mkdir()
    assert load_recipe(path).data.root == "tiles"
    assert "data.root: tiles is in the working directory and beside" in caplog.text
    monkeypatch.setenv("TILES", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "mine"))
    for text, meant in [("$TILES/x", tmp_path / "x"), ("${TILES}", tmp_path), ("~/tiles", tmp_path / "mine" / "tiles")]:
        assert as_recipe({"data": {"root": text, "cache": text}}).data.root == str(meant)
        assert load_recipe(write(tmp_path / "r.yaml", f'data: {{root: "{text}"}}\n')).data.root == str(meant)
    with pytest.raises(MXNetSegError, match=r"data\.root: there is no environment variable NOWHERE.*got '\$NOWHERE/x'"):
        as_recipe({"data": {"root": "$NOWHERE/x"}})


def test_a_mapping_is_replaced_on_demand(tmp_path):
    write(tmp_path / "base.yaml", "data: {label_map: {0: 0, 255: 1}, augment: {crop: 64, flip: 0.0}}\n")
    path = write(
        tmp_path / "r.yaml", "_base_: base.yaml\ndata: {label_map: {_replace_: true, 7: 0}, augment: {crop: 32}}\n"
    )
    data = load_recipe(path).data
    assert data.label_map == {7: 0} and (data.augment.crop, data.augment.flip) == (32, 0)
    data = load_recipe(path, ["data.augment={_replace_: true, crop: 16}", "data.label_map.7=1"]).data
    assert data.label_map == {7: 1} and (data.augment.crop, data.augment.flip) == (16, 0.5)
    assert load_recipe(path, ["data.augment._replace_=false"]).data.augment.flip == 0
    with pytest.raises(MXNetSegError, match=r"data\.augment\._replace_: true or false; got 'please'"):
        load_recipe(path, ["data.augment._replace_=please"])


def test_entries_of_lists_are_changed_by_their_numbers(tmp_path):
    text = "optimizer: {rules: [{match: a}, {match: b, lr_mult: 2}]}\nloss: [{name: ce}, {name: dice}]\n"
    path = write(tmp_path / "r.yaml", text)
    changes = [
        "optimizer.rules.1.lr_mult=3",
        "optimizer.rules.0.match=c",
        "loss.1.weight=2",
        "data.augment.scale.0=0.7",
    ]
    recipe = load_recipe(path, changes)
    assert [(rule.match, rule.lr_mult) for rule in recipe.optimizer.rules] == [("c", 1), ("b", 3)]
    assert recipe.loss.also[0].weight == 2
    assert override_recipe(load_recipe(path), changes[:3]).loss == recipe.loss
    over = write(tmp_path / "over.yaml", "_base_: r.yaml\noptimizer: {rules: {1: {decay_mult: 0}}}\n")
    assert [(rule.lr_mult, rule.decay_mult) for rule in load_recipe(over).optimizer.rules] == [(1, 1), (2, 0)]
    with pytest.raises(MXNetSegError, match=r"optimizer\.rules\.2: no such entry; it has 2 entries, from 0"):
        load_recipe(path, ["optimizer.rules.2.lr_mult=1"])
    with pytest.raises(MXNetSegError, match=r"optimizer\.rules: should be a list; got \{'0'"):
        as_recipe({"optimizer": {"rules": {}}}, ["optimizer.rules.0.match=1"])


def test_what_a_layer_replaces_takes_its_keys_with_it(tmp_path):
    text = (
        "optimizer: {name: adamw, betas: [0.8, 0.9], weight_decay: 0.5}\n"
        "schedule: {name: step, steps: [0.5], warmup: 9, warmup_ratio: 0.1}\n"
        "eval: {crop: 64, stride: 60}\nloss: {name: ohem, min_kept: 5, label_smoothing: 0.1}\n"
    )
    path = write(tmp_path / "r.yaml", text)
    recipe = load_recipe(path, ["optimizer.name=SGD", "schedule.name=poly", "eval.crop=32", "loss.name=ce"])
    assert (recipe.optimizer.name, recipe.optimizer.betas, recipe.optimizer.weight_decay) == ("sgd", (0.9, 0.999), 0.5)
    assert (recipe.schedule.steps, recipe.schedule.warmup_ratio) == ([], 0.1)
    assert (recipe.eval.stride, recipe.loss.label_smoothing) == (None, 0.1)
    assert load_recipe(path, ["schedule.warmup=0", "eval.crop=null"]).schedule.warmup_ratio == 0
    with pytest.raises(MXNetSegError, match=r"optimizer\.betas: has no effect where name is sgd"):
        load_recipe(path, ["optimizer.name=sgd", "optimizer.betas=[0.1, 0.2]"])
    wrong = write(tmp_path / "wrong.yaml", "optimizer: {name: sgd, betas: [0.8, 0.9]}\n")
    with pytest.raises(MXNetSegError, match=r"optimizer\.betas: has no effect"):  # it had none before the change
        load_recipe(wrong, ["optimizer.lr=1"])


def test_null_is_the_default_and_case_does_not_matter():
    content = {
        "model": {"name": "PSPNet", "init": "ImageNet", "norm": "SyncBN"},
        "data": {"augment": {"crop": None}},
        "loss": {"name": "Cross-Entropy", "average": "ALL"},
        "optimizer": {"lr": None, "name": "AdamW", "momentum_lr": None},
        "eval": None,
    }
    recipe = as_recipe(content)
    assert (recipe.optimizer.lr, recipe.optimizer.name, recipe.eval.scales) == (0.01, "adamw", [1.0])
    assert recipe.data.augment.crop is None and (recipe.loss.name, recipe.loss.average) == ("ce", "all")
    assert (recipe.model.name, recipe.model.init, recipe.model.norm) == ("pspnet", "imagenet", "syncbn")


@pytest.mark.parametrize(
    "changes, message",
    [
        (["train.epochs=2", "train.epochs=3"], "train.epochs is given twice, 2 and 3; keep one"),
        (["optimizer={lr: 1}", "optimizer.lr=2"], "optimizer.lr is given twice, 1 and 2"),
        (["train.epochs=2", "train.iterations=3"], "give train.epochs or train.iterations, one of the two"),
        (["optimizer=adam", "optimizer.lr=2"], "optimizer.lr is given twice, 'adam' and"),
    ],
)
def test_a_change_is_not_lost_to_another(changes, message):
    with pytest.raises(MXNetSegError, match=message):
        load_recipe("fcn", changes)


@pytest.mark.parametrize(
    "content, message",
    [
        ({"eval": {"crop": [64, 32], "stride": 48}}, r"eval\.stride: leaves strips between .*; got 48"),
        (
            {"data": {"augment": {"scale": [2.0, 0.5]}}},
            r"scale: in order, the lower end first: \[0\.5, 2\.0\]; got \[2\.0",
        ),
        ({"schedule": {"name": "step", "steps": [0.9, 0.6]}}, r"schedule\.steps: in order"),
        ({"schedule": {"name": "step"}}, r"schedule\.steps: name step needs the shares"),
        ({"train": {"epochs": 1, "seed": 2**40}}, r"train\.seed: at most 2147483647; got 1099511627776"),
        ({"loss": {"weight": 0}}, r"loss\.weight: one criterion at least"),
        ({"loss": {"class_weights": [0, 0]}}, r"loss\.class_weights: one weight at least .*got \[0\.0, 0\.0\]"),
        ({"optimizer": {"rules": [{"match": "("}]}}, r"optimizer\.rules\.0\.match: is not a regular expression"),
        ({"model": {"init": "imagnet"}}, r"model\.init: .*; did you mean imagenet\?; got 'imagnet'"),
        ({"model": {"options": {"config": "fcn"}}}, r"model\.options\.config: is no option of a model's builder"),
        ({"model": {"aux": False}, "loss": {"aux_weight": 1}}, r"loss\.aux_weight: has no effect .*; got 1\.0"),
        ({"schedule": {"end_lr": 0.5}}, r"schedule\.end_lr: is above optimizer\.lr, 0\.01.*; got 0\.5"),
        (
            {"data": {"classes": ["a", "b"]}, "loss": [{}, {"class_weights": [1]}]},
            r"loss\.also\.0\.class_weights: has 1 values for the 2 names",
        ),
        ({"loss": {"name": "dicee"}}, r"loss\.name: unknown loss 'dicee'; did you mean dice\?"),
        ({"schedule": {"name": "polly"}}, r"schedule\.name: unknown schedule 'polly'; did you mean poly\?"),
    ],
)
def test_what_does_not_go_together(content, message):
    with pytest.raises(MXNetSegError, match=message):
        as_recipe(content)


def test_what_an_older_version_recorded_can_be_read_and_changed():
    old = {"eval": {"crop": 32, "stride": 64}, "train": {"epochs": 1, "seed": 2**40}, "loss": {"name": "gone"}}
    recipe = recorded_recipe(old)
    assert (recipe.eval.stride, recipe.train.seed, recipe.loss.name) == (64, 2**40, "gone")
    assert override_recipe(recipe, ["eval.flip=true"]).eval.flip
    with pytest.raises(MXNetSegError) as caught:
        override_recipe(recipe, ["optimizer.betas=[0.1, 0.2]"])
    assert str(caught.value).startswith("the recipe with optimizer.betas=[0.1, 0.2]: optimizer.betas: has no effect")


@pytest.mark.parametrize(
    "text, override, message",
    [
        ("data: {label_map: {0: 0, '0': 1}}", "train.seed=1", "key '0' is given twice"),
        ("data: {label_map: {5: 0, '05': 1}}", "train.seed=1", "holds 5 and '05', which are one value"),
        ("data: {classes: !!set {a, b}}", "train.seed=1", "line 2: a recipe holds no tag:yaml.org,2002:set"),
        ("optimizer: {rules: [{match: bias}]}", "optimizer.rules.00.lr_mult=2", "should be a list"),
        ("optimizer: {rules: [{match: bias}]}", "optimizer.rules.\u00b2.lr_mult=2", "should be a list"),
    ],
)
def test_keys_are_written_in_one_way(tmp_path, text, override, message):
    (tmp_path / "r.yaml").write_text(f"train: {{iterations: 1}}\n{text}", encoding="utf-8")
    with pytest.raises(MXNetSegError, match=re.escape(message)):
        load_recipe(tmp_path / "r.yaml", [override])


def test_numbers_are_read_as_they_look(tmp_path):
    text = "model: {options: {a: 1e-4, b: 010, c: 1:30, d: 1_000, e: .5, f: +2, g: 0x1F}}\n"
    options = load_recipe(write(tmp_path / "r.yaml", text)).model.options
    assert options == {"a": 1e-4, "b": 10, "c": "1:30", "d": 1000, "e": 0.5, "f": 2, "g": "0x1F"}


def test_a_path_that_begins_with_the_split_needs_no_quotes(tmp_path):
    path = write(tmp_path / "mine.yaml", "data: {name: folder}\nmodel: {name: fcn, backbone: resnet18}\n")
    recipe = load_recipe(path, ["data.lists={split}.txt", "data.images={split}"])
    assert (recipe.data.lists, recipe.data.images) == ("{split}.txt", "{split}")
