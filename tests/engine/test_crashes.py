"""Nothing is lost: a run is ended at every one of its file operations, and each of them fails once.

`fileops` counts the operations. By default the first of each kind on each file is tried; all of them in the slow tests.
"""

import contextlib
import csv
import errno
import functools
import itertools
import json
import logging
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Collection, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Set
from unittest import mock

import matplotlib.backends.backend_agg
import matplotlib.figure
import mxnet as mx
import numpy as np
import pytest

from mxnetseg import cli, registry, visual
from mxnetseg.config import Recipe, load_recipe
from mxnetseg.engine import checkpoint
from mxnetseg.engine.rundir import STATE
from mxnetseg.engine.trainer import train
from mxnetseg.errors import MXNetSegError

from . import tiny
from .fileops import Ended, FileOps, Operation, cut_power, end, failing, interrupt

ROOT = Path(__file__).resolve().parents[2]
CPU = [mx.cpu()]
CLOCK = ("seconds", "wait")  # columns that differ from run to run
ERRORS = FULL, BROKEN, READ_ONLY = errno.ENOSPC, errno.EIO, errno.EROFS

# operations at which a run has ended that goes on: kind, file, which of them
STOPS = [
    ("write", "w/fcn/.NAME.params.partial", 5),  # nothing is saved: a new run begins
    ("fsync", "run/.state.ckpt.partial", 1),  # the weights are newer than the state
]

# what may fail and the run goes on all the same: kinds of operations, on which files, and why
HARMLESS = (
    ("there", "", "a folder that is there need not be made"),
    ("unlink", r"\.lock$", "a lock file that nobody holds counts for nothing, and the next run removes it"),
    ("unlink", r"\.partial$", "the same with what a killed run has left half-written"),
    ("open|lock|truncate|write", r"^dead .*\.lock$", "a new run may fail to tidy up behind killed ones of other names"),
)

ENDING = """
import sys
import time
from pathlib import Path
from tests.engine import tiny
from tests.engine.fileops import FileOps, exit_process
from mxnetseg import cli
tiny.register()
with FileOps(Path(sys.argv[1]), int(sys.argv[2]), exit_process):
    sys.exit(cli.main(sys.argv[3:]))
"""

SECOND = """
import contextlib, io, json, sys
from tests.engine import tiny
from mxnetseg import cli
tiny.register()
answers = []
for command in json.loads(sys.argv[1]):
    with contextlib.redirect_stderr(io.StringIO()) as said:
        answers.append((cli.main(command), said.getvalue().splitlines()))
print(json.dumps(answers))
"""


@dataclass(repr=False)
class Left:
    """What a complete run leaves, but for what it is called and how long it took."""

    arrays: Dict[str, Dict[str, np.ndarray]]  # by the file's suffix; "state" for the state
    records: Dict[str, Dict[str, Any]]
    rows: List[Dict[str, str]]


@dataclass(repr=False)
class Whole:
    """The uninterrupted run."""

    recipe: Recipe
    recipe_file: Path
    left: Left
    operations: List[Operation]
    case: Path  # the folder it was in: operations depend on the length of its name


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    folder = tmp_path_factory.mktemp("crashes")
    tiny.draw(folder / "streets")
    recipe_file = folder / "recipe.yaml"
    recipe_file.write_text(tiny.RECIPE % (folder / "streets"), encoding="utf-8")
    case = folder / "case"
    picture = mock.MagicMock()  # drawing takes longer than training here
    picture.return_value.subplots.return_value = [mock.MagicMock()] * 3
    picture.return_value.savefig = lambda file, **_: file.write(b"curves")
    with pytest.MonkeyPatch.context() as patch, mock.patch.dict(registry.BACKBONES):
        tiny.register()
        recipe = load_recipe(recipe_file)
        patch.setattr(matplotlib.figure, "Figure", picture)
        patch.setattr(matplotlib.backends.backend_agg, "FigureCanvasAgg", mock.MagicMock())
        case.mkdir()
        with FileOps(case) as ops:
            begin(recipe, case)
        yield Whole(recipe, recipe_file, left(case / "run"), ops.operations, case)


