"""Training steps by what becomes of memory: freed and given back, freed and kept, activations computed again, or none
kept of a frozen backbone.

    python -m tools.bench_training_memory        # some minutes; prints the table of docs/performance.md
    python -m tools.bench_training_memory --ways kept frozen     # that of docs/finetune.md

`kept` is what training does (mxnetseg.memory), `checkpoint` what it does with `train.checkpoint: true`, `frozen` with
`model.freeze: backbone`. Every number is of processes of their own, which alternate: medians of their steps after the
first three.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

from tabulate import tabulate

ROOT = Path(__file__).resolve().parents[1]
NETWORKS = {
    "bisenet-r18": dict(name="bisenet", backbone="resnet18"),
    "fcn-r50": dict(name="fcn", backbone="resnet50"),
    "swiftnet-efficientnet_lite0": dict(name="swiftnet", backbone="efficientnet_lite0", width=96),
}
WAYS = ("given back", "kept", "checkpoint", "frozen")
WARM = 3


def main() -> None:
    args = arguments()
    if args.child:
        print(json.dumps(steps(args)))
        return
    rows = []
    for network in args.networks:
        seen = {way: [] for way in args.ways}
        for _ in range(args.rounds):
            for how in seen:
                command = [sys.executable, "-m", "tools.bench_training_memory", *sys.argv[1:], "--child", network, how]
                done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
                seen[how].append(json.loads(done.stdout.splitlines()[-1]))
        for how, runs in seen.items():
            rows.append([network, how, *map(statistics.median, zip(*runs))])
            print(network, how, runs, flush=True)
    print(tabulate(rows, ["network", "memory", "s a step", "of it the system's", "peak, MB"], "github", floatfmt=".2f"))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--crop", type=int, nargs=2, default=[288, 384], metavar="N", help="height and width (288 384)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


def steps(args: argparse.Namespace) -> list:
    """Median seconds of a step, those of it in the system, and the peak, MB."""
    network, how = args.child
    from mxnetseg import create_model  # settles the environment before MXNet is there  # isort: skip
    import mxnet as mx
    from mxnet import autograd, gluon, nd

    from mxnetseg.config.schema import ModelConfig
    from mxnetseg.engine.freeze import Freeze
    from mxnetseg.engine.recompute import Recompute
    from mxnetseg.memory import give_back_freed_memory, keep_freed_memory

    if how != "given back":
        give_back_freed_memory()  # until the first step is over, as training does
    net = create_model(num_classes=11, **NETWORKS[network])
    net.initialize(mx.init.Xavier())
    if how == "frozen":
        net(nd.zeros((1, 3, *args.crop)))  # gives all arrays their shapes
        Freeze(net, ModelConfig(name=NETWORKS[network]["name"], freeze=["^backbone"]))
    net.hybridize(static_alloc=True)
    trainer = gluon.Trainer(net.collect_params(), "adam")
    loss = gluon.loss.SoftmaxCrossEntropyLoss(axis=1)
    x, y = nd.random.uniform(shape=(args.batch, 3, *args.crop)), nd.zeros((args.batch, *args.crop))
    pieces = Recompute(net, coarse=False) if how == "checkpoint" else None
    times, system = [], []
    for number in range(WARM + args.steps):
        start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_stime
        with autograd.record():
            outputs = pieces([x], 0)[0] if pieces else net(x)
            total = loss(outputs[0] if isinstance(outputs, (list, tuple)) else outputs, y).mean()
        total.backward()
        if pieces:
            pieces.backward()
        trainer.step(1)
        nd.waitall()
        times.append(time.perf_counter() - start)
        if number == 0 and how != "given back":
            keep_freed_memory()
        system.append(resource.getrusage(resource.RUSAGE_SELF).ru_stime - before)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return [statistics.median(times[WARM:]), statistics.median(system[WARM:]), peak]


if __name__ == "__main__":
    main()
