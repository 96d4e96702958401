"""Recipes: inheritance, overrides, and what a mistake is told."""

import re
from pathlib import Path

import pytest

from mxnetseg.config import (
    OptimizerConfig,
    as_recipe,
    dump_recipe,
    find_recipe,
    load_recipe,
    override_recipe,
    recipe_for,
    recorded_recipe,
)
from mxnetseg.engine.record import Record
from mxnetseg.errors import MXNetSegError

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
RECIPES = [p for p in sorted(CONFIGS.rglob("*.yaml")) if p.parent.name != "_base_" and p.stem != "sweep"]


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: str(p.relative_to(CONFIGS)))
def test_every_shipped_recipe_says_what_it_is_and_how_to_run_it(path):
    from mxnetseg.data import num_classes_of

    recipe = load_recipe(path)
    assert recipe.description
    if recipe.loss.class_weights:
        assert len(recipe.loss.class_weights) == num_classes_of(recipe.data)
    header = "".join(line for line in path.read_text(encoding="utf-8").splitlines(True) if line.startswith("#"))
    option, name = re.search(r"python train\.py --(config|model) (\S+)", header).groups()
    assert (path if option == "model" else Path(name)) == (
        find_recipe(name) if option == "model" else path.relative_to(CONFIGS.parent)
    )
    contexts = re.search(r"--ctx ([\d ]+)", header)
    if contexts and recipe.model.norm == "syncbn":
        assert recipe.train.batch_size % len(contexts[1].split()) == 0


def test_every_model_has_a_recipe_of_its_name():
    from mxnetseg import list_models

    for name in list_models():
        assert find_recipe(name) == CONFIGS / f"{name}.yaml"
        assert recipe_for(name).model.name == name


def test_momentum_is_as_the_originals_had_it():
    """Settings of the toolkit of 2022: MXNet's SGD; SETR's authors: PyTorch's. A run from before the key: MXNet's."""
    recipes = {path.stem: load_recipe(path).optimizer for path in RECIPES}
    places = {name: part.momentum_lr for name, part in recipes.items() if part.name == "sgd"}
    assert {name for name, place in places.items() if place == "outside"} == {"setr_naive", "setr_pup", "setr_mla"}
    assert places["pretty-surf-1"] == "inside" and len(places) > 30
    assert OptimizerConfig.model_validate({"name": "sgd", "momentum": 0.9}).momentum_lr == "inside"


def test_a_recipe_builds_its_network():
    from mxnetseg import create_model

    spec = create_model(config="fcn_resnet18_os32_cityscapes").spec
    assert (spec["backbone"], spec["output_stride"], spec["num_classes"], spec["norm"]) == (
        "resnet18",
        32,
        19,
        "syncbn",
    )


def test_bases_are_merged_below_and_overrides_above(tmp_path):
    write(tmp_path / "_base_" / "a.yaml", "optimizer: {name: adam, lr: 1.0}\ntrain: {epochs: 3, batch_size: 2}\n")
    write(tmp_path / "_base_" / "b.yaml", "optimizer: {lr: 2.0}\n")
    path = write(tmp_path / "r.yaml", "_base_: [_base_/a.yaml, _base_/b.yaml]\ntrain: {batch_size: 5}\n")
    recipe = load_recipe(path, ["optimizer.weight_decay=0.5", "data.augment.crop=[32, 64]", "data.root=x y"])
    assert (recipe.optimizer.name, recipe.optimizer.lr, recipe.optimizer.weight_decay) == ("adam", 2.0, 0.5)
    assert (recipe.train.epochs, recipe.train.batch_size) == (3, 5)
    assert recipe.data.augment.crop == (32, 64) and recipe.data.root == "x y"


def test_epochs_and_iterations_replace_each_other(tmp_path):
    write(tmp_path / "base.yaml", "train: {epochs: 3}\n")
    recipe = load_recipe(write(tmp_path / "r.yaml", "_base_: base.yaml\ntrain: {iterations: 7}\n"))
    assert recipe.train.iterations == 7 and recipe.train.epochs is None
    recipe = override_recipe(recipe, ["train.epochs=2"])
    assert recipe.train.iterations is None and recipe.train.epochs == 2


