"""Step time of training in several processes, and how much of what they send hides behind the backward pass.

    python -m tools.bench_distributed --json kvstore.json
    python -m tools.bench_distributed --engine horovod --json horovod.json     # in an environment that has Horovod
    python -m tools.bench_distributed --from-json kvstore.json horovod.json --write     # to docs/performance.md

Every process has one thread and a batch of its own (weak scaling), and all are bound to as many cores as there are
processes, if the machine has them. Beside them stands one process with as many threads and the whole batch. Images are
made up and ready in memory, so that nothing but the step is timed.

Four things are timed in turn, in every round, so that a machine that is shared disturbs all alike:

single    forward, backward, update in one process, while the others wait: what several are compared with
step      forward, backward, sums, update in all
alone     the same without the sums: each process for itself, all at the same time
sums      the sums of all gradients alone, which are ready

What the sums cost, shown, is step - alone; the rest of `sums` hides behind the backward pass. Loopback is the time that
the bytes of all gradients take there and back over bare TCP connections of this machine, one a process, all at once.
"""

import argparse
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tabulate import tabulate

from mxnetseg import dist
from mxnetseg.dist.addresses import free_port
from mxnetseg.dist.launcher import start_here, tend

NETWORKS = {"bisenet-r18": ("bisenet", "resnet18"), "fcn-r50": ("fcn", "resnet50")}
PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
HERE = ["-m", "tools.bench_distributed"]


