"""Plugins: found by name, imported late, told apart from our own things, and named when they are broken or missing."""

import configparser
import contextlib
import re
import shutil
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from mxnet import nd
from mxnet.gluon import HybridBlock
from mxnet.gluon.nn import Conv2D

import mxnetseg
from mxnetseg import PluginError, create_model, list_models, plugins
from mxnetseg.cli import doctor, main
from mxnetseg.config import DataConfig, LossConfig, as_recipe
from mxnetseg.data import get_spec, list_datasets
from mxnetseg.engine import checkpoint
from mxnetseg.engine.forecast import activation_bytes
from mxnetseg.engine.record import PluginFact, Record
from mxnetseg.errors import MXNetSegError
from mxnetseg.losses import PixelLoss, build_loss, total_loss
from mxnetseg.models import Branch, Segmentor
from mxnetseg.registry import MODELS, register_loss, register_model

from .packages import EXAMPLE, install, make_package

ROOT = Path(__file__).resolve().parents[1]
CPU = ["--ctx", "cpu", "--quiet"]
ALL = "model example_sum, backbone example_tiny, data set example_road, loss example_poly, transform example_fog"
MODEL = """
from mxnetseg import register_model

@register_model("{name}", backbone="mobilenet_v2_0_25", output_stride=32, paper="")
def build(backbone, num_classes, aux):
    from mxnetseg.heads import FCNHead
    from mxnetseg.models import Branch, Segmentor
    return Segmentor(backbone, Branch(FCNHead(backbone.channels[3], num_classes)))
"""


@contextlib.contextmanager
def as_new():
    """What is registered, requested or imported within it is gone after it."""
    modules, path = set(sys.modules), list(sys.path)
    with contextlib.ExitStack() as stack:
        for table in plugins.TABLES.values():
            stack.enter_context(patch.dict(table))
        yield
    plugins.request(())
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith(("mxnetseg_example", "theirs")):
            del sys.modules[name]


@pytest.fixture(autouse=True)
def tables(monkeypatch):
    monkeypatch.setattr("mxnetseg.visual.plot_curves", lambda *_: None)  # it takes ten times as long as these runs
    with as_new():
        yield


@pytest.fixture
def example(tmp_path, monkeypatch):
    install(EXAMPLE, tmp_path / "site")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return tmp_path / "site"


def package(monkeypatch, folder, name, groups, **modules):
    make_package(Path(folder), name, groups, modules)
    monkeypatch.syspath_prepend(str(Path(folder).absolute()))


def said(call, *arguments):
    with pytest.raises(PluginError) as info:
        call(*arguments)
    return str(info.value)


def test_names_are_known_before_anything_is_imported(example):
    assert "example_sum" in list_models() and "example_tiny" in mxnetseg.list_backbones()
    assert "example_road" in list_datasets()
    assert "mxnetseg_example" not in sys.modules
    with pytest.raises(MXNetSegError, match="unknown model 'exampel_sum'; did you mean example_sum"):
        create_model("exampel_sum")
    assert get_spec(DataConfig(name="Example-Road")).classes == ("road", "other")
    assert "mxnetseg_example.data" in sys.modules and "mxnetseg_example.networks" not in sys.modules
    net = create_model("EXAMPLE_SUM", num_classes=2, backbone_options={"width": 4})
    assert net.spec["name"] == "example_sum" and net.spec["backbone"] == "example_tiny"
    assert MODELS.origin("example_sum") == ("mxnetseg_example.networks", "mxnetseg-example", "0.1.0")
    assert MODELS.origin("fcn") is None


def test_the_example_is_trained_scored_opened_and_missed(example, streets, capfd, monkeypatch):
    with as_new():
        best = train_example(streets, capfd)
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if folder != str(example)])  # uninstalled
    for command, what in (
        (
            ["predict", str(streets / "images/val"), "--checkpoint", str(best), *CPU],
            "model example_sum, backbone example_tiny",
        ),
        (["eval", "--checkpoint", str(best), *CPU], "data set example_road"),
        (["train", "--resume", "run", *CPU], ALL),
    ):
        assert main(command) == 2
        assert f"needs {what} of the package mxnetseg-example 0.1.0, which is not installed" in capfd.readouterr().err