@pytest.mark.parametrize("key, value", [("aux", True), ("backbone", "resnet18"), ("num_classes", 3), ("norm", "gn")])
def test_an_option_can_not_stand_for_a_key_of_its_own(key, value):
    with pytest.raises(MXNetSegError, match=f"model.options.{key}: this is a key of its own, model.{key}; move"):
        as_recipe({"model": {"options": {key: value}}})
    # a checkpoint of a version that took it goes on to mean what it meant; so does one of a newer version
    recorded = recorded_recipe({"model": {"options": {key: value}, "newer": 1}})
    assert recorded.model.options == {key: value}
    assert Record(recipe=recorded).recipe == recorded


def test_options_are_those_of_one_name(tmp_path):
    text = "model: {name: bisenet, backbone: mobilenet_v2_0_25, options: {width: 16}, backbone_options: {a: 1}}\n"
    write(tmp_path / "base.yaml", text)
    recipe = load_recipe(write(tmp_path / "r.yaml", "_base_: base.yaml\nmodel: {options: {dilation: 1}, name: fcn}\n"))
    assert recipe.model.options == {"dilation": 1} and recipe.model.backbone_options == {"a": 1}
    recipe = load_recipe(tmp_path / "base.yaml", ["model.name=BiSeNet", "model.backbone=resnet18"])
    assert recipe.model.options == {"width": 16} and recipe.model.backbone_options == {}


def test_only_recipes_are_suggested(tmp_path):
    write(tmp_path / "mkdocs.yml", "site_name: my streets\ntheme: {name: material}\n")
    with pytest.raises(MXNetSegError, match=r"no recipe .*my_docs.yaml$"):
        load_recipe(tmp_path / "my_docs.yaml")
    write(tmp_path / "my_dogs.yaml", "description: mine\nmodel: {name: fcn}\n")
    with pytest.raises(MXNetSegError, match=r"did you mean [^,]*my_dogs.yaml\?$"):
        load_recipe(tmp_path / "my_docs.yaml")


def test_a_folder_is_not_in_the_way_of_a_name(tmp_path, monkeypatch):
    ours = load_recipe("fcn")
    monkeypatch.chdir(tmp_path)
    Path("fcn").mkdir()
    assert load_recipe("fcn") == ours


def test_a_list_of_losses_replaces_one_and_its_first_is_overridden(tmp_path):
    write(tmp_path / "base.yaml", "loss: {average: all, class_weights: [1, 2]}\n")
    path = write(tmp_path / "r.yaml", "_base_: base.yaml\nloss: [{name: ce}, {name: dice, weight: 0.5}]\n")
    loss = load_recipe(path).loss
    assert (loss.name, loss.average, loss.class_weights) == ("ce", "valid", None)
    assert [(term.name, term.weight) for term in loss.also] == [("dice", 0.5)]
    changed = load_recipe(path, ["loss.aux_weight=1", "loss.name=ohem"]).loss
    assert (changed.name, changed.aux_weight, changed.also) == ("ohem", 1, loss.also)
    assert override_recipe(load_recipe(path), ["loss.weight=2"]).loss == loss.model_copy(update={"weight": 2})
    with pytest.raises(MXNetSegError, match="unknown key loss.also.0.weigth; did you mean loss.also.0.weight"):
        load_recipe(path, ["loss=[{name: ce}, {name: dice, weigth: 1}]"])
    with pytest.raises(MXNetSegError, match="data.base or data.fit"):
        load_recipe(write(tmp_path / "both.yaml", "data: {base: 5, fit: [4, 2]}\n"))
    both = load_recipe(write(tmp_path / "b.yaml", "data: {base: 5}\n"), ["data.fit=[4, 2]"])
    assert both.data.base is None and both.data.fit == (4, 2)