def begin(recipe: Recipe, case: Path) -> None:
    train(recipe, CPU, run_dir=str(case / "run"), weights_dir=str(case / "w"), progress=False)


def carry_on(recipe: Recipe, case: Path) -> None:
    """What the user does after a run has ended before its end."""
    if (case / "run" / STATE).exists():
        train(None, CPU, resume=str(case / "run"), progress=False)
    else:
        begin(recipe, case)


def left(run: Path) -> Left:
    state = checkpoint.read(run / STATE)
    facts = state.record.run
    assert facts
    files = {
        file.stem[len(facts.name) :]: file for file in Path(facts.weights_dir, "fcn").glob(f"{facts.name}*.params")
    }
    found = {suffix: checkpoint.read(file) for suffix, file in files.items() if not re.match(r"_\d", suffix)}
    found["state"] = state
    with open(run / "metrics.csv", newline="", encoding="utf-8") as file:
        rows = [{key: value for key, value in row.items() if key not in CLOCK} for row in csv.DictReader(file)]
    records = {suffix: each.record.model_dump(exclude={"run", "versions"}) for suffix, each in found.items()}
    return Left({suffix: each.arrays for suffix, each in found.items()}, records, rows)


def check_whole(case: Path) -> None:
    """Every checkpoint that is there loads and has finite weights."""
    for file in case.rglob("*"):
        if file.suffix in (".params", ".ckpt"):
            assert not checkpoint.not_finite(checkpoint.read(file).arrays)


def check_end(run: Path, expected: Left) -> None:
    """The run came to the end that it would have come to."""
    found = left(run)
    assert found.rows == expected.rows
    assert found.arrays.keys() == expected.arrays.keys() == {"", "_best", "_ema", "_iter3", "_iter6", "state"}
    for suffix, arrays in expected.arrays.items():
        for key, value in expected.records[suffix].items():
            assert found.records[suffix][key] == value, (suffix, key)
        assert found.arrays[suffix].keys() == arrays.keys()
        for name in arrays:
            np.testing.assert_array_equal(found.arrays[suffix][name], arrays[name], err_msg=f"{suffix} {name}")


def hidden(folder: Path) -> Set[str]:
    """Temporary files and locks."""
    return {str(file.relative_to(folder)) for file in folder.rglob(".*")}


def go_on(whole: Whole) -> None:
    """What the user does after a run has ended, even if it was after the last thing that it had to do."""
    try:
        carry_on(whole.recipe, whole.case)
    except MXNetSegError as error:
        assert "is complete (6 iterations)" in str(error), error


def finish(whole: Whole, but: Collection[str] = ()) -> None:
    """Go on with the run, to the end that it would have come to; all is tidy then, `but` for some files."""
    go_on(whole)
    check_end(whole.case / "run", whole.left)
    assert hidden(whole.case) <= set(but)


def role(operation: Operation) -> str:
    """The file an operation is on, without what differs between runs; weights files are alike."""
    path = re.sub(r"fcn_tiny_streets_\d+_\d+(_best|_ema|_iter\d+)?", "NAME", operation.path)
    return re.sub(r"\.[^.]+\.\d+\.partial$", ".partial", path)


def first_of_each(operations: Sequence[Operation]) -> List[int]:
    """Numbers of the operations that are the first of their kind on their file."""
    seen: Dict[Any, int] = {}
    for number, operation in enumerate(operations, 1):
        seen.setdefault((operation.kind, role(operation)), number)
    return sorted(seen.values())


def each(whole: Whole, then: Path, numbers: Iterable[int]) -> Iterator[int]:
    """Numbers, and for each of them the folder is as it was at another time."""
    for number in numbers:
        shutil.rmtree(whole.case)
        shutil.copytree(then, whole.case)
        yield number


