"""One contender in a process of its own: a line of JSON asks, a line answers.

    python -m tools.bench.worker run_torch THREADS CORES

{"prepare": NAME, ...} calls that function of the module with the request; what it returns is run and timed by
{"time": SECONDS}, once {"settle": true} has chosen between its forms. {"memory": true} tells the peak of the resident
memory since then. An answer is {"error": TEXT} where something fails; the process lives on.
"""

import gc
import importlib
import json
import os
import resource
import sys
import time
import traceback
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional, Tuple

__all__ = ["Prepared", "timed"]


class Prepared(NamedTuple):
    """What is timed, a call of no arguments that ends when the work is done.

    `outcome` is the array that all contenders must agree on, `detail` says which form of the toolkit runs. Where that
    is to be found out by trying, `settle` gives (run, detail) of the fastest; it is called when nothing else runs.
    """

    run: Callable[[], Any]
    outcome: Any
    detail: str = ""
    settle: Optional[Callable[[], Tuple[Callable[[], Any], str]]] = None


WARM = 0.25  # seconds: shorter calls are preceded by one that wakes threads and caches


def timed(run: Callable[[], Any], least: float, last: float = 0.0) -> float:
    """Seconds per call, the mean over at least `least` seconds of calls; `last` is what a call took last time."""
    if last < WARM:
        run()
    calls, start = 0, time.perf_counter()
    while True:
        run()
        calls += 1
        taken = time.perf_counter() - start
        if taken >= least:
            return taken / calls


def peak_memory() -> float:
    """The largest resident memory since `forget_peak`, MB; where the system does not tell, since the start."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def forget_peak() -> None:
    gc.collect()
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def main() -> int:
    module, threads, cores = sys.argv[1:]
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
    os.environ["OMP_NUM_THREADS"] = threads
    # what libraries print must not mix with the answers
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    state = {"last": 0.0}

    def answer(request):
        if "prepare" in request:
            import numpy as np

            function = getattr(importlib.import_module(f"{__package__}.{module}"), request["prepare"])
            prepared = function(request)
            if prepared is None:
                return {}
            np.save(request["outcome"], prepared.outcome)
            state.update(run=prepared.run, detail=prepared.detail, settle=prepared.settle)
            return {}
        if "settle" in request:
            settle = state.pop("settle")
            if settle:
                state["run"], state["detail"] = settle()
            del settle
            forget_peak()
            return {"detail": state["detail"]}
        if "time" in request:
            state["last"] = timed(state["run"], request["time"], state["last"])
            return {"seconds": state["last"]}
        return {"memory": peak_memory()}

    for line in sys.stdin:
        try:
            said = answer(json.loads(line))
        except Exception as err:
            traceback.print_exc()
            text = str(err).strip() or type(err).__name__
            said = {"error": text if type(err).__name__ == "MXNetSegError" else f"{type(err).__name__}: {text}"}
        answers.write(json.dumps(said) + "\n")
        answers.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