@pytest.mark.parametrize(
    "text, message",
    [
        ("optimiser: {lr: 1}\n", "unknown key optimiser; did you mean optimizer?"),
        ("optimizer: {learning: 1}\n", "unknown key optimizer.learning; known here: name, lr"),
        ("data: {augment: {crops: 1}}\n", "unknown key data.augment.crops; did you mean data.augment.crop?"),
        ("optimizer: {rules: [{match: a, lr_mul: 2}]}\n", "lr_mul; did you mean optimizer.rules.0.lr_mult?"),
        ("optimizer: {betas: [0.9, 1]}\n", "optimizer.betas.1: input should be less than or equal to 0.999999"),
        ("optimizer: {momentum_lr: between}\n", "momentum_lr: unknown momentum_lr 'between'; choices: inside, outside"),
        ("optimizer: {lr: fast}\n", "optimizer.lr: input should be a valid number.*got 'fast'"),
        ("train: {epochs: 1, iterations: 2}\n", "train.epochs or train.iterations, one of the two"),
        ("train: {epochs: 0}\n", "train.epochs: input should be greater than 0"),
        ("loss: {label_smoothing: 1}\n", "label_smoothing: input should be less than 1"),
        ("optimizer: {lr: .nan}\n", "optimizer.lr: input should be a finite number"),
        ("train: {epochs: 1}\ntrain: {epochs: 2}\n", "key 'train' is given twice"),
        ("- 1\n", "a recipe is a mapping"),
        ("a: [1\n", "not valid YAML"),
        ("_base_: nowhere.yaml\n", "no recipe .*nowhere.yaml"),
        ("_base_: r.yaml\n", "include each other"),
        ("_base_: 5\n", "_base_ names a file, or a list of files, not 5"),
        ("_base_: [5]\n", r"_base_ names a file, or a list of files, not \[5\]"),
        ("data: !!python/object/apply:os.system [ls]\n", "not valid YAML"),
    ],
)
def test_mistakes_are_named(tmp_path, text, message):
    path = write(tmp_path / "r.yaml", text)
    with pytest.raises(MXNetSegError, match=message):
        load_recipe(path)


@pytest.mark.parametrize(
    "override, message",
    [
        ("optimizer.lr", "write it as key=value"),
        ("=1", "write it as key=value"),
        ("optimizer.lr=[", "not valid YAML"),
        ("optimizer.lrate=1", "did you mean optimizer.lr?"),
    ],
)
def test_mistakes_in_overrides(recipe_file, override, message):
    with pytest.raises(MXNetSegError, match=message):
        load_recipe(recipe_file, [override])


def test_a_dumped_recipe_loads_as_the_same(tmp_path):
    for path in RECIPES:
        recipe = load_recipe(path)
        assert load_recipe(write(tmp_path / "copy.yaml", dump_recipe(recipe))) == recipe


def test_recipes_by_name(tmp_path):
    assert find_recipe("FCN").name == "fcn.yaml"
    assert recipe_for("deeplab-v3").model.name == "deeplabv3"
    assert load_recipe("pretty-surf-1") == load_recipe(CONFIGS / "pretty-surf-1.yaml")
    assert load_recipe("Robust_Pine_18", ["train.epochs=3"]).train.epochs == 3
    assert find_recipe("fpn_moganet_tiny_80k_ade20k").parent.name == "moganet"
    assert find_recipe("streets/bisenet_mobilenet_v2").parent.name == "streets"
    with pytest.raises(MXNetSegError, match="there are camvid/bisenet_mobilenet_v2 and streets/bisenet_mobilenet_v2"):
        find_recipe("bisenet_mobilenet_v2")
    with pytest.raises(MXNetSegError, match="no recipe configs/pspnett.yaml; did you mean pspnet"):
        find_recipe("pspnett")
    with pytest.raises(MXNetSegError, match="did you mean pretty-surf-1"):
        load_recipe("pretty-surf-2")
    with pytest.raises(MXNetSegError, match="no recipe configs/sgd_poly.yaml"):
        find_recipe("sgd_poly")
    write(Path("configs") / "fcn.yaml", "description: mine\n")
    assert recipe_for("fcn").description == "mine"  # the working directory comes first


def test_a_near_file_is_named(tmp_path):
    write(tmp_path / "camvid.yaml", "model: {name: fcn}\n")
    with pytest.raises(MXNetSegError, match=r"did you mean .*camvid\.yaml"):
        load_recipe(tmp_path / "camvit.yaml")