def ended(whole: Whole, at: int, how: Callable[[Operation], None]) -> bool:
    """Go on with the run, which ends at its operation `at`; False when it came to its end before."""
    with FileOps(whole.case, at, how) as ops, contextlib.suppress(Ended):
        go_on(whole)
    check_whole(whole.case)
    return len(ops.operations) >= at


def failed(whole: Whole, at: int, how: Callable[[Operation], None], error: int = 0) -> bool:
    """Go on with the run, whose operation `at` fails, and then once more, to its end; False when it had come to its end
    before that operation."""
    case, message = whole.case, ""
    files, dead = set(case.rglob("*")), hidden(case)
    with FileOps(case, at, how) as ops:
        try:
            carry_on(whole.recipe, case)
        except (MXNetSegError, KeyboardInterrupt) as err:
            message = str(err) or "interrupted"
    if len(ops.operations) < at:
        return False
    operation = ops.operations[at - 1]
    if not message:
        assert harmless(operation, dead if case / "run" / STATE not in files else ()), operation
    elif error:
        check_message(message, operation, error)
    check_whole(case)
    assert [file for file in case.rglob("*") if file not in files and file.is_file() and not file.stat().st_size] == []
    assert operation.kind == "unlink" or hidden(case) <= dead
    finish(whole, but=() if message else dead)
    return True


def harmless(operation: Operation, dead: Collection[str]) -> bool:
    """Whether a run may go on although this has failed; `dead`: what killed runs of other names have left."""
    path = f"dead {operation.path}" if operation.path in dead else operation.path
    return any(re.fullmatch(kinds, operation.kind) and re.search(paths, path) for kinds, paths, _ in HARMLESS)


def check_message(message: str, operation: Operation, error: int) -> None:
    """It names the file (or one in that folder), the reason, a remedy, and how to go on."""
    file = re.sub(r"\.([^/]+)\.[^.]+\.\d+\.partial$", r"\1", operation.path)
    assert file in message and os.strerror(error) in message, (operation, message)
    if operation.kind == "read" and message.startswith("checkpoint "):
        assert message.endswith(f"can't be read ({os.strerror(error)})")
        return
    then = r"(then go on with (--resume \S+/run|the same command: nothing was saved before)|the run is complete)"
    assert re.fullmatch(
        rf"\S+ can't be (written|read) \([^)]+\); [^.]+\. All files written before are whole; {then}", message
    )


@pytest.fixture(scope="module")
def nothing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nothing")


@pytest.mark.slow
def test_a_run_ends_at_the_first_operation_of_each_kind(whole: Whole, nothing: Path) -> None:
    """By turns the process ends and the machine loses its power."""
    for number in each(whole, nothing, first_of_each(whole.operations)):
        assert ended(whole, number, (end, cut_power)[number % 2])
        finish(whole)


@pytest.mark.slow
@pytest.mark.parametrize("how", [end, cut_power])
def test_a_run_ends_at_every_operation(whole: Whole, nothing: Path, how: Callable[[Operation], None]) -> None:
    for number in each(whole, nothing, itertools.count(1)):
        if not ended(whole, number, how):
            break
        finish(whole)
    assert number > 150


