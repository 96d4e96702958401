"""Time the library's operators against what MXNet and PyTorch do of the same, on a CPU.

    OMP_NUM_THREADS=2 python -m tools.bench.operators [--only attention depthwise ...] [--torch-python PATH]

Every contender runs in a process of its own, and they take turns, a burst of calls each; medians of the rounds are
compared. MXNet's is what MXNetSeg does without the library. PyTorch is eager; without a Python that has it, its columns
are left out. MXNet's attention is eager, too, or a compiled graph of this one operation (--compiled).
"""

import argparse
import contextlib
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

from .operations import OPERATIONS
from .process import Worker
from .rounds import take_turns
from .statistics import agreement, summarize
from .worker import Prepared

LEAST = 0.05  # seconds of a turn
TOLERANCE = 1e-3  # of the largest value; of class maps, the share of pixels that may differ (ties)


def inputs(request):
    """Those of the operation, always the same."""
    return OPERATIONS[request["operation"]].inputs(np.random.RandomState(0), *request["sizes"])


def composed(request) -> Prepared:
    """MXNetSeg without the library."""
    os.environ["MXNETSEG_OPS"] = "0"
    return operator(request)


def operator(request) -> Prepared:
    """MXNetSeg."""
    import mxnetseg  # noqa: F401, I001  (sets what MXNet reads when it is imported)
    from mxnet import autograd, nd

    from mxnetseg import ops

    if os.environ.get("MXNETSEG_OPS") != "0":
        ops.load()
    operation = OPERATIONS[request["operation"]]
    *arrays, last = map(nd.array, inputs(request))
    for array in arrays:
        array.attach_grad()
    call = operation.mxnet(tuple(request["sizes"]), last)
    if request["compiled"] and request["operation"] == "attention":
        call.hybridize(static_alloc=True, static_shape=True)

    def run():
        with autograd.record() if request["backward"] else contextlib.nullcontext():
            out = call(*arrays)
        if not request["backward"]:
            out.wait_to_read()
            return out
        out.backward(None if operation.labels else last)
        nd.waitall()
        return arrays[0].grad

    return Prepared(run, run().asnumpy())


def eager(request) -> Prepared:
    """PyTorch."""
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    operation = OPERATIONS[request["operation"]]
    *arrays, last = map(torch.from_numpy, inputs(request))
    for array in arrays:
        array.requires_grad_(request["backward"])
    call = operation.torch(tuple(request["sizes"]), last)

    def run():
        if not request["backward"]:
            with torch.no_grad():
                return call(*arrays)
        for array in arrays:
            array.grad = None
        call(*arrays).backward(None if operation.labels else last)
        return arrays[0].grad

    return Prepared(run, run().numpy())


def milliseconds(request, pythons, cores, rounds):
    """Medians by contender, all of which give the same."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        workers, outcomes = {}, []
        for name, python in pythons.items():
            workers[name] = stack.enter_context(Worker(python, "operators", cores))
            path = Path(folder) / "outcome.npy"
            workers[name].ask(prepare=name, outcome=str(path), **request)
            workers[name].ask(settle=True)
            outcomes.append(np.load(path))
            if request["operation"] == "argmax":
                difference = (outcomes[-1] != outcomes[0]).mean()
            else:
                difference = agreement(outcomes[-1], outcomes[0])[0]
            if not difference <= TOLERANCE:
                sys.exit(f"{request}: {name} gives something else; {difference:.2g} of it")
        results = {name: {"seconds": []} for name in workers}
        take_turns(workers, results, rounds, LEAST, lambda _: None)
    problem = next((result["problem"] for result in results.values() if "problem" in result), None)
    if problem:
        sys.exit(problem)
    return [1e3 * summarize(results[name]["seconds"]).median for name in pythons]


def main() -> None:
    from tabulate import tabulate

    from .machine import physical_cores

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(OPERATIONS), default=list(OPERATIONS))
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--torch-python", metavar="PATH", help="a Python that has PyTorch")
    parser.add_argument("--compiled", action="store_true", help="MXNet's attention as a compiled graph")
    args = parser.parse_args()
    cores = physical_cores(int(os.environ.get("OMP_NUM_THREADS") or 0) or None)
    pythons = {"operator": sys.executable, "composed": sys.executable}
    if args.torch_python:
        pythons["eager"] = args.torch_python
    names = {"operator": "operator", "composed": "MXNet", "eager": "PyTorch"}
    rows = []
    for operation in args.only:
        for sizes in OPERATIONS[operation].sizes:
            for backward in OPERATIONS[operation].backward:
                request = dict(operation=operation, sizes=sizes, backward=backward, compiled=args.compiled)
                taken = milliseconds(request, pythons, cores, args.rounds)
                what = f"{operation}, forward{' + backward' * backward}"
                rows.append([what, " x ".join(map(str, sizes)), *taken, *(one / taken[0] for one in taken[1:])])
    headers = ["operation", "sizes", *(f"{names[one]}, ms" for one in pythons)]
    headers += [f"{names[one]} / operator" for one in list(pythons)[1:]]
    print(f"{len(cores)} threads, medians of {args.rounds} interleaved rounds\n")
    print(tabulate(rows, headers=headers, tablefmt="github", floatfmt=".1f"))


if __name__ == "__main__":
    main()
