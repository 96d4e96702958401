"""A small pool of processes whose results come in the order of their tasks.

Not `concurrent.futures`: it can't tell which task a dead worker was on. Not `fork`: the parent runs
MXNet's threads. Workers are fresh interpreters that import NumPy and OpenCV, never MXNet.
"""

import contextlib
import itertools
import os
import pickle
import signal
import subprocess
import sys
import threading
import traceback
from collections import deque
from multiprocessing.connection import Connection, Pipe
from numbers import Integral
from typing import IO, Any, Deque, Generator, Generic, Iterable, List, NamedTuple, Protocol, Tuple, TypeVar

from ..errors import MXNetSegError
from ..plugins import reason

__all__ = ["Job", "WorkerPool", "check_workers", "in_order"]

Task = TypeVar("Task", contravariant=True)
Answer = TypeVar("Answer", covariant=True)

READY = "ready"
UNKNOWN = (ImportError, AttributeError, TypeError, pickle.PickleError)  # what unpickling says of a name it can't find
NOT_TAKEN = (
    "data workers can't unpickle the transforms or the data set: {}. Define them in a module, not as a lambda or in a "
    "script or notebook, or set train.workers to 0"
)

# stdin ends when the parent does. A thread waits for that, and then ends the worker, whatever it is doing. It is
# started before the imports, which can take long.
SCRIPT = """
import os, threading
threading.Thread(target=lambda: os.read(0, 1) or os._exit(0), daemon=True).start()
from mxnetseg.data.workers import work
work({channel})
"""


class Job(Protocol[Task, Answer]):
    """What workers do: it must pickle, and has a name for every task, for errors."""

    def name(self, task: Task, /) -> str: ...

    def __call__(self, task: Task, /) -> Answer: ...


def check_workers(workers: Any, option: str = "workers") -> int:
    """`workers` as an int. Raises MXNetSegError unless it is a whole number, 0 or more; its message says `option`."""
    if isinstance(workers, bool) or not isinstance(workers, Integral) or workers < 0:
        raise MXNetSegError(f"{option} {workers!r}: a number of processes, 0 or more; 0 reads in this process")
    return int(workers)


class _Worker(NamedTuple):
    process: "subprocess.Popen[bytes]"
    channel: Connection
    said: bytearray  # the end of what it wrote to stderr
    relay: threading.Thread  # passes that on


class WorkerPool(Generic[Task, Answer]):
    """Run `load(task)` in `workers` processes; `result()` gives the answers in the order of `submit`.

    Keep tasks small, or their answers: a task is sent while its worker may be sending an answer, and if neither fits
    into a pipe, both wait for ever.

    Raises
    ------
    MXNetSegError
        A worker can't be started, or died while it started: the message says how, with the last lines that it wrote.
    """

    def __init__(self, load: Job[Task, Answer], workers: int):
        self._load = load
        self._order: Deque[Tuple[_Worker, Task]] = deque()
        self._workers: List[_Worker] = []
        try:
            job = pickle.dumps(load)
        except UNKNOWN as err:
            raise MXNetSegError(NOT_TAKEN.format(reason(err))) from err
        try:
            for _ in range(workers):
                self._workers.append(_start())
            for worker in self._workers:
                with contextlib.suppress(OSError):  # it died, which the next loop finds
                    worker.channel.send_bytes(job)
            for worker in self._workers:
                said = self._hear(worker, "while it started")
                if said != READY:
                    raise MXNetSegError(NOT_TAKEN.format(said))
        except BaseException:
            self.close()
            raise
        self._turn = itertools.cycle(self._workers)

    def submit(self, task: Task) -> None:
        """Hand a task to the next worker in turn."""
        worker = next(self._turn)
        self._order.append((worker, task))
        with contextlib.suppress(OSError):  # the worker died; `result` says so when its turn comes
            worker.channel.send(task)

    def result(self) -> Answer:
        """The answer to the oldest task.

        Raises
        ------
        MXNetSegError
            `load` raised it, or the worker died; the message names the task.
        """
        worker, task = self._order.popleft()
        sample = f"sample {self._load.name(task)}"
        kind, value = self._hear(worker, f"on {sample}")
        if kind == "value":
            answer: Answer = value
            return answer
        self.close()
        if kind == "user":
            raise MXNetSegError(f"{sample}: {value}")
        raise RuntimeError(f"the data worker failed on {sample}:\n{value}")

    def close(self) -> None:
        """End all workers, whatever they are doing; safe to call twice."""
        for worker in self._workers:
            worker.process.kill()  # they have nothing to finish
        for worker in self._workers:
            worker.process.wait()
            worker.channel.close()
            assert worker.process.stdin is not None  # it was started with one
            worker.process.stdin.close()

    def __del__(self) -> None:
        self.close()

    def _hear(self, worker: _Worker, when: str) -> Any:
        """The next message from a worker."""
        try:
            return worker.channel.recv()
        except (EOFError, OSError):
            death = _death(worker)
        self.close()
        raise MXNetSegError(f"the data worker died {when}: {death}")