# the published runs of MXNetSeg (2022): data, model, backbone, output stride, learning rate, factor of the heads,
# epochs, images a step, GPUs, base size, crop
RUNS = {
    "pretty-surf-1": ("cityscapes", "fcn", "resnet18", 8, 0.001, 10, 200, 8, 4, 2048, 768),
    "silver-brook-24": ("cityscapes", "bisenet", "resnet18", 32, 0.01, 1, 240, 8, 4, 2048, 1024),
    "effortless-dust-25": ("cityscapes", "bisenet", "resnet18", 32, 0.01, 1, 240, 8, 4, 2048, 1024),
    "neapolitan-pastry-1": ("cityscapes", "denseaspp", "resnet101", 8, 0.01, 1, 240, 8, 8, 2048, 768),
    "glad-voice-1": ("voc_aug", "fcn", "resnet101", 8, 0.001, 10, 80, 16, 8, 520, 512),
    "peachy-snow-4": ("voc_aug", "attention_to_scale", "resnet101", 8, 0.001, 10, 80, 16, 8, 520, 480),
    "smart-valley-12": ("voc_aug", "pspnet", "resnet101", 8, 0.001, 10, 80, 16, 8, 520, 480),
    "fearless-firefly-5": ("voc_aug", "deeplabv3", "resnet101", 8, 0.001, 10, 80, 16, 8, 520, 512),
    "robust-pine-18": ("voc_aug", "deeplabv3plus", "resnet101", 8, 0.001, 10, 80, 16, 8, 520, 480),
    "hopeful-snowflake-1": ("nyuv2", "fcn", "resnet101", 8, 0.01, 1, 120, 16, 4, 640, 480),
    "grateful-vortex-8": ("nyuv2", "pspnet", "resnet101", 8, 0.01, 1, 180, 16, 4, 640, 480),
    "comfy-dew-31": ("nyuv2", "deeplabv3plus", "resnet101", 8, 0.001, 10, 240, 16, 8, 640, 480),
}
# rows without a run, and the run whose settings they take, but for model, backbone, output stride and data
ROWS = {
    "fcn_resnet18_os32_cityscapes": "pretty-surf-1",
    "fcn_resnet50_os8_cityscapes": "pretty-surf-1",
    "fcn_resnet101_os8_cityscapes": "pretty-surf-1",
    "pspnet_resnet101_os8_cityscapes": "neapolitan-pastry-1",
    "deeplabv3_resnet101_os8_cityscapes": "neapolitan-pastry-1",
    "danet_resnet101_os8_cityscapes": "neapolitan-pastry-1",
    "pspnet_resnet101_os8_ade20k": "smart-valley-12",
}


@pytest.mark.parametrize("name", RUNS)
def test_published_runs_train_as_they_did(name):
    path = CONFIGS / f"{name}.yaml"
    recipe = load_recipe(path)
    data, model, backbone, stride, lr, heads, epochs, batch, gpus, base, crop = RUNS[name]
    ratio = gpus / batch  # what their gradients were multiplied by, and their decay was not
    optimizer, schedule = recipe.optimizer, recipe.schedule
    assert (optimizer.name, optimizer.momentum, optimizer.clip_norm) == ("sgd", 0.9, None)
    assert (optimizer.lr, optimizer.weight_decay) == pytest.approx((lr * ratio, 1e-4 / ratio))
    assert [rule.lr_mult for rule in optimizer.rules] == ([10] if heads == 10 else [])
    assert (schedule.name, schedule.power, schedule.end_lr, schedule.warmup) == ("poly", 0.9, 0, 0)
    assert (recipe.train.epochs, recipe.train.batch_size, recipe.train.accumulate) == (epochs, batch, 1)
    network = recipe.model
    assert (network.name, network.backbone, network.output_stride, network.aux) == (model, backbone, stride, False)
    assert (network.norm, network.init) == ("syncbn", "imagenet")
    augment = recipe.data.augment
    assert (recipe.data.name, recipe.data.base, augment.crop) == (data, base, crop)
    assert (augment.scale, augment.flip, augment.blur, augment.photometric) == ((0.5, 2.0), 0.5, 0.5, False)
    assert recipe.data.train_split == ("train+val" if name == "effortless-dust-25" else "train")
    assert (recipe.loss.name, recipe.loss.average, recipe.loss.also) == ("ce", "valid", [])
    header = path.read_text(encoding="utf-8")
    assert f"{gpus} GPUs, batch {batch}, {epochs} epochs, learning rate {lr:g}" in header and "ublished" in header


@pytest.mark.parametrize("name", ROWS)
def test_published_rows_without_a_run_take_the_settings_of_one(name):
    recipe, run = load_recipe(CONFIGS / "mxnetseg" / f"{name}.yaml"), load_recipe(CONFIGS / f"{ROWS[name]}.yaml")
    assert (recipe.optimizer, recipe.schedule, recipe.train, recipe.loss) == (
        run.optimizer,
        run.schedule,
        run.train,
        run.loss,
    )
    assert (recipe.data.base, recipe.data.augment) == (run.data.base, run.data.augment)
    model, backbone, stride, data = name.split("_")
    network = recipe.model
    assert (network.name, network.backbone, f"os{network.output_stride}") == (model, backbone, stride)
    assert recipe.data.name == data and "published" in recipe.description


