"""One network at one size: every contender in a process of its own, timed in turns."""

import concurrent.futures
import contextlib
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from . import run_mxnet
from .contenders import Contender
from .process import Failed, Worker
from .statistics import agreement

__all__ = ["Case", "Pythons", "measure", "take_turns"]

TOLERANCE = 1e-3  # of float32 contenders' logits or losses, relative to the largest
PAUSE = 0.05  # seconds between turns, for threads of the last contender to fall asleep
PREPARED_AT_ONCE = 2
STEPS = 3  # of training that contenders must agree on
LR, DECAY = 1e-3, 1e-4
# of run_mxnet: what all are compared with, the hybridized network or its training
REFERENCE = {"inference": "plain", "training": "training"}


class Case(NamedTuple):
    network: str
    size: Tuple[int, int]
    task: str = "inference"
    batch: int = 1

    @property
    def title(self) -> str:
        return f"{self.network}, {self.size[0]}x{self.size[1]}"


class Pythons(NamedTuple):
    own: str
    peers: Optional[str]


def measure(
    case: Case,
    contenders: Sequence[Contender],
    pythons: Pythons,
    cores: Sequence[int],
    rounds: int,
    least: float,
    tick: Callable[[str], None],
) -> Dict[str, Any]:
    """What each contender did, by name: {"seconds", "memory", "detail", "difference", "same"} or {"problem"}.

    `least` is the least number of seconds of a turn; `tick` is told what was just done.
    A contender in float32 whose logits differ from MXNet's by more than `TOLERANCE` is not timed.
    """
    results: Dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="mxnetseg-bench-") as folder, contextlib.ExitStack() as stack:
        common = dict(
            folder=folder,
            network=case.network,
            size=list(case.size),
            task=case.task,
            batch=case.batch,
            lr=LR,
            weight_decay=DECAY,
            steps=STEPS,
        )
        problems = _export(common, pythons, cores, contenders)
        tick("exported")
        workers: Dict[str, Worker] = {}
        for contender in contenders:
            problem = problems.get("own") or (contender.peer and problems.get("peers"))
            problem = problem or (contender.module == "run_onnx" and problems.get("onnx"))
            if problem:
                results[contender.name] = {"problem": problem}
                tick(f"{contender.name} left out")
                continue
            results[contender.name] = {}
            python = pythons.peers if contender.peer else pythons.own
            workers[contender.name] = stack.enter_context(Worker(python, contender.module, cores))
        chosen = [contender for contender in contenders if contender.name in workers]
        _prepare_all(chosen, workers, results, common, (pythons, cores), tick)
        take_turns(workers, results, rounds, least, tick)
    return results


def _prepare_all(chosen, workers, results, common, reference_from, tick) -> None:
    """Several at once, as compilers use one core each; what must be timed to be chosen comes when all is quiet."""
    outcomes: Dict[str, np.ndarray] = {}

    def prepare(contender):
        try:
            if contender.before:
                _before(contender, common, *reference_from)
            outcomes[contender.name] = _prepare(workers[contender.name], contender, common)
        except Failed as err:
            results[contender.name]["problem"] = str(err)
        tick(f"{contender.name} prepared")

    with concurrent.futures.ThreadPoolExecutor(PREPARED_AT_ONCE) as pool:
        list(pool.map(prepare, chosen))
    reference = next((outcomes.get(contender.name) for contender in chosen if _is_reference(contender)), None)
    if reference is None and chosen:
        with contextlib.suppress(Failed):
            reference = _reference(common, *reference_from)
    for contender in chosen:
        name = contender.name
        try:
            if name in outcomes:
                results[name].update(_compare(contender, outcomes.pop(name), reference))
                results[name].update(workers[name].ask(settle=True), seconds=[])
        except Failed as err:
            results[name]["problem"] = str(err)
        if "problem" in results[name]:
            workers.pop(name).close()


def _export(common, pythons, cores, contenders) -> Dict[str, str]:
    """Write the network for all; what went wrong by "own", "peers" or "onnx"."""
    try:
        with Worker(pythons.own, "run_mxnet", cores) as worker:
            worker.ask(prepare="export", **common)
    except Failed as err:
        return {"own": f"the network could not be exported: {err}"}
    if pythons.peers is None:
        return {"peers": "no Python with the peers"}
    if any(contender.module == "run_onnx" for contender in contenders):
        try:
            with Worker(pythons.own, "run_mxnet", cores) as worker:
                worker.ask(prepare="export_onnx", **common)
        except Failed as err:
            return {"onnx": f"the network could not be written as ONNX: {err}"}
    return {}


def _is_reference(contender: Contender) -> bool:
    return contender.module == "run_mxnet" and contender.function == REFERENCE[contender.task]


def _reference(common, pythons, cores) -> np.ndarray:
    """What MXNet computes, where it is not among the contenders."""
    task = common["task"]
    with Worker(pythons.own, "run_mxnet", cores) as worker:
        return _prepare(worker, Contender("reference", task, False, "run_mxnet", REFERENCE[task]), common)


def _before(contender: Contender, common, pythons: Pythons, cores) -> None:
    own = hasattr(run_mxnet, contender.before)
    module, python = ("run_mxnet", pythons.own) if own else (contender.module, pythons.peers)
    with Worker(python, module, cores) as worker:
        worker.ask(prepare=contender.before, dtype=contender.dtype, **common)


def _prepare(worker: Worker, contender: Contender, common) -> np.ndarray:
    path = Path(common["folder"]) / f"{contender.name}.npy"
    worker.ask(prepare=contender.function, outcome=str(path), dtype=contender.dtype, **common)
    outcome = np.load(path)
    path.unlink()
    return outcome


def _compare(contender: Contender, outcome, reference) -> Dict[str, Any]:
    if reference is None:
        raise Failed("there is nothing to compare its results with: MXNet failed")
    difference, same = agreement(outcome, reference)
    if contender.dtype == "float32" and not difference <= TOLERANCE:
        raise Failed(f"its results differ from MXNet's by {difference:.2g} of the largest")
    return dict(difference=difference, same=same)


def take_turns(workers: Dict[str, Worker], results, rounds: int, least: float, tick) -> None:
    """Time all in turns, each round beginning with the next; who fails is out, his result says why."""
    for index in range(rounds):
        names: List[str] = list(workers)
        for name in names[index % max(len(names), 1) :] + names[: index % max(len(names), 1)]:
            time.sleep(PAUSE)
            try:
                results[name]["seconds"].append(workers[name].ask(time=least)["seconds"])
            except Failed as err:
                results[name]["problem"] = str(err)
                del workers[name]
            tick(f"round {index + 1}: {name}")
    for name, worker in workers.items():
        with contextlib.suppress(Failed):
            results[name]["memory"] = worker.ask(memory=True)["memory"]