def interrupted(whole: Whole, nothing: Path, folder: Path, kind: str, path: str, turn: int = 0) -> Path:
    """A copy of what a run leaves that ends at an operation: the `turn`-th of that kind on a file."""
    for number in each(whole, nothing, [numbers(whole.operations, kind, path)[turn]]):
        assert ended(whole, number, end)
    shutil.copytree(whole.case, folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("how", [end, cut_power])
@pytest.mark.parametrize("kind, path, turn", STOPS)
def test_a_run_that_goes_on_ends_at_every_operation(
    whole: Whole, nothing: Path, tmp_path: Path, how: Callable[[Operation], None], kind: str, path: str, turn: int
) -> None:
    then = interrupted(whole, nothing, tmp_path / "then", kind, path, turn)
    for number in each(whole, then, itertools.count(1)):
        if not ended(whole, number, how):
            break
        finish(whole)
    assert number > 20


def test_a_run_that_goes_on_ends_again(whole: Whole, nothing: Path, tmp_path: Path) -> None:
    """At every 20th operation of a continuation, and again at the next 20th of the one after that, and so on."""
    for stop in STOPS[:2]:
        then = interrupted(whole, nothing, tmp_path / stop[0], *stop)
        number = next(each(whole, then, [20]))
        while ended(whole, number, (end, cut_power)[number // 20 % 2]):
            number += 20
        finish(whole)
        assert number > 60


def test_the_first_operation_of_each_kind_fails(whole: Whole, nothing: Path) -> None:
    for number in each(whole, nothing, first_of_each(whole.operations)):
        assert failed(whole, number, failing(ERRORS[number % 3]), ERRORS[number % 3])


@pytest.mark.slow
@pytest.mark.parametrize("error", ERRORS, ids=errno.errorcode.get)
def test_every_operation_fails(whole: Whole, nothing: Path, error: int) -> None:
    for number in each(whole, nothing, itertools.count(1)):
        if not failed(whole, number, failing(error), error):
            break
    assert number > 150


@pytest.mark.slow
def test_curves_are_drawn_from_a_table_that_is_cut_off_anywhere(whole: Whole, nothing: Path, tmp_path: Path) -> None:
    for _ in each(whole, nothing, [0]):
        begin(whole.recipe, whole.case)
    content = (whole.case / "run" / "metrics.csv").read_bytes()
    for length in range(len(content) + 1):
        (tmp_path / "metrics.csv").write_bytes(content[:length])
        visual.plot_curves(tmp_path / "metrics.csv", tmp_path / "curves.png")
        assert (tmp_path / "curves.png").read_bytes() == b"curves"


@pytest.mark.slow
def test_ctrl_c_stops_every_operation(whole: Whole, nothing: Path) -> None:
    for number in each(whole, nothing, itertools.count(1)):
        if not failed(whole, number, interrupt):
            break
    assert number > 150


@pytest.mark.slow
@pytest.mark.parametrize("error", ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize("kind, path, turn", STOPS)
def test_every_operation_of_a_run_that_goes_on_fails(
    whole: Whole, nothing: Path, tmp_path: Path, error: int, kind: str, path: str, turn: int
) -> None:
    then = interrupted(whole, nothing, tmp_path / "then", kind, path, turn)
    for number in each(whole, then, itertools.count(1)):
        if not failed(whole, number, failing(error), error):
            break
    assert number > 20


@pytest.mark.parametrize(
    "kind, path",
    [
        ("open", "run/.lock"),
        ("write", "run/log.txt"),
        ("write", "run/metrics.csv"),
        ("write", "w/fcn/.NAME.params.partial"),
        ("fsync", "run/.state.ckpt.partial"),
        ("replace", "run/curves.png"),
    ],
)
def test_the_command_says_what_failed(
    whole: Whole, nothing: Path, capsys: pytest.CaptureFixture, kind: str, path: str
) -> None:
    for number in each(whole, nothing, [numbers(whole.operations, kind, path)[-1]]):
        with FileOps(whole.case, number, failing(FULL)) as ops:
            assert cli.main(command(whole, "--config", whole.recipe_file, "--run-dir", whole.case / "run")) == 2
        said = capsys.readouterr().err.splitlines()
        [error] = [line for line in said if line.startswith("error: ")]
        check_message(error[len("error: ") :], ops.operations[number - 1], FULL)
        assert "free some space" in error
        assert [line for line in said if "Traceback" in line] == []
        finish(whole)


@pytest.mark.parametrize("number", [100, *(pytest.param(n, marks=pytest.mark.slow) for n in range(20, 180, 20))])
def test_a_process_ends_in_earnest(whole: Whole, nothing: Path, number: int) -> None:
    next(each(whole, nothing, [number]))
    arguments = command(whole, "--config", whole.recipe_file, "--run-dir", whole.case / "run")
    assert child(ENDING, str(whole.case), str(number), *arguments).returncode == 99
    check_whole(whole.case)
    finish(whole)


class Second(NamedTuple):
    """What became of a process that began while another was at work."""

    status: int
    said: List[str]  # its error messages


@pytest.mark.parametrize("kind, path", [("write", "w/fcn/.NAME.params.partial"), ("fsync", "run/.state.ckpt.partial")])
def test_a_second_process_is_told_who_is_at_it(whole: Whole, nothing: Path, kind: str, path: str) -> None:
    """While the first has a file half-written: the same folder, its continuation, and that of a copy of it."""
    run, copy, first = whole.case / "run", whole.case / "copy", f"process {os.getpid()} on {socket.gethostname()}"
    tries = [command(whole, "--config", whole.recipe_file, "--run-dir", run), *([command(whole, "--resume", run)] * 2)]
    tries.append(command(whole, "--resume", copy))
    seconds: List[Second] = []
    for number in each(whole, nothing, [numbers(whole.operations, kind, path)[-1]]):

        def meanwhile(operation: Operation) -> None:
            shutil.copytree(run, copy, ignore=shutil.ignore_patterns(".*"))
            done = child(SECOND, json.dumps(tries))
            seconds.extend(Second(*answer) for answer in json.loads(done.stdout))

        with FileOps(whole.case, number, meanwhile):
            begin(whole.recipe, whole.case)
        check_end(run, whole.left)
        assert hidden(whole.case) == set()
        assert sorted(os.listdir(copy)) == sorted(os.listdir(run)), "the copy is as it was"
    name = checkpoint.read(run / STATE).record.run.name
    for second, what in zip(seconds, [f"run in {run}"] * 3 + [f"run {name}"]):
        assert second.status == 2
        assert [re.sub(", since .*;", ";", line) for line in second.said] == [
            f"error: the {what} is in use by {first}; wait until it ends, or stop it"
        ]
    assert len(seconds) == 4


def with_a_second(whole: Whole, at: int, first: Callable[[], None], second: Callable[[], None]) -> Optional[List[str]]:
    """What two say that are at work at once: `second` begins and ends at operation `at` of `first`. None when that
    had come to its end before.

    Both are in this process; locks keep open files apart, not processes.
    """
    said = []

    def told(work: Callable[[], None]) -> None:
        try:
            work()
        except MXNetSegError as err:
            said.append(str(err))

    def meanwhile(operation: Operation) -> None:
        with mock.patch.object(logging.getLogger("mxnetseg"), "handlers", []):  # the first one's
            told(second)

    with FileOps(whole.case, at, meanwhile) as ops:
        told(first)
    check_whole(whole.case)
    return said if len(ops.operations) >= at else None


TOLD = (
    r"in use by (another process|process \d+ on .*); wait until it ends|is complete \(6 iterations\)"
    "|holds a run already; go on with"
)


def claims(operations: Sequence[Operation]) -> List[int]:
    """Operations on locks and folders, with one on either side."""
    found = [n for n in first_of_each(operations) if operations[n - 1].kind in ("lock", "mkdir", "truncate", "unlink")]
    return sorted({number + step for number in found for step in (-1, 0, 1)} & set(range(1, len(operations) + 1)))


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_two_begin_the_same_run(whole: Whole, nothing: Path, every: bool) -> None:
    def work() -> None:
        carry_on(whole.recipe, whole.case)

    for number in each(whole, nothing, itertools.count(1) if every else claims(whole.operations)):
        said = with_a_second(whole, number, work, work)
        if said is None:
            break
        assert len(said) == 1 and re.search(TOLD, said[0]), said
        check_end(whole.case / "run", whole.left)
        assert hidden(whole.case) == set()


@pytest.mark.slow
@pytest.mark.parametrize("second", ["run", "copy"])
def test_two_go_on_with_the_same_run(whole: Whole, nothing: Path, tmp_path: Path, second: str) -> None:
    then = interrupted(whole, nothing, tmp_path / "then", *STOPS[1])
    shutil.copytree(then / "run", then / "copy")

    def go_on_in(folder: str) -> Callable[[], None]:
        return lambda: train(None, CPU, resume=str(whole.case / folder), progress=False) and None

    for number in each(whole, then, itertools.count(1)):
        said = with_a_second(whole, number, go_on_in("run"), go_on_in(second))
        if said is None:
            break
        assert all(re.search(TOLD, message) for message in said), said
        assert len(said) == 1 or second == "copy" and not said  # one after the other
        check_end(whole.case / "run", whole.left)


def begin_anywhere(whole: Whole, weights: str) -> None:
    """Without a name for the folder."""
    train(whole.recipe, CPU, weights_dir=weights, progress=False)


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.slow
def test_two_begin_in_the_same_second(
    whole: Whole, nothing: Path, monkeypatch: pytest.MonkeyPatch, every: bool
) -> None:
    """Each finds a name of its own, be the weights in one folder or in two."""
    monkeypatch.setattr(time, "strftime", lambda *_: "20260101_000000")
    monkeypatch.chdir(whole.case)
    with FileOps(whole.case) as ops:
        begin_anywhere(whole, "w")
    for number in each(whole, nothing, itertools.count(1) if every else claims(ops.operations)):
        os.chdir(whole.case)
        first, second = (
            functools.partial(begin_anywhere, whole, weights) for weights in ("w", ("w", "w2")[number % 2])
        )
        said = with_a_second(whole, number, first, second)
        if said is None:
            break
        assert said == []
        runs = list((whole.case / "runs").iterdir())
        assert len(runs) == 2
        for run in runs:
            check_end(run, whole.left)
        assert hidden(whole.case) == set()


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.slow
def test_a_run_without_a_folder_ends(whole: Whole, nothing: Path, monkeypatch: pytest.MonkeyPatch, every: bool) -> None:
    """The next one takes another name, unless there is something to go on with; only the dead one's folder is left."""
    monkeypatch.chdir(whole.case)
    for number in each(whole, nothing, itertools.count(1, 1 if every else 25)):
        os.chdir(whole.case)
        with FileOps(whole.case, number, end) as ops, contextlib.suppress(Ended):
            begin_anywhere(whole, "weights")
        if len(ops.operations) < number:
            break
        check_whole(whole.case)
        runs = whole.case / "runs"
        with contextlib.suppress(MXNetSegError):  # it is complete
            for state in runs.glob(f"*/{STATE}"):
                train(None, CPU, resume=str(state.parent), progress=False)
        if not list(runs.glob(f"*/{STATE}")):
            begin_anywhere(whole, "weights")
        [state] = runs.glob(f"*/{STATE}")
        check_end(state.parent, whole.left)
        assert {file.parent for file in whole.case.rglob(".*")} <= set(runs.iterdir()) - {state.parent}


def numbers(operations: Sequence[Operation], kind: str, path: str) -> List[int]:
    """Of the operations of a kind on a file."""
    return [number for number, op in enumerate(operations, 1) if (op.kind, role(op)) == (kind, path)]


def command(whole: Whole, *arguments: object) -> List[str]:
    return ["train", *map(str, arguments), "--weights-dir", str(whole.case / "w"), "--ctx", "cpu", "--quiet"]


def child(script: str, *arguments: str) -> subprocess.CompletedProcess:
    """Run a script in a process of its own."""
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    return subprocess.run(
        [sys.executable, "-c", script, *arguments], env=environment, capture_output=True, text=True, timeout=200
    )