def test_the_table_of_published_rows_names_every_recipe_and_its_figure():
    page = (CONFIGS.parent / "docs" / "training.md").read_text(encoding="utf-8")
    figures = {
        name: figure for figure, name in re.findall(r"\| (\S+ / \S+)[^|]* \| `([\w-]+)` \|$", page, re.MULTILINE)
    }
    assert set(figures) == {*RUNS, *ROWS}
    for name, figure in figures.items():
        described = load_recipe(name).description
        for number in figure.split(" / "):
            assert number == "-" or number in described, name


# what the originals' configs say: lr, weight decay, power, warm-up, steps, images a step
FAMILIES = {
    "moganet/fpn_*": (2e-4, 1e-4, 0.9, 0, 80000, 32),
    "moganet/upernet_*": (1e-4, 0.01, 1.0, 1500, 160000, 16),
    "ffnet/upernet_*": (1e-4, 0.05, 1.0, 1500, 160000, 16),
    "ffnet/ffnet_seg_512*": (6e-5, 0.05, 1.0, 1500, 160000, 16),
    "ffnet/ffnet_seg_1024*": (6e-5, 0.02, 1.0, 1500, 160000, 16),
    "dgmn2/*": (1e-4, 1e-4, 0.9, 0, 40000, 8),
}
# data, within (long, short), crop, evaluation: window, step, multiple
SEEN = {
    "*ade20k.yaml": ("ade20k", (2048, 512), 512, None, None, 32),
    "*1024*cityscapes.yaml": ("cityscapes", (2048, 1024), 1024, 1024, 768, None),
    "*769*cityscapes.yaml": ("cityscapes", (2049, 1025), 769, 769, 513, None),
}
# of backbone and head, in the order of their sizes
DROP_PATH = {"xtiny": 0.05, "tiny": 0.1, "small": 0.1, "base": 0.2, "large": 0.3}


@pytest.mark.parametrize(
    "path",
    [p for p in RECIPES if p.parent.name in ("moganet", "ffnet", "dgmn2")],
    ids=lambda p: str(p.relative_to(CONFIGS)),
)
def test_recipes_of_the_families_train_as_the_originals(path):
    recipe = load_recipe(path)
    (steps,) = [f for pattern, f in FAMILIES.items() if path in CONFIGS.glob(pattern)]
    (seen,) = [f for pattern, f in SEEN.items() if path.match(pattern)]
    optimizer, schedule, train, augment = recipe.optimizer, recipe.schedule, recipe.train, recipe.data.augment
    assert optimizer.name == "adamw" and optimizer.betas == (0.9, 0.999) and optimizer.clip_norm is None
    got = (optimizer.lr, optimizer.weight_decay, schedule.power, schedule.warmup, train.iterations, train.batch_size)
    assert got == pytest.approx(steps)
    assert (schedule.name, schedule.style, schedule.end_lr) == ("poly", "mmcv", 0)
    assert schedule.warmup_ratio == (1e-6 if schedule.warmup else 0)
    evaluation = recipe.eval
    assert (recipe.data.name, recipe.data.fit, augment.crop) == seen[:3] and recipe.data.base is None
    assert (evaluation.crop, evaluation.stride, evaluation.multiple) == seen[3:] and evaluation.average == "logits"
    assert (augment.scale, augment.cat_max_ratio, augment.flip, augment.blur) == ((0.5, 2.0), 0.75, 0.5, 0)
    assert augment.photometric_distortion and not augment.photometric
    assert recipe.loss.average == "all" and recipe.loss.aux_weight == 0.4 and not recipe.loss.also
    assert recipe.model.norm == "syncbn" and (train.accumulate, train.ema) == (1, None)
    decay = optimizer.layer_decay
    if path.name.startswith(("upernet_ffnet_3", "upernet_ffnet_4")):
        assert (decay.rate, decay.layers, decay.kind, decay.stem) == (0.9, 12, "layer", False)
    else:
        assert decay is None
    rate = recipe.model.backbone_options.get("drop_path_rate")
    if path.parent.name == "moganet":
        assert rate == DROP_PATH[recipe.model.backbone.split("_")[1]]
    elif path.parent.name == "ffnet":
        published = {"upernet_ffnet_2": 0.2, "ffnet_seg_1024": 0.35}
        assert rate == next((r for stem, r in published.items() if path.name.startswith(stem)), 0.3)
    heads_faster = [r.lr_mult for r in optimizer.rules if r.match.startswith("^head")]
    assert heads_faster == ([10] if path.name.startswith("ffnet_seg") else [])
