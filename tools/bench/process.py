"""The suite's side of a worker's pipe."""

import json
import os
import selectors
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Dict, Sequence

__all__ = ["Failed", "Worker"]

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 1200  # seconds for one answer


class Failed(Exception):
    """A contender could not do what it was asked for; the text says why."""


class Worker:
    """A process that runs `tools.bench.worker` with a module of this package.

    Parameters
    ----------
    python : str
    module : str
        "run_mxnet", "run_torch" or "run_onnx".
    cores : sequence of int
        Processors it may use; as many threads.
    """

    def __init__(self, python: str, module: str, cores: Sequence[int]):
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115  (open as long as the process)
        threads = str(len(cores))
        # some libraries read these when they are loaded, which is before the worker's first line
        environment = dict(os.environ, OMP_NUM_THREADS=threads, MKL_NUM_THREADS=threads, OPENBLAS_NUM_THREADS=threads)
        self._process = subprocess.Popen(
            [python, "-m", "tools.bench.worker", module, threads, ",".join(map(str, cores))],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
        )

    def ask(self, patience: float = PATIENCE, **request: Any) -> Dict[str, Any]:
        """The answer; raises Failed where the worker says that it can't, ends, or is silent for `patience` seconds."""
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise Failed(self._ended()) from None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(patience):
                self.close()
                raise Failed(f"no answer in {patience:.0f} s")
        line = self._process.stdout.readline()
        if not line:
            raise Failed(self._ended())
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(answer["error"])
        return answer

    def close(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            stream.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._said.close()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _ended(self) -> str:
        code = self._process.wait()
        self._said.seek(0)
        lines = [line.strip() for line in self._said if line.strip()]
        return f"its process ended with status {code}" + (f": {lines[-1]}" if lines else "")