def main() -> int:
    args = arguments()
    if args.worker:
        return work(args)
    rows = joined(args.from_json) if args.from_json else measured(args)
    if args.json:
        Path(args.json).write_text(json.dumps({"arguments": vars(args), "rows": rows}, indent=1))
    table = tabulate([list(each.values()) for each in rows], headers=list(rows[0]), floatfmt=".2f", tablefmt="github")
    print(table)
    if args.write:
        marks = re.compile(r"(?<=<!-- made by python -m tools.bench_distributed -->\n\n).*?(?=\n\n<!-- end)", re.DOTALL)
        PAGE.write_text(marks.sub(lambda _: table, PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


def joined(files):
    """Rows of several runs, those of a network together."""
    rows = [each for file in files for each in json.loads(Path(file).read_text())["rows"]]
    return sorted(rows, key=lambda each: list(NETWORKS).index(each["network"]))


def measured(args):
    rows = []
    for name in args.networks:
        for count in args.processes:
            many = measure(args, name, count, 1, args.batch)
            whole = measure(args, name, 1, count, args.batch * count)
            rows.append(row(args.engine, name, count, many, whole, there_and_back(4 * many["parameters"], count)))
            print(f"{rows[-1]}, {many['parameters'] / 1e6:.1f} M parameters", file=sys.stderr)
    return rows


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--processes", nargs="+", type=int, default=[2, 4])
    parser.add_argument("--engine", choices=("kvstore", "horovod"), default="kvstore")
    parser.add_argument("--servers", type=int, default=1, help="of the key-value store (1); several meet over TCP")
    parser.add_argument("--batch", type=int, default=4, help="images of a process (4)")
    parser.add_argument("--crop", type=int, default=256, help="their side (256)")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--from-json", nargs="+", metavar="FILE", help="measure nothing, show what these hold")
    parser.add_argument("--write", action="store_true", help="write the table to docs/performance.md")
    parser.add_argument("--worker", metavar="FILE", help=argparse.SUPPRESS)
    return parser.parse_args()


def row(engine, name, count, many, whole, loopback):
    return {
        "network": name,
        "engine": engine,
        "processes": count,
        "one process of one thread": many["single"],
        "s a step": many["step"],
        "alone": many["alone"],
        "sums": many["sums"],
        "loopback": loopback,
        "sums shown": many["step"] - many["alone"],
        "one process, as many threads": whole["step"],
        "images/s, of one process of one thread": count * many["single"] / many["step"],
    }


def measure(args, name, count, threads, batch):
    """Seconds of each kind, medians over the rounds; of rank 0."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "measured.json"
        options = ["--networks", name, "--batch", str(batch), "--crop", str(args.crop), "--rounds", str(args.rounds)]
        command = [*HERE, "--worker", str(out), "--engine", args.engine, *options]
        os.environ["OMP_NUM_THREADS"] = str(threads)
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[: max(count, threads)])
        try:
            if count == 1:
                status = subprocess.run([sys.executable, *command]).returncode
            elif args.engine == "horovod":
                horovodrun = str(Path(sys.executable).with_name("horovodrun"))
                started = [horovodrun, "--gloo", "-np", str(count), sys.executable, *command]
                status = subprocess.run(started).returncode
            else:
                status = tend(start_here(command, range(count), count, ("127.0.0.1", free_port()), args.servers))
        finally:
            os.sched_setaffinity(0, cores)
        if status:
            sys.exit(f"{name} with {count} processes failed ({status})")
        return json.loads(out.read_text())


def work(args) -> int:
    """One of the processes."""
    how = "horovod" if "HOROVOD_RANK" in os.environ else None  # our launcher needs no word
    with dist.join(how) as role:
        import mxnet as mx
        import numpy as np
        from mxnet import nd

        from mxnetseg import create_model
        from mxnetseg.config.schema import LossConfig, OptimizerConfig
        from mxnetseg.engine import peers
        from mxnetseg.engine.optimizer import Optimizer
        from mxnetseg.engine.step import Part, TrainStep
        from mxnetseg.losses import build_loss
        from mxnetseg.memory import keep_freed_memory

        keep_freed_memory()  # as training does
        with peers.join(role) as joined:
            model, backbone = NETWORKS[args.networks[0]]
            net = create_model(model, backbone=backbone, num_classes=19)
            net.initialize(mx.init.Xavier())
            criterion = build_loss(LossConfig(), 19, net.align_corners)
            criterion.initialize()
            for block in (net, criterion):
                block.hybridize(static_alloc=True)
            rng = np.random.default_rng(joined.rank)
            shape = (args.batch, args.crop, args.crop)
            images = nd.array(rng.standard_normal((args.batch, 3, *shape[1:]), np.float32))
            part = Part(images, nd.array(rng.integers(0, 19, shape)), nd.array([1 / np.prod(shape) / joined.size]))
            optimizer = Optimizer(net, OptimizerConfig(lr=1e-4))
            step = TrainStep(net, criterion, optimizer, aux_weight=0.4, peers=joined)

            def take(who):
                step.peers = who
                step([[part]], 1e-4, 0)

            alone = peers.Peers()
            what = {"step": lambda: take(joined)}
            if joined.size > 1:
                what["single"] = lambda: joined.leads and take(alone)
                what["alone"] = lambda: take(alone)
                what["sums"] = lambda: joined.sum_arrays(optimizer.gradients())
            seconds = {key: [] for key in what}
            for turn in range(args.rounds + 2):
                for key, run in what.items():
                    nd.waitall()
                    joined.barrier()
                    begin = time.perf_counter()
                    run()
                    nd.waitall()
                    joined.barrier()  # all have done it
                    if turn >= 2:  # before, things are made ready
                        seconds[key].append(time.perf_counter() - begin)
            if joined.leads:
                found = {key: statistics.median(each) for key, each in seconds.items()}
                gradients = sum(each[0].size for each in optimizer.gradients().values())
                Path(args.worker).write_text(json.dumps({**found, "parameters": gradients, "all": seconds}))
    return 0


def there_and_back(size: int, connections: int) -> float:
    """Seconds that so many bytes take over the loopback and back, over each connection; the median of 20.

    Memory copies are included, as they are in sums.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:

        def echo(peer):
            with peer:
                buffer = bytearray(size)
                for _ in range(20):
                    receive(peer, buffer)
                    peer.sendall(buffer)

        ends = []
        for _ in range(connections):
            ends.append(socket.create_connection(server.getsockname()))
            threading.Thread(target=echo, args=server.accept()[:1]).start()

    def exchange(end, content):
        end.sendall(content)
        receive(end, content)

    times = []
    with ThreadPoolExecutor(connections) as pool:
        contents = [bytearray(size) for _ in ends]
        for _ in range(20):
            begin = time.perf_counter()
            list(pool.map(exchange, ends, contents))
            times.append(time.perf_counter() - begin)
    for end in ends:
        end.close()
    return statistics.median(times)


def receive(peer: socket.socket, buffer: bytearray) -> None:
    view = memoryview(buffer)
    while view:
        view = view[peer.recv_into(view) :]


if __name__ == "__main__":
    sys.exit(main())