def train_example(streets, capfd):
    """Two iterations with a worker; the checkpoint is scored and opened."""
    recipe = ["--config", str(EXAMPLE / "recipe.yaml"), "--root", str(streets)]
    shorter = ["--set", "train.epochs=0.4", "train.batch_size=2", "train.workers=1"]
    assert main(["train", *recipe, "--dry-run", *CPU]) == 0
    assert "example_fog" in capfd.readouterr().out
    assert main(["train", *recipe, *CPU, *shorter, "--run-dir", "run"]) == 0
    assert "imports MXNet" not in capfd.readouterr().err  # the worker is light
    best = next(Path("weights/example_sum").glob("*_best.params"))
    record = checkpoint.read(best).record
    assert record.iteration == 2 and {f.distribution for f in record.plugins} == {"mxnetseg-example"}
    assert {(f.kind, f.name) for f in record.plugins} == {
        ("model", "example_sum"),
        ("backbone", "example_tiny"),
        ("loss", "example_poly"),
        ("data set", "example_road"),
        ("transform", "example_fog"),
    }
    assert main(["eval", "--checkpoint", str(best), *CPU]) == 0
    assert "road" in capfd.readouterr().out
    assert main(["models", "example_sum", "--quiet"]) == 0
    assert main(["data", "show", "example_road"]) == 0
    assert mxnetseg.load(best).spec["name"] == "example_sum"
    return best


def test_a_module_by_name_or_file_and_a_checkpoint_without_it(tmp_path, capfd, streets):
    Path("my").mkdir()
    Path("my/theirs_net.py").write_text(MODEL.format(name="theirs"))
    command = ["train", "--config", "r.yaml", *CPU, "--no-val", "--run-dir", "run"]
    Path("r.yaml").write_text(
        f"model: {{name: theirs}}\ndata: {{name: streets, root: {streets}, augment: {{crop: 32}}}}\n"
        "train: {iterations: 1, batch_size: 2, workers: 0, static: false}\n"
    )
    assert main(command) == 2
    assert "unknown model 'theirs'" in capfd.readouterr().err
    with as_new():
        assert main([*command, "--import", "my/theirs_net.py"]) == 0
        assert "--import my/theirs_net.py" in capfd.readouterr().out  # the command for what comes next
        assert main(["flops", "--model", "theirs", "--import", "my/theirs_net.py", "--shape", "64"]) == 0
    file = next(Path("weights/theirs").glob("*.params"))
    with pytest.raises(PluginError) as info:
        mxnetseg.load(file)
    assert str(info.value) == (
        f"checkpoint {file}: needs model theirs of the module theirs_net, which was not imported: say "
        "--import theirs_net, or the path of its file theirs_net.py (in Python, import it first)"
    )
    Path("theirs_net.py").write_text(MODEL.format(name="theirs"))
    plugins.request(["theirs_net"])  # of the working directory
    assert mxnetseg.load(file).spec["name"] == "theirs"


@pytest.mark.parametrize(
    "name, message",
    [
        ("no_such_module", "--import no_such_module: no module no_such_module, neither installed nor in this folder"),
        ("no/such.py", "--import no/such.py: no such file"),
        ("not a name", "--import not a name: is no name of a module"),
        ("json.py", r"--import json.py: another module is called json, .*json/__init__.py; rename it"),
        ("theirs_broken.py", r"--import theirs_broken: ZeroDivisionError: division by zero \(.*theirs_broken.py:2\)"),
        ("theirs_mute.py", r"--import theirs_mute: Mute: \(its text can't be printed\) \(.*theirs_mute.py:3\)"),
        ("theirs_null.py", r"--import theirs_null: \w+Error: source code .*null bytes \([^:]*theirs_null.py\)"),
        ("theirs_unfinished.py", r"--import theirs_unfinished: SyntaxError: .* \(.*theirs_unfinished.py:1\)"),
    ],
)
def test_a_module_that_cant_be_imported(name, message, capfd):
    Path("json.py").touch()
    Path("theirs_broken.py").write_text("\n1 / 0\n")
    Path("theirs_mute.py").write_text("class Mute(Exception):\n    def __str__(self): return 1 / 0\nraise Mute\n")
    Path("theirs_null.py").write_text("a = 1\0\n")
    Path("theirs_unfinished.py").write_text("def f(:\n")
    assert main(["data", "list", "--import", name]) == 2
    assert re.search(message, capfd.readouterr().err)