def in_order(load: Job[Task, Answer], tasks: Iterable[Task], workers: int) -> Generator[Answer, None, None]:
    """`load` of every task, in the order of the tasks; 0 workers: in this process."""
    if workers < 1:
        yield from map(load, tasks)
        return
    pool, pending = WorkerPool(load, workers), 0
    try:
        for task in tasks:
            pool.submit(task)
            pending += 1
            if pending == 4 * workers:
                yield pool.result()
                pending -= 1
        for _ in range(pending):
            yield pool.result()
    finally:
        pool.close()


def _start() -> _Worker:
    package_parent = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    # all of our path: a worker imports the module of a plugin's transform to unpickle it
    path = os.pathsep.join([package_parent, *(folder or os.getcwd() for folder in sys.path)])
    try:
        ours, theirs = Pipe()
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-c", SCRIPT.format(channel=theirs.fileno())],
                stdin=subprocess.PIPE,  # nothing is written to it: its end says that we are gone
                stderr=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
                # one thread each: the workers run beside the training
                env=dict(os.environ, PYTHONPATH=path, OMP_NUM_THREADS="1"),
                start_new_session=True,  # Ctrl-C is for the parent, which ends its workers itself
            )
    except OSError as err:
        raise MXNetSegError(
            f"no data worker can be started: {err}; lower train.workers; 0 reads in this process"
        ) from err
    said = bytearray()
    relay = threading.Thread(target=_relay, args=(process.stderr, said), daemon=True)
    relay.start()
    return _Worker(process, ours, said, relay)


def _relay(stream: IO[bytes], said: bytearray) -> None:
    """Pass on what a worker writes to stderr, and keep the end of it."""
    with stream:
        while True:
            chunk = os.read(stream.fileno(), 1 << 16)
            if not chunk:
                return
            said += chunk
            del said[:-4000]
            with contextlib.suppress(OSError):  # our own may be closed
                os.write(2, chunk)


def _death(worker: _Worker, lines: int = 10) -> str:
    """How a worker ended, and the last lines that it wrote to stderr."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        worker.process.wait(10)
    worker.process.kill()  # one that has closed its channel, and hangs
    code = worker.process.wait()
    worker.relay.join(1)
    text = f"signal {-code}" if code < 0 else f"exit status {code}"
    if code == -signal.SIGKILL:
        text += "; when the machine is out of memory, lower train.workers"
    last = worker.said.decode(errors="replace").strip().splitlines()[-lines:]
    return "\n    ".join([text, *last])


def work(channel: int) -> None:
    """What a worker does until its parent closes the channel (or dies, which closes it too)."""
    os.set_inheritable(channel, False)
    with Connection(channel) as pipe, contextlib.suppress(EOFError, ConnectionError):
        content = pipe.recv_bytes()
        try:
            load = pickle.loads(content)
        except UNKNOWN as err:
            pipe.send(reason(err))
            return
        if "mxnet" in sys.modules:
            os.write(2, b"warning: a plugin imports MXNet into data workers; keep its data sets and transforms apart\n")
        import cv2

        cv2.setNumThreads(0)
        pipe.send(READY)
        while True:
            pipe.send(_answer(load, pipe.recv()))


def _answer(load: Job[Any, Any], task: Any) -> Tuple[str, Any]:
    try:
        return "value", load(task)
    except MXNetSegError as err:
        return "user", str(err)
    except Exception:
        return "error", traceback.format_exc()
