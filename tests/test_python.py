"""The Python interface: what `import mxnetseg` offers, training with callbacks, scoring; and the pages' examples."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest

import mxnetseg
from mxnetseg.config import as_recipe
from mxnetseg.context import as_contexts
from mxnetseg.engine import checkpoint
from mxnetseg.errors import MXNetSegError
from mxnetseg.report import read_results
from mxnetseg.report.plots import Plot

from .engine.tiny import register
from .test_plugins import as_new

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module", autouse=True)
def tiny():
    from mxnetseg.registry import BACKBONES

    register()
    yield
    del BACKBONES["tiny"]


@pytest.fixture(autouse=True)
def no_curves(monkeypatch):
    """Drawing them takes ten times as long as these runs."""
    monkeypatch.setattr("mxnetseg.visual.plot_curves", lambda *_: None)


@pytest.fixture
def keys(streets):
    """A recipe as nested mappings: six iterations, scored after the third and the sixth."""
    return {
        "model": {"name": "fcn", "backbone": "tiny", "options": {"width": 4}},
        "data": {"name": "streets", "root": str(streets), "augment": {"crop": 32}},
        "optimizer": {"name": "adam", "lr": 0.01},
        "train": {"iterations": 6, "batch_size": 2, "workers": 0, "val_every": 3, "static": False},
    }


def weights(result):
    return checkpoint.read(result.last_path).arrays


def assert_same(left, right):
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


def test_the_public_names_are_all_there_and_light():
    script = (
        "import sys, mxnetseg\n"
        "print(sorted({'mxnet', 'cv2', 'numpy', 'pydantic'} & set(sys.modules)))\n"
        "assert dir(mxnetseg) == sorted(mxnetseg.__all__)\n"
        "for name in ('MXNetSegError', 'SaveError', 'PluginError', 'Interrupted', 'Recipe', 'train', 'evaluate',\n"
        "    'DatasetSpec', 'register_dataset', 'register_model', 'register_transform'): getattr(mxnetseg, name)\n"
        "print(mxnetseg.convert.load_state.__name__, 'mxnet' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["[]", "load_state False"], done.stderr
    assert set(mxnetseg._PUBLIC) | {"__version__", "convert", "deploy", "export"} == set(mxnetseg.__all__)
    names = {}
    exec("from mxnetseg import *", names)
    assert set(mxnetseg.__all__) <= set(names)
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        mxnetseg.trian  # noqa: B018


def test_type_checkers_see_every_public_name():
    """What `__init__` imports for them is what `__getattr__` gives."""
    source = (ROOT / "mxnetseg" / "__init__.py").read_text()
    block = source[source.index("if TYPE_CHECKING:") : source.index("__version__ =")]
    found = {}
    for module, names in re.findall(r"from \.([\w.]*) import (.*)", block):
        for name in names.split(", "):
            found[name.split(" as ")[-1]] = module
    assert found == {**mxnetseg._PUBLIC, "convert": "", "deploy": "", "export": ""}


def test_a_run_tells_every_step_and_validation(keys):
    steps, scored = [], []
    result = mxnetseg.train(keys, "cpu", on_step=steps.append, on_validation=scored.append)
    assert [s.iteration for s in steps] == [1, 2, 3, 4, 5, 6] and {s.total for s in steps} == {6}
    assert all(np.isfinite(s.loss) for s in steps) and steps[0].lr == 0.01
    assert [v.iteration for v in scored] == [3, 6]
    assert scored[-1].best == result.best == max(v.scores.miou for v in scored)
    assert scored[-1].scores == result.scores and result.iterations == 6 and result.stopped is None
    assert steps[0].net is scored[0].net and steps[0].run_dir == result.run_dir
    assert mxnetseg.load(result.last_path).spec["backbone"] == "tiny"


@pytest.mark.parametrize("how, at", [("stop", 3), ("raise", 2)])
def test_a_callback_may_end_a_run_which_goes_on_as_if_it_had_not(keys, at, how):
    whole = mxnetseg.train(keys, "cpu", run_dir="whole", weights_dir="whole")

    def end(event):
        if event.iteration != at:
            return
        if how == "raise":
            raise LookupError("enough")
        event.stop("enough")

    call = {"on_validation" if at == 3 else "on_step": end}
    if how == "raise":
        with pytest.raises(LookupError, match="enough"):
            mxnetseg.train(keys, "cpu", run_dir="part", weights_dir="part", **call)
        assert "LookupError: enough" in Path("part/log.txt").read_text()
        assert f"after iteration {at}; the run is saved" in Path("part/log.txt").read_text()
    else:
        part = mxnetseg.train(keys, "cpu", run_dir="part", weights_dir="part", **call)
        assert part.stopped == "enough" and part.iterations == at and part.last_path.exists()
        assert (part.scores is not None) == (at == 3)
    again = mxnetseg.train(contexts="cpu", resume="part")
    assert again.iterations == 6 and again.stopped is None and again.best == whole.best
    assert_same(weights(again), weights(whole))
    assert_same(checkpoint.read("part/state.ckpt").arrays, checkpoint.read("whole/state.ckpt").arrays)
    assert Path("part/metrics.csv").read_text().count("\n") == Path("whole/metrics.csv").read_text().count("\n")


def test_a_callback_that_exits(keys):
    def leave(error, at=3):
        def on_step(step):
            if step.iteration == at:
                raise error

        return on_step

    told = []
    with pytest.raises(SystemExit):
        mxnetseg.train(keys, "cpu", run_dir="exit", on_step=leave(SystemExit(1)), validate=False)
    assert checkpoint.read("exit/state.ckpt").record.state.iteration == 3
    with pytest.raises(LookupError):  # the validation of this iteration isn't repeated by a resume
        mxnetseg.train(keys, "cpu", run_dir="raise", on_step=leave(LookupError()), on_validation=told.append)
    assert [v.iteration for v in told] == [3]
    with pytest.raises(KeyboardInterrupt):
        mxnetseg.train(keys, "cpu", run_dir="at_once", on_step=leave(KeyboardInterrupt(), 2), validate=False)
    assert not Path("at_once/state.ckpt").exists()


@pytest.mark.parametrize("name", ["on_step", "on_validation", "transform"])
def test_what_cannot_be_called_is_found_before_anything_is_written(keys, name):
    with pytest.raises(MXNetSegError, match=f"^{name}=3 can't be called; give a function"):
        mxnetseg.train(keys, "cpu", run_dir="part", **{name: 3})
    assert not Path("part").exists()


def test_who_stops_at_the_end_has_not_stopped_anything(keys):
    result = mxnetseg.train(keys, "cpu", on_step=lambda s: s.stop("late") if s.iteration == 6 else None)
    assert result.stopped is None and result.iterations == 6
    with pytest.raises(MXNetSegError, match="is complete"):
        mxnetseg.train(contexts="cpu", resume=result.run_dir)


def test_a_signal_in_a_callback_ends_the_run_as_anywhere(keys):
    with pytest.raises(mxnetseg.Interrupted) as info:
        mxnetseg.train(keys, "cpu", on_step=lambda s: signal.raise_signal(signal.SIGINT) if s.iteration == 2 else None)
    assert info.value.signum == signal.SIGINT and (info.value.run_dir / "state.ckpt").exists()


def half_black(image, mask):
    return {"image": image // 2, "mask": mask}


def as_it_is(image, mask):
    return {"image": image, "mask": mask}


def test_a_transform_given_in_python(keys):
    plain = mxnetseg.train(keys, "cpu", run_dir="plain", overrides=["train.iterations=1"], validate=False)
    same = mxnetseg.train(
        keys, "cpu", run_dir="same", overrides=["train.iterations=1"], validate=False, transform=as_it_is
    )
    assert_same(weights(plain), weights(same))  # the sample's random numbers are drawn before it
    part = mxnetseg.train(keys, "cpu", run_dir="part", transform=half_black, on_step=lambda s: s.stop(), validate=False)
    assert part.stopped == "a callback" and part.iterations == 1
    assert any((array != weights(plain)[name]).any() for name, array in weights(part).items())
    for other, said in ((None, "None"), (as_it_is, "tests.test_python.as_it_is")):
        with pytest.raises(
            MXNetSegError, match=f"with transform=tests.test_python.half_black, not {said}; give mxnets"
        ):
            mxnetseg.train(contexts="cpu", resume="part", transform=other)
    again = mxnetseg.train(contexts="cpu", resume="part", transform=half_black, validate=False)
    whole = mxnetseg.train(keys, "cpu", transform=half_black, validate=False)
    assert_same(weights(again), weights(whole))


def test_a_recipe_by_any_name(keys, tmp_path):
    (tmp_path / "base.yaml").write_text("train: {iterations: 7}\noptimizer: {lr: 0.5}\n")
    recipe = as_recipe({"_base_": "base.yaml", "train": {"batch_size": 3}}, ["optimizer.lr=0.25"])
    assert (recipe.train.iterations, recipe.train.batch_size, recipe.optimizer.lr) == (7, 3, 0.25)
    assert as_recipe(recipe) is recipe and as_recipe(recipe, ["train.seed=3"]).train.seed == 3
    assert as_recipe("fcn") == as_recipe(ROOT / "configs/fcn.yaml")
    with pytest.raises(MXNetSegError, match="^the recipe: unknown key trian; did you mean train"):
        as_recipe({"trian": {}})
    with pytest.raises(MXNetSegError, match="a mapping of its keys, not a list"):
        as_recipe([keys])
    for overrides in ([{"train": {"epochs": 5}}], "train.epochs=5", None):
        for call in (
            lambda: as_recipe(keys, overrides),  # noqa: B023
            lambda: mxnetseg.load_recipe("fcn", overrides),  # noqa: B023
            lambda: mxnetseg.train(resume="nowhere", overrides=overrides),  # noqa: B023
        ):
            with pytest.raises(MXNetSegError, match='^overrides: a list of "key=value", for example .*, not '):
                call()
    for nothing in ("", None, 3):
        with pytest.raises(MXNetSegError, match=f"^a recipe is a path, or the name of one .*, not {nothing!r}$"):
            mxnetseg.load_recipe(nothing)
    with pytest.raises(MXNetSegError, match="train needs a recipe"):
        mxnetseg.train(contexts="cpu")


def test_what_is_no_checkpoint_and_no_data_set():
    for call in (mxnetseg.load, checkpoint.read):
        with pytest.raises(MXNetSegError, match="a checkpoint is the path of a file, not 0"):
            call(0)  # would be standard input
    with pytest.raises(MXNetSegError, match="register_dataset takes a DatasetSpec, not a dict"):
        mxnetseg.register_dataset({"name": "x"})


def test_contexts_by_any_name(monkeypatch):
    monkeypatch.setattr(mx.context, "num_gpus", lambda: 2)
    assert as_contexts() == [mx.gpu(0), mx.gpu(1)]
    assert as_contexts("cpu") == as_contexts(mx.cpu()) == as_contexts(["cpu:0"]) == [mx.cpu(0)]
    assert as_contexts(1) == as_contexts("1") == [mx.gpu(1)] and as_contexts((0, mx.gpu(1))) == [mx.gpu(0), mx.gpu(1)]
    for wrong, message in (
        ([0, 0], "contexts 0 0: a context is named twice"),
        (
            3,
            'contexts 3: this machine has 2 GPUs that MXNet can use; to train .* say contexts="cpu"$',
        ),
        ([0, "cpu"], "contexts 0 cpu: take GPUs or CPU contexts, not both"),
        (True, "contexts: True is none; say 0"),
        (0.5, "contexts: 0.5 is none"),
        ([], "contexts: an empty list"),
        ("tpu", r'contexts tpu: write 0, \[0, 1\], "cpu" or \["cpu:0", "cpu:1"\]$'),
        ("cpu:99999999999", "contexts cpu:99999999999: CPU contexts are cpu:0 to cpu:1023"),
    ):
        with pytest.raises(MXNetSegError, match=message):
            as_contexts(wrong)
    monkeypatch.setattr(mx.context, "num_gpus", lambda: 0)
    assert as_contexts(None) == [mx.cpu()]


def test_a_report_from_python(streets, tmp_path, monkeypatch):
    monkeypatch.setattr(Plot, "files", lambda self: {"svg": b"<svg></svg>", "png": b""})  # which takes seconds
    net = mxnetseg.create_model("fcn", num_classes=10, backbone="tiny", width=4)
    net.initialize()
    for number, source in enumerate((net, lambda x: net(x))):
        how = dict(data="streets", root=streets, workers=0)
        scores = mxnetseg.evaluate(source, **how, report=tmp_path / str(number))
        assert scores == mxnetseg.evaluate(source, **how)
        about = read_results(tmp_path / str(number)).about
        assert about.get("network", {}).get("name") == (None if number else "fcn") and "checkpoint" not in about
    with pytest.raises(MXNetSegError, match="report.html is there already"):
        mxnetseg.evaluate(net, **how, report=tmp_path / "0")
    with pytest.raises(MXNetSegError, match=r"0000: the network gives no probabilities \(NaN\)"):
        mxnetseg.evaluate(lambda x: net(x) * float("nan"), **how, report=tmp_path / "nan")
    assert not (tmp_path / "nan").exists()
    assert "fcn on tiny: streets val" in (tmp_path / "0/report.html").read_text()
    assert "Report: streets val" in (tmp_path / "1/report.html").read_text()


def test_scores_of_a_checkpoint_or_a_network(keys, streets, own_folder):
    result = mxnetseg.train(keys, "cpu", overrides=["train.iterations=1"])
    scores = mxnetseg.evaluate(result.last_path, contexts="cpu", workers=0)
    assert scores == result.scores
    net = mxnetseg.load(result.last_path, "cpu")
    assert net.contexts == mxnetseg.load(result.last_path).contexts == [mx.cpu()]
    assert mxnetseg.load(result.last_path, ["cpu:0", mx.cpu(1)]).contexts == [mx.cpu(0), mx.cpu(1)]
    assert mxnetseg.Predictor(result.last_path, "cpu:1").context == mx.cpu(1)
    assert mxnetseg.evaluate(net, workers=0) == scores
    assert mxnetseg.evaluate(checkpoint.read(result.last_path), contexts=mx.cpu(), workers=0) == scores
    by_name = mxnetseg.evaluate(net, "streets", root=streets, settings={"scales": [1.0]}, workers=0)
    assert by_name == scores
    assert mxnetseg.evaluate(net, split="train", workers=0).pixels != scores.pixels
    assert mxnetseg.evaluate(net, settings={"flip": True}, workers=0).miou != scores.miou
    assert mxnetseg.evaluate(lambda x: net(x), "streets", root=streets, workers=0) == scores
    Path("a file").touch()
    for call, message in (
        (
            lambda: mxnetseg.evaluate(net, dict(own_folder), workers=0),
            "the network predicts 10 classes, .* has 3; say data=N",
        ),
        (lambda: mxnetseg.evaluate(net, contexts="cpu"), "contexts and dtype are for checkpoints"),
        (
            lambda: mxnetseg.evaluate(lambda x: x),
            "the network does not say what data it was trained on; give data=NAME",
        ),
        (lambda: mxnetseg.evaluate(3, "streets"), "a network is what"),
        (lambda: mxnetseg.evaluate(net, report="a file"), "a file is a file; a report is a folder"),
        (lambda: mxnetseg.evaluate(net, overwrite=True), "overwrite=True is about a report"),
        (
            lambda: mxnetseg.evaluate(lambda x: net(x)[:, :3], "streets", root=streets, workers=0),
            "the network gives logits of 3 classes, 10 are wanted",
        ),
        (
            lambda: mxnetseg.evaluate(lambda x: None, "streets", root=streets, workers=0, settings={"flip": True}),
            "the network gives None for images",
        ),
        (lambda: mxnetseg.load(result.last_path, "tpu"), "^ctx tpu: write 0"),
        (lambda: mxnetseg.evaluate(net, data=5), "^data=5: give a data set's name, or the keys of a recipe's `data`"),
        (lambda: mxnetseg.evaluate(net, data=["streets"]), r"^data=\['streets'\]: give a data set's name"),
        (lambda: mxnetseg.evaluate(net, split=5), "^split=5: give a split's name"),
        (lambda: mxnetseg.evaluate(net, root=5), "^root=5: give a folder"),
        (lambda: mxnetseg.evaluate(net, settings=5), "^settings=5: give the keys"),
        (lambda: mxnetseg.evaluate(net, workers=-1), "^workers -1: a number of processes, 0 or more"),
        (lambda: mxnetseg.evaluate(net, workers="2"), "^workers '2': a number of processes, 0 or more"),
        (lambda: mxnetseg.evaluate(net, {"nmae": "streets"}), "unknown key data.nmae; did you mean data.name"),
    ):
        with pytest.raises(MXNetSegError, match=message):
            call()


@pytest.mark.parametrize("page", ["python.md", "extending.md"])
def test_the_examples_of_the_page(page, streets, monkeypatch):
    """Its Python blocks, one after the other, in one namespace, on drawn scenes; with a smaller backbone."""
    Path("datasets").mkdir()
    Path("datasets/streets").symlink_to(streets)
    Path("datasets/two_kinds").symlink_to(streets)
    text = (ROOT / "docs" / page).read_text(encoding="utf-8").replace('"mobilenet_v2_0_25"', '"tiny"')
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert len(blocks) > 3
    names = {"__name__": "page"}
    with as_new():
        for block in blocks:
            if "import albumentations" in block:  # which is not among our requirements
                continue
            exec(compile(block, page, "exec"), names)