def test_a_broken_plugin_is_named_and_stops_nothing_else(tmp_path, monkeypatch, capfd):
    group = {"mxnetseg.backbones": {"theirs": "theirs_a"}, "mxnetseg.models": {"theirs_too": "theirs_b:no_such"}}
    group["mxnetseg.datasets"] = {"theirs": "theirs_c"}
    package(monkeypatch, "site", "theirs", group, theirs_a="import no_such_thing", theirs_b="", theirs_c="")
    assert create_model("fcn", "mobilenet_v2_0_25").spec["name"] == "fcn"
    message = said(create_model, "fcn", "theirs")
    assert message.startswith("backbone theirs: its plugin is broken: entry point theirs = theirs_a (mxnetseg.backbone")
    assert "of package theirs 1.0 can't be imported: ModuleNotFoundError: No module named 'no_such_thing'" in message
    assert "no attribute 'no_such'" in said(create_model, "theirs_too")
    assert "was imported, but has registered no data set of this name" in said(get_spec, DataConfig(name="theirs"))
    assert main(["models", "--backbones"]) == 0
    captured = capfd.readouterr()
    assert "resnet18" in captured.out and "theirs" not in captured.out
    assert "warning: backbone theirs: its plugin is broken" in captured.err
    assert main(["data", "list"]) == 0
    assert "warning: data set theirs: its plugin is broken" in capfd.readouterr().err
    problems = []
    [(title, has)] = doctor._plugins(problems)
    assert title == "plugin theirs 1.0"
    assert set(has.split(", ")) == {"backbone theirs", "model theirs_too", "data set theirs"}
    assert sum("its plugin is broken" in problem for problem in problems) == 3


def test_names_that_clash_are_told_with_both_sides(monkeypatch):
    package(
        monkeypatch, "one", "theirs-one", {"mxnetseg.models": {"FCN": "theirs_a", "x": "theirs_a"}}, theirs_a="1 / 0"
    )
    package(monkeypatch, "two", "theirs-two", {"mxnetseg.models": {"X": "theirs_b"}}, theirs_b=MODEL.format(name="X"))
    message = said(create_model, "fcn")
    assert (
        "model fcn: mxnetseg itself and entry point FCN = theirs_a (mxnetseg.models) of package theirs-one" in message
    )
    message = said(create_model, "x")
    assert "of package theirs-one 1.0" in message and "of package theirs-two 1.0" in message
    assert "theirs_a" not in sys.modules and "theirs_b" not in sys.modules
    assert create_model("pspnet", "mobilenet_v2_0_25").spec["name"] == "pspnet"


def test_a_module_that_takes_one_of_our_names(capfd):
    Path("theirs_fcn.py").write_text(MODEL.format(name="FCN"))
    assert main(["flops", "--model", "pspnet", "--import", "theirs_fcn.py"]) == 2
    err = capfd.readouterr().err
    assert "model FCN: both mxnetseg itself and the module theirs_fcn have one of this name; rename the one of" in err


def test_whoever_registers_a_name_may_do_so_again():
    for _ in range(2):
        register_model("again", backbone="resnet18", output_stride=32, paper="")(lambda backbone, num_classes, aux: 0)
    MODELS.add("mine", MODELS["fcn"], "some.module")
    with pytest.raises(PluginError, match="both the module some.module and the module tests.test_plugins"):
        register_model("mine", backbone="resnet18", output_stride=32, paper="")(lambda backbone, num_classes, aux: 0)
    with pytest.raises(PluginError, match="a name is made of letters"):
        register_loss("a b")(lambda num_classes, class_weights: 0)
    with pytest.raises(PluginError, match="mxnetseg itself"):
        plugins.TABLES["data set"].add("Folder", None, "some.module")


