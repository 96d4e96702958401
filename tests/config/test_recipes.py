"""Recipes: inheritance, overrides, and what a mistake is told."""

from pathlib import Path

import pytest

from mxnetseg.config import dump_recipe, find_recipe, load_recipe, override_recipe, recipe_for
from mxnetseg.errors import MXNetSegError

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
RECIPES = [p for p in sorted(CONFIGS.rglob("*.yaml")) if p.parent.name != "_base_" and p.stem != "sweep"]


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: str(p.relative_to(CONFIGS)))
def test_every_shipped_recipe_builds_its_network(path):
    from mxnetseg import create_model
    from mxnetseg.data import num_classes_of

    recipe = load_recipe(path)
    net = create_model(config=str(path))
    assert net.spec["num_classes"] == num_classes_of(recipe.data)
    assert recipe.description
    if recipe.loss.class_weights:
        assert len(recipe.loss.class_weights) == num_classes_of(recipe.data)


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


@pytest.mark.parametrize(
    "text, message",
    [
        ("optimiser: {lr: 1}\n", "unknown key optimiser; did you mean optimizer?"),
        ("optimizer: {learning: 1}\n", "unknown key optimizer.learning; known here: name, lr"),
        ("data: {augment: {crops: 1}}\n", "unknown key data.augment.crops; did you mean data.augment.crop?"),
        ("optimizer: {rules: [{match: a, lr_mul: 2}]}\n", "lr_mul; did you mean optimizer.rules.0.lr_mult?"),
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


def test_recipes_by_model_name(tmp_path):
    assert find_recipe("FCN").name == "fcn.yaml"
    assert recipe_for("deeplab-v3").model.name == "deeplabv3"
    with pytest.raises(MXNetSegError, match="no recipe configs/pspnett.yaml; did you mean pspnet"):
        find_recipe("pspnett")
    write(Path("configs") / "fcn.yaml", "description: mine\n")
    assert recipe_for("fcn").description == "mine"  # the working directory comes first


def test_a_near_file_is_named(tmp_path):
    write(tmp_path / "camvid.yaml", "")
    with pytest.raises(MXNetSegError, match=r"did you mean .*camvid\.yaml"):
        load_recipe(tmp_path / "camvit.yaml")
