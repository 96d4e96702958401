"""Workers: every end that they can come to is told or quiet, prompt, and leaves no process. Linux (/proc)."""

import os
import resource
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import numpy as np
import pytest

from mxnetseg.data.workers import WorkerPool, in_order
from mxnetseg.errors import MXNetSegError

ROOT = Path(__file__).resolve().parents[2]
MARK = "MXNETSEG_TEST_WORKERS"


def slow(*values):
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]


@pytest.fixture(autouse=True)
def no_test_hangs():
    def late(signum, frame):
        raise TimeoutError("a minute is over")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def mark(monkeypatch):
    """A value that all processes of a test have in their environment; none outlives the test."""
    value = uuid.uuid4().hex
    monkeypatch.setenv(MARK, value)
    yield value
    for process in living(value):
        os.kill(process, signal.SIGKILL)


def living(mark):
    """Processes with the mark, but for this one."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # one that has ended has no environment
            if int(folder.name) != os.getpid() and mark.encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def gone(mark, seconds):
    end = time.monotonic() + seconds
    while living(mark) and time.monotonic() < end:
        time.sleep(0.02)
    return not living(mark)


class Do:
    """A task for a worker: what it says, which it notes in a file first."""

    def __init__(self, **kwargs):
        self.__dict__.update(kwargs)

    def name(self, task):
        return f"train/{task}"

    def __call__(self, task):
        if hasattr(self, "note"):
            Path(self.note).touch()
        if task == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        elif task == "exit":
            os.write(2, b"the last words")
            os._exit(3)
        elif task == "talk":
            os.write(2, b"x" * 200_000 + b"\n")
        elif task == "sleep":
            time.sleep(600)
        elif task == "deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(600)
        elif task == "spin":
            while True:
                pass
        elif task == "stdin":
            sys.stdin.read()
        elif task == "send":
            return np.zeros(100_000_000, np.uint8)
        elif task == "raise":
            raise ValueError("no such luck")
        elif task == "refuse":
            raise MXNetSegError("broken.png: not an image")
        return task


class Unpickled:
    """Something that happens while a worker takes up what it has to do."""

    def __init__(self, what, *arguments):
        self.what, self.arguments = what, arguments

    def __reduce__(self):
        return self.what, self.arguments


def kill_myself():
    os.kill(os.getpid(), signal.SIGKILL)


def run_out_of_memory():
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    return bytearray(1 << 31)


def note_and_sleep(note):
    Path(note).touch()
    time.sleep(600)


def test_answers_come_in_the_order_of_the_tasks():
    assert list(in_order(Do(), range(30), 3)) == list(range(30))


@pytest.mark.parametrize(
    "what, message",
    [
        (Unpickled(__import__, "no_such_module"), "can't unpickle .* No module named 'no_such_module'.* in a module"),
        (Unpickled(kill_myself), "died while it started: signal 9; when the machine is out of memory, lower train.w"),
        (Unpickled(run_out_of_memory), r"died while it started: exit status 1\n(.*\n)*.*MemoryError"),
    ],
    ids=["import", "killed", "memory"],
)
def test_a_worker_that_dies_while_it_starts(mark, what, message):
    with pytest.raises(MXNetSegError, match=message):
        WorkerPool(Do(what=what), 3)
    assert not living(mark)


def test_a_library_that_does_not_import(mark, tmp_path, monkeypatch):
    (tmp_path / "cv2.py").write_text("raise ImportError('libGL.so.1: no such file')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(MXNetSegError, match=r"died while it started: exit status 1\n(.*\n)*.*libGL.so.1"):
        WorkerPool(Do(), 2)
    assert not living(mark)


@pytest.mark.parametrize(
    "python, message",
    [("/bin/false", "died while it started: exit status 1"), ("/no/python", "no data worker can be started: .*/no/py")],
)
def test_an_interpreter_that_is_none(mark, monkeypatch, python, message):
    monkeypatch.setattr(sys, "executable", python)
    with pytest.raises(MXNetSegError, match=message):
        WorkerPool(Do(), 2)
    assert not living(mark)


def test_no_temporary_folder_is_needed(monkeypatch):
    monkeypatch.setenv("TMPDIR", "/nowhere")
    monkeypatch.setattr("tempfile.tempdir", None)
    assert list(in_order(Do(), range(4), 2)) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "task, error, message",
    [
        ("die", MXNetSegError, "the data worker died on sample train/die: signal 9; when the machine is out of memory"),
        ("exit", MXNetSegError, r"the data worker died on sample train/exit: exit status 3\n    the last words"),
        ("refuse", MXNetSegError, "sample train/refuse: broken.png: not an image"),
        ("raise", RuntimeError, r"failed on sample train/raise:\n(.*\n)*ValueError: no such luck"),
    ],
)
def test_an_error_names_the_sample_and_leaves_no_process(mark, task, error, message):
    pool = WorkerPool(Do(), 2)
    for each in (0, 1, 2, task, 4):
        pool.submit(each)
    assert [pool.result() for _ in range(3)] == [0, 1, 2]
    with pytest.raises(error, match=message):
        pool.result()
    assert not living(mark)


def test_what_workers_write_to_stderr_is_passed_on(capfd):
    """And a lot of it does not stop them."""
    assert list(in_order(Do(), ["talk"] * 4, 2)) == ["talk"] * 4
    for _ in range(100):
        written = capfd.readouterr().err
        if written:
            break
        time.sleep(0.05)
    assert "xxx" in written


@pytest.mark.parametrize("task", ["stdin", *slow("spin", "sleep", "deaf", "send")])
def test_closing_is_prompt_whatever_workers_do(mark, task, tmp_path):
    pool = WorkerPool(Do(note=str(tmp_path / "busy")), 2)
    for _ in range(20):
        pool.submit(task)
    while not (tmp_path / "busy").exists():
        time.sleep(0.01)
    begin = time.monotonic()
    pool.close()
    assert time.monotonic() - begin < 3 and not living(mark)


PARENT = """
import sys
from tests.data.test_workers import Do, Unpickled, WorkerPool, note_and_sleep
task, note = sys.argv[1:]
if task == "unpickle":
    WorkerPool(Do(what=Unpickled(note_and_sleep, note)), 2)