def test_help_imports_neither_plugins_nor_mxnet(monkeypatch):
    groups = {"mxnetseg.models": {"theirs": "theirs_a"}, "mxnetseg.datasets": {"theirs": "theirs_a"}}
    package(monkeypatch, "site", "theirs", groups, theirs_a="1 / 0")
    script = (
        "import sys; from mxnetseg.cli import main\n"
        "try: main(['train', '--help'])\n"
        "except SystemExit: print(sorted({'mxnet', 'cv2', 'numpy', 'theirs_a'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], env={"PYTHONPATH": f"{ROOT}:site"}, capture_output=True)
    assert done.stdout.decode().splitlines()[-1] == "[]", done.stderr


def test_what_a_builder_gives_is_looked_at():
    register_model("empty", backbone="mobilenet_v2_0_25", output_stride=32, paper="")(lambda backbone, n, aux: None)
    with pytest.raises(PluginError, match="the builder of model empty gave a NoneType, not a Segmentor"):
        create_model("empty")
    register_loss("empty")(lambda num_classes, class_weights, how=1: None)
    with pytest.raises(PluginError, match="the builder of loss empty gave a NoneType, not a Criterion"):
        build_loss(LossConfig(name="empty"), 3)
    with pytest.raises(MXNetSegError, match="loss empty has no option 'hwo'; did you mean how"):
        build_loss(LossConfig(name="empty", options={"hwo": 1}), 3)
    with pytest.raises(MXNetSegError, match="loss.options: has no effect where name is ce, only with a plugin's"):
        as_recipe({"loss": {"name": "ce", "options": {"how": 1}}})


def test_a_record_may_name_plugins_but_not_much_else(tmp_path):
    """Whatever a file says of plugins is printed at most."""
    for name in ("\x1b[2J", "a\nb", "x" * 300):
        with pytest.raises(ValueError):
            PluginFact(kind="model", name=name)
    Path("theirs_trap.py").write_text("raise SystemExit('imported')")
    fact = PluginFact(kind="model", name="trap", module="theirs_trap")
    assert Record(plugins=[fact]).plugins == [fact]
    assert "needs model trap of the module theirs_trap, which was not imported" in said(plugins.require, [fact], "it")
    assert "theirs_trap" not in sys.modules
    unknown = PluginFact(kind="something new", name="x")
    plugins.require([unknown], "it")  # of a newer version


def test_a_damaged_installation_is_named(monkeypatch):
    package(monkeypatch, "site", "theirs", {"mxnetseg.models": {"theirs": "theirs_a"}})
    next(Path("site").glob("*.dist-info")).joinpath("METADATA").unlink()
    problems = plugins.check_installed()[1]
    assert len(problems) == 1 and "the entry points of" in problems[0] and "theirs-1.0.dist-info: " in problems[0]
    assert create_model("fcn", "mobilenet_v2_0_25").spec["name"] == "fcn"


def test_a_list_leaves_out_a_claim_to_one_of_our_names(monkeypatch, capfd):
    groups = {"mxnetseg.models": {"fcn": "json", "theirs": "theirs_a"}}
    failing = MODEL.format(name="theirs").replace("    return", "    1 / 0\n    return")
    package(monkeypatch, "site", "theirs", groups, theirs_a=failing)
    ours = [name for name in MODELS if name not in ("fcn", "pspnet")]
    for name in ours:  # building all takes a while
        monkeypatch.delitem(MODELS, name)
    assert main(["models", "--quiet", "--shape", "64"]) == 0
    captured = capfd.readouterr()
    assert [line.split()[0] for line in captured.out.splitlines()[2:]] == ["fcn", "pspnet"]
    first, second = captured.err.splitlines()
    assert first.startswith(
        "warning: model fcn: mxnetseg itself and entry point fcn = json (mxnetseg.models) of package"
    )
    assert second.startswith(
        "warning: model theirs of the package theirs 1.0: can't be built on mobilenet_v2_0_25 with"
    )
    assert "ZeroDivisionError: division by zero (" in second and "theirs_a.py:" in second
    assert main(["models", "fcn", "--quiet"]) == 2  # who names it is told
    capfd.readouterr()
    assert main(["flops", "--model", "theirs", "--shape", "64"]) == 2
    assert capfd.readouterr().err == second.replace("warning", "error") + "\n"


def test_a_networks_forward_pass_that_fails_is_told_in_one_line():
    class Broken(mxnetseg.backbones.Backbone):
        def hybrid_forward(self, F, x):
            raise KeyError("c9")

    create = mxnetseg.registry.register_backbone("theirs", output_strides=(32,))
    create(lambda: Broken((8, 8, 8, 8)))
    message = said(create_model, "fcn", "theirs")
    assert message.startswith(f"backbone theirs of the module {__name__}: its forward pass fails: KeyError: 'c9' (")


def test_all_that_is_missing_is_named_at_once():
    def fact(kind, name, module, *package):
        return PluginFact(kind=kind, name=name, module=module, **dict(zip(("distribution", "version"), package)))

    facts = [fact("model", "a", "good"), fact("loss", "b", "good"), fact("model", "fcn", ""), fact("loss", "c", "x.y")]
    packed = [fact("backbone", "d", "p.one", "p", "1"), fact("data set", "e", "p.two", "p", "1")]
    assert said(plugins.require, [*facts, *packed], "it") == (
        "it: needs model a, loss b of the module good, which was not imported: say --import good, or the path of its "
        "file good.py (in Python, import it first); and loss c of the module x.y, which was not imported: say --import "
        "x.y (in Python, import it first); and backbone d, data set e of the package p 1, which is not installed here; "
        "install it, if you trust where it comes from"
    )


@pytest.mark.parametrize(
    "body, what",
    [
        (
            "def build(num_classes, class_weights, how=1):\n    1 / 0",
            r"can't be built with the options {'how': 2}: ZeroDiv",
        ),
        (
            "def build(num_classes, class_weights, how=1):\n    pass",
            "the builder of loss theirs gave a NoneType, not a",
        ),
        (
            "def build(n, w, how=1):\n    return Loss(n, w)",
            r"its forward fails: ZeroDivisionError: .* \(.*theirs_loss.py:6\)",
        ),
        ("def build(n, w, how=1):\n    return Criterion(n, w)", "its normalizer fails: NotImplementedError"),
    ],
)
def test_a_loss_that_fails_is_told_in_one_line(body, what, streets, capfd):
    Path("theirs_loss.py").write_text(
        "from mxnetseg.losses import Criterion, PixelLoss\nfrom mxnetseg import register_loss\n"
        "class Loss(PixelLoss):\n    def hybrid_forward(self, F, logits, labels, scale, weights):\n"
        f"        logits = logits * 2\n        return 1 / 0\n\n@register_loss('theirs')\n{body}\n"
    )
    Path("r.yaml").write_text(
        "model: {name: fcn, backbone: mobilenet_v2_0_25}\nloss: {name: theirs, options: {how: 2}}\n"
        f"data: {{name: streets, root: {streets}, augment: {{crop: 32}}}}\n"
        "train: {iterations: 1, batch_size: 2, workers: 0}\n"
    )
    assert (
        main(["train", "--config", "r.yaml", "--import", "theirs_loss.py", "--no-val", "--run-dir", "run", *CPU]) == 2
    )
    error = capfd.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ") and "loss theirs" in error and re.search(what, error), error


@pytest.mark.parametrize("also", [[], [{"name": "dice"}]])
@pytest.mark.parametrize(
    "gives, told",
    [
        (lambda labels, scale: labels, "an array of shape (3, 4, 4)"),
        (lambda labels, scale: labels.sum(axis=(1, 2)), "an array of shape (3,)"),
        (lambda labels, scale: [scale, scale], "a list"),
    ],
)
def test_a_loss_of_another_shape_is_told_with_its_name(gives, told, also):
    class Loss(PixelLoss):
        def hybrid_forward(self, F, logits, labels, scale, weights):
            return gives(F.take(weights, labels), scale)

    register_loss("theirs")(Loss)
    criterion = build_loss(LossConfig(name="theirs", also=also), 2)
    criterion.initialize()
    criterion.hybridize()
    logits, labels = nd.zeros((3, 2, 4, 4)), nd.zeros((3, 4, 4))
    assert said(total_loss, criterion, [logits, logits], labels, nd.ones((1 + len(also),)), 0.4) == (
        f"loss theirs of the module {__name__}: gives {told} for logits (3, 2, 4, 4) and labels (3, 4, 4); it has to "
        "give (1,): the sum of it all, times scale"
    )


def test_a_reshape_to_another_size_is_told_before_it_runs():
    """MXNet 1.9.1 lets it pass, and writes beyond the array: a crash, sooner or later."""

    class Loss(PixelLoss):
        def hybrid_forward(self, F, logits, labels, scale, weights):
            return F.sum(F.reshape(labels, (-1, 7))).reshape((1,)) * scale

    register_loss("theirs")(Loss)
    for hybrid in (False, True):
        criterion = build_loss(LossConfig(name="theirs"), 2)
        criterion.initialize()
        criterion.hybridize(hybrid)
        message = said(criterion, nd.zeros((3, 2, 4, 4)), nd.zeros((3, 4, 4)), nd.ones((1,)))
        assert message.startswith(
            f"loss theirs of the module {__name__}: for logits (3, 2, 4, 4) and labels (3, 4, 4) "
        )
        assert message.endswith("reshapes (3, 4, 4) to (6, 7), which has another number of values")

    class Head(HybridBlock):
        def hybrid_forward(self, F, x):
            return F.reshape(x, (1, 2, 3, 3))

    register_model("theirs", backbone="mobilenet_v2_0_25", output_stride=32, paper="")(
        lambda backbone, num_classes, aux: Segmentor(backbone, Branch(Head()))
    )
    message = said(create_model, "theirs")
    assert "model theirs of the module" in message and "to (1, 2, 3, 3), which has another number of values" in message


def test_a_network_that_fails_at_some_sizes_is_told_in_one_line(streets):
    """As all do whose position embedding has one size."""

    class Head(HybridBlock):
        def __init__(self, channels, num_classes):
            super().__init__()
            self.conv = Conv2D(num_classes, 1, in_channels=channels)
            self.place = self.params.get("place", shape=(1, 1, 2, 2))

        def hybrid_forward(self, F, x, place):
            return F.broadcast_add(self.conv(x), place)

    def build(backbone, num_classes, aux):
        return Segmentor(backbone, Branch(Head(backbone.channels[3], num_classes)))

    register_model("theirs", backbone="mobilenet_v2_0_25", output_stride=32, paper="")(build)
    net = create_model("theirs", num_classes=2)
    net.initialize()
    assert net(nd.zeros((1, 3, 64, 64))).shape == (1, 2, 64, 64)
    net.hybridize()
    for call in (net, net.coarse_logits, net.class_map, net.head_logits):
        message = said(call, nd.zeros((1, 3, 128, 96)))
        start = (
            f"model theirs of the module {__name__}: its forward pass fails for images (1, 3, 128, 96): MXNetError: "
        )
        assert message.startswith(start) and "\n" not in message
    with pytest.raises(
        MXNetSegError, match=r"theirs on .*, float32\) can't take images \(1, 3, 128, 128\): MXNetError: E"
    ):
        mxnetseg.deploy.optimize(net, size=(64, 64))(nd.zeros((1, 3, 128, 128)))
    with pytest.raises(MXNetSegError, match="can't take an image of height 128 and width 128: .*Error in operator"):
        activation_bytes(net, (2, 3, 128, 128))


def test_a_loss_needs_no_init_of_its_own():
    class Loss(PixelLoss):
        def hybrid_forward(self, F, logits, labels, scale, weights):
            return F.sum(labels).reshape((1,)) * scale

    register_loss("theirs")(Loss)
    criterion = build_loss(LossConfig(name="theirs", class_weights=[1, 2], options={"average": "all"}), 2)
    assert isinstance(criterion, Loss) and criterion.normalizer([np.zeros((1, 2, 3), np.uint8)]) == 6
    for build in (
        lambda n, power=2.0: 0,
        lambda n, w, *more: 0,
        lambda n, w, **more: 0,
        lambda n, *, class_weights=1: 0,
    ):
        with pytest.raises(TypeError, match="a builder takes num_classes, class_weights, then options"):
            register_loss("other")(build)


def test_a_decorator_without_its_name_says_how_it_is_written():
    facts = {"model": ", backbone=..., output_stride=..., paper=..."}
    for kind in ("model", "backbone", "loss", "transform"):
        register = getattr(mxnetseg, f"register_{kind}")
        assert f'say @register_{kind}("name"{facts.get(kind, "")})' in said(register, lambda: 0)


def test_config_takes_import(capfd):
    Path("theirs_net.py").write_text(MODEL.format(name="theirs"))
    Path("r.yaml").write_text("model: {name: theirs}\n")
    assert main(["config", "r.yaml", "--import", "theirs_net.py"]) == 0
    assert "name: theirs" in capfd.readouterr().out


@pytest.mark.slow
def test_pip_installs_the_example_as_these_tests_do(tmp_path, example):
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", "real"]
    shutil.copytree(EXAMPLE, "copy")  # building leaves files beside it
    done = subprocess.run([*command, "./copy"], capture_output=True, text=True)
    if done.returncode and re.search(r"NewConnectionError|No matching distribution|ReadTimeout", done.stderr):
        pytest.skip(f"pip can't fetch setuptools: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    for name in ("mxnetseg_example/networks.py", "mxnetseg_example/data.py", "mxnetseg_example/losses.py"):
        assert Path("real", name).read_text() == (example / name).read_text()

    def points(folder):
        config = configparser.ConfigParser()
        config.read(next(Path(folder).glob("*.dist-info")) / "entry_points.txt")
        return {group: dict(config[group]) for group in config.sections()}

    assert points("real") == points(example)
