"""A small pool of processes that answer in the order of the questions.

Not `concurrent.futures`: it can't tell which task a dead worker was on. Not `fork`: the parent runs
MXNet's threads. Workers are fresh interpreters that import NumPy and OpenCV, never MXNet.
"""

import contextlib
import itertools
import os
import pickle
import subprocess
import sys
import traceback
from collections import deque
from multiprocessing.connection import Client, Connection, Listener
from typing import Any, Callable, Iterable, Iterator, List

from ..errors import MXNetSegError

__all__ = ["WorkerPool", "in_order"]


class WorkerPool:
    """Run `load(task)` in `workers` processes; `result()` gives the answers in the order of `submit`.

    `load` must pickle; `load.name(task)` names a task in errors.
    """

    def __init__(self, load: Callable[[Any], Any], workers: int):
        self._load = load
        self._order: deque = deque()
        self._processes: List[subprocess.Popen] = []
        self._pipes: List[Connection] = []
        key = os.urandom(16)
        with Listener(family="AF_UNIX", authkey=key) as listener:
            for _ in range(workers):
                self._processes.append(_start(listener.address, key))
            for _ in self._processes:
                self._pipes.append(listener.accept())
        # pipes and processes pair up by what the worker says first
        by_pid = {pipe.recv(): pipe for pipe in self._pipes}
        self._pipes = [by_pid[process.pid] for process in self._processes]
        job = pickle.dumps(load)
        for pipe in self._pipes:
            pipe.send_bytes(job)
        self._turn = itertools.cycle(range(workers))

    def submit(self, task: Any) -> None:
        """Hand a task to the next worker in turn."""
        worker = next(self._turn)
        self._order.append((worker, task))
        with contextlib.suppress(OSError):  # the worker died; `result` says so when its turn comes
            self._pipes[worker].send(task)

    def result(self) -> Any:
        """The answer to the oldest task.

        Raises
        ------
        MXNetSegError
            `load` raised it, or the worker died; the message names the task.
        """
        worker, task = self._order.popleft()
        try:
            kind, value = self._pipes[worker].recv()
        except (EOFError, OSError):
            code = self._processes[worker].wait()
            how = f"signal {-code}" if code < 0 else f"exit status {code}"
            self.close()
            raise MXNetSegError(
                f"the data worker died ({how}) on sample {self._load.name(task)}; "
                "when the machine is out of memory, lower train.workers"
            ) from None
        if kind == "value":
            return value
        self.close()
        if kind == "user":
            raise MXNetSegError(f"sample {self._load.name(task)}: {value}")
        raise RuntimeError(f"the data worker failed on sample {self._load.name(task)}:\n{value}")

    def close(self) -> None:
        """End all workers; safe to call twice."""
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait()

    def __del__(self):
        self.close()


def in_order(load: Callable[[Any], Any], tasks: Iterable, workers: int) -> Iterator:
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


def _start(address: str, key: bytes) -> subprocess.Popen:
    package_parent = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    path = os.pathsep.join(p for p in (package_parent, os.environ.get("PYTHONPATH")) if p)
    # one thread each: the workers run beside the training
    environment = dict(os.environ, PYTHONPATH=path, OMP_NUM_THREADS="1")
    process = subprocess.Popen(
        [sys.executable, "-c", f"from mxnetseg.data.workers import work; work({address!r})"],
        stdin=subprocess.PIPE,
        env=environment,
        start_new_session=True,  # Ctrl-C is for the parent, which ends its workers itself
    )
    process.stdin.write(key)
    process.stdin.close()
    return process


def work(address: str) -> None:
    """What a worker does until its parent closes the pipe (or dies, which closes it too)."""
    key = sys.stdin.buffer.read()
    with Client(address, family="AF_UNIX", authkey=key) as pipe:
        try:
            pipe.send(os.getpid())
            load = pickle.loads(pipe.recv_bytes())
            import cv2

            cv2.setNumThreads(0)
            while True:
                pipe.send(_answer(load, pipe.recv()))
        except (EOFError, OSError):
            return


def _answer(load, task):
    try:
        return "value", load(task)
    except MXNetSegError as err:
        return "user", str(err)
    except Exception:
        return "error", traceback.format_exc()