pool = WorkerPool(Do(note=note), 2)
for _ in range(6):
    pool.submit(task)
while True:
    if task in "012":
        pool.result()
        pool.submit(task)
"""


def start_parent(task, note):
    command = [sys.executable, "-c", PARENT, task, str(note)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def kill_and_check(parent, mark):
    """Killed, without a chance to tell its workers: they end soon, and nobody writes anything."""
    parent.kill()
    assert gone(mark, 5)
    assert parent.communicate(timeout=5)[0] == b""


@pytest.mark.parametrize("task", ["stdin", *slow("spin", "0", "sleep", "send", "unpickle")])
def test_workers_end_with_their_parent_whatever_they_do(mark, tmp_path, task):
    parent = start_parent(task, tmp_path / "busy")
    while not (tmp_path / "busy").exists():
        time.sleep(0.01)
    time.sleep(0.2)
    kill_and_check(parent, mark)


def test_workers_end_with_their_parent_in_the_middle_of_an_import(mark, tmp_path, monkeypatch):
    (tmp_path / "cv2.py").write_text(f"import time; open({str(tmp_path / 'busy')!r}, 'w'); time.sleep(600)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    parent = start_parent("0", tmp_path / "unused")
    while not (tmp_path / "busy").exists():
        time.sleep(0.01)
    kill_and_check(parent, mark)


@pytest.mark.slow
def test_workers_end_with_their_parent_at_any_moment(mark, tmp_path):
    def begin(note):
        parent = start_parent("0", note)
        while len(living(mark)) < 2:  # the first worker is there
            time.sleep(0.005)
        return parent

    note = tmp_path / "busy"
    parent, start = begin(note), time.monotonic()
    while not note.exists():
        time.sleep(0.005)
    whole = time.monotonic() - start
    kill_and_check(parent, mark)
    for part in (0, 0.2, 0.4, 0.6, 0.8, 1.0):
        parent = begin(tmp_path / "unused")
        time.sleep(part * whole)
        kill_and_check(parent, mark)
