"""Several processes train one network as one process with as many contexts does, bit for bit for two."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import mxnet as mx
import pytest

from mxnetseg.config import load_recipe
from mxnetseg.dist.addresses import free_port
from mxnetseg.engine import checkpoint
from mxnetseg.engine.rundir import STATE

from . import shared
from .shared import TWO, same

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = """
import sys
from mxnetseg.dist.launcher import start_here, tend
count = int(sys.argv[1])
sys.exit(tend(start_here(sys.argv[3:], range(count), count, ("127.0.0.1", int(sys.argv[2])), 1)))
"""


def launch(*python, count=2, timeout=120):
    """Run `python ...` in so many processes; their output."""
    command = [sys.executable, "-c", LAUNCH, str(count), str(free_port()), *map(str, python)]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout)
    return done.returncode, done.stdout.decode()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where two processes have done their work."""
    folder = tmp_path_factory.mktemp("shared")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        shared.without_dropout(patch.setattr)
        shared.prepare(folder)
        status, output = launch("-c", shared.WORK % ("env", "main"), folder)
        assert status == 0, output
        (folder / "output").write_text(output)
        shared.trained("reference", TWO)
    return folder


def losses(name):
    rows = (line.split(",") for line in (Path(name) / "metrics.csv").read_text().splitlines())
    return [(row[0], row[3], *row[-3:]) for row in rows]


@pytest.fixture(autouse=True)
def there(folder, in_a_folder_of_its_own, monkeypatch):
    monkeypatch.chdir(folder)
    shared.without_dropout(monkeypatch.setattr)


def test_two_processes_are_one_with_two_contexts():
    same("whole", "reference")
    assert losses("whole") == losses("reference")


def test_a_signal_to_one_stops_all_and_one_process_goes_on(folder):
    output = (folder / "output").read_text()
    for rank in (0, 1):
        # it came after the processes had met in step 3
        assert f"rank {rank} ended: stopped and saved after iteration 4 of 5" in output
    shared.trained("stopped", TWO, resume=True)
    same("stopped", "reference")


def test_two_processes_go_on_where_one_was_stopped():
    same("begun_by_one", "reference")


def test_a_loss_that_is_not_finite_in_one_process_ends_all(folder):
    output = (folder / "output").read_text()
    for rank in (0, 1):
        assert f"rank {rank} ended: the loss is nan (of rank 1) at iteration 3" in output


@pytest.mark.slow
def test_commands_in_two_processes(recipe_file, tmp_path):
    weights = ["--weights-dir", tmp_path / "weights", "--run-dir", tmp_path / "run"]
    few = ["--set", "train.iterations=2", "train.val_every=1"]
    status, output = launch("-m", "mxnetseg", "train", "--config", recipe_file, "--ctx", "cpu", *weights, *few)
    assert status == 0 and output.count("\nrun    ") == 1, output
    assert "of 2 processes (kvstore)" in (tmp_path / "run" / "log.txt").read_text()
    (best,) = tmp_path.glob("weights/bisenet/*_best.params")
    score = ["-m", "mxnetseg", "eval", "--checkpoint", best, "--ctx", "cpu", "--quiet"]
    tables = []
    for count in (2, 3, 1):
        status, output = launch(*score, "--json", tmp_path / f"{count}.json", count=count)
        assert status == 0 and output.count("mIoU") == 1, output
        tables.append((tmp_path / f"{count}.json").read_bytes())
    assert tables[0] == tables[1] == tables[2]
    status, output = launch(*score, "--mode", "testval", "--out", tmp_path / "out")
    assert status == 0 and "4 predictions in" in output, output
    label = sorted((tmp_path / "out" / "label").glob("**/*.png"))
    assert len(label) == 4
    for path in label[1::2]:  # those of rank 1, which could write
        path.unlink()
        (tmp_path / "out" / "color" / path.relative_to(tmp_path / "out" / "label")).unlink()
    status, output = launch(*score, "--mode", "testval", "--out", tmp_path / "out")
    assert status == 2 and "rank 0 failed: " in output and not label[1].exists(), output
    status, output = launch("-m", "mxnetseg", "train", "--config", recipe_file, "--ctx", "cpu", count=3)
    assert status == 2 and "train.batch_size 4 does not share out evenly over 3 processes; 3 or 6 would" in output


@pytest.mark.slow
def test_a_bad_image_in_one_share_ends_all_and_the_run_is_saved(recipe_file, tmp_path):
    recipe = load_recipe(recipe_file)
    root = tmp_path / "streets"
    shutil.copytree(recipe.data.root, root)
    images = sorted(path for path in root.rglob("*") if path.is_file() and "val" in str(path) and "image" in str(path))
    images[1].write_bytes(images[1].read_bytes()[:100])  # of the share of rank 1
    arguments = ["--config", recipe_file, "--root", root, "--ctx", "cpu", "--force", "--run-dir", tmp_path / "run"]
    status, output = launch("-m", "mxnetseg", "train", *arguments)
    assert status == 2 and "rank 1 failed: " in output and images[1].name in output, output
    state = checkpoint.read(tmp_path / "run" / STATE).record.state
    assert state.iteration == 3 and state.unscored


@pytest.mark.slow
def test_processes_with_one_and_two_contexts(folder):
    status, output = launch("-c", shared.WORK % ("env", "uneven"), folder)
    assert status == 0, output
    shared.trained("uneven_here", [mx.cpu(i) for i in range(3)], changes=["train.batch_size=4"])
    same("uneven", "uneven_here", rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_four_processes_go_on_where_two_were_stopped(folder):
    for count, what in ((2, "begin"), (4, "go_on")):
        status, output = launch("-c", shared.WORK % ("env", what), folder, count=count)
        assert status == 0, output
    assert "of 2 processes" in Path("grown/log.txt").read_text()
    assert "of 4 processes" in Path("grown/log.txt").read_text()
    shared.trained("grown_here", [mx.cpu(i) for i in range(4)], changes=shared.GROWN)
    same("grown", "grown_here", rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_a_callback_of_one_process_ends_all_and_the_run_is_saved(folder):
    status, output = launch("-c", shared.WORK % ("env", "called"), folder)
    assert status == 0, output
    assert "rank 0 asked: a callback in another process" in output and "rank 1 asked: enough" in output, output
    assert "rank 0 raised: a callback in another process" in output and "rank 1 raised: raised mine" in output, output
    for name in ("asked", "raised"):
        assert checkpoint.read(Path(name) / STATE).record.state.iteration == 3
        shared.trained(name, TWO, resume=True)
        same(name, "reference")


@pytest.fixture(scope="module", params=[2, 3, 4])
def variants(folder, request):
    """How many processes have trained the variants."""
    (teacher,) = folder.glob("weights_reference/fcn/*_ema.params")
    shutil.copy(teacher, folder / "teacher.params")
    status, output = launch("-c", shared.WORK % ("env", "variants"), folder, count=request.param, timeout=300)
    assert status == 0, output
    return request.param


@pytest.mark.slow
@pytest.mark.parametrize("name", shared.VARIANTS)
def test_variants(variants, name):
    shared.variant(name, variants, [mx.cpu(i) for i in range(variants)])
    # the server adds in order of arrival
    same(f"{name}_{variants}", f"{name}_{variants}_here", **({} if variants == 2 else {"rtol": 1e-3, "atol": 1e-5}))
