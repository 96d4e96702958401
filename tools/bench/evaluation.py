"""Time multi-scale evaluation against GluonCV's MultiEvalModel and mmsegmentation's aug_test in compiled PyTorch; print
the table of docs/performance.md.

    OMP_NUM_THREADS=2 python -m tools.bench.evaluation [--rounds 3]

The network is one of ours with random weights, compiled. For GluonCV an adapter gives it what MultiEvalModel asks of
a SegBaseModel: base_size, crop_size, evaluate(). Both slide the same windows over the same scales, with mirror
images, of one random image, one window per forward pass (MXNetSeg also whole images, as most recipes evaluate, and
both with the network optimized by `mxnetseg.deploy`). PyTorch's network is the same one, compiled, and does what
mmsegmentation does (`aug_test.py`). The last contender does no more than the forward passes over the same windows: what
others take beyond it is what evaluation itself costs.

Every contender runs in a process of its own; they take turns, and wait for one another. Wall and processor time are
medians of the rounds, after a pass at the first scale that is not timed (all scales in PyTorch, which compiles then).
Memory is the largest resident set of the process, in all and beyond what it was before the network was made.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace

from .worker import peak_memory

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / ".venv-peers" / "bin" / "python"
AUG_TEST = "aug_test"
SCALES = [0.5, 0.75, 1.0, 1.25, 1.5, 1.75]
CONTENDERS = {
    "ours": "MXNetSeg",
    "gluoncv": "GluonCV",
    "whole": "MXNetSeg, whole images",
    "deployed": "MXNetSeg, `--dtype float32`",
    "deployed_whole": "MXNetSeg, `--dtype float32`, whole images",
    AUG_TEST: "PyTorch compiled, `aug_test`",
    "network": "the forward passes alone",
}


def network(args):
    """The same in every process: it is made of the same random numbers."""
    import mxnet as mx
    import numpy as np

    from mxnetseg import create_model

    mx.random.seed(0)
    np.random.seed(0)
    net = create_model(args.model, backbone=args.backbone, num_classes=args.classes)
    net.collect_params().setattr("grad_req", "null")
    net.initialize(mx.init.Xavier())
    return net


def picture(args):
    import numpy as np

    return np.random.RandomState(0).randint(0, 256, (*args.size, 3)).astype(np.uint8)


def stride(args) -> int:
    return int(args.crop * 2 / 3)  # GluonCV rounds down


def contender(name: str, args):
    """A function that evaluates once and waits for the result."""
    import mxnetseg  # noqa: I001  (sets what MXNet reads when it is imported)
    import mxnet as mx

    from mxnetseg.config import EvalConfig
    from mxnetseg.engine.inference import Preprocess, class_probabilities

    net, image = network(args), picture(args)
    net.hybridize(static_alloc=True)
    preprocess = Preprocess(base=args.base)
    if name == "gluoncv":
        return gluoncv_evaluator(net, preprocess(image[None], mx.cpu())[0], args)
    if name.startswith("deployed"):
        net = mxnetseg.deploy.optimize(net)
    crop = None if name.endswith("whole") else args.crop

    def evaluate(network, scales):
        config = EvalConfig(scales=scales, flip=True, crop=crop, stride=crop and stride(args))
        return class_probabilities(network, image, preprocess, config, mx.cpu())

    if name != "network":
        return lambda scales: evaluate(net, scales).wait_to_read()

    @lru_cache(maxsize=None)
    def inputs(scales):
        shapes = []

        def note(x):
            shapes.append(x.shape)
            return mx.nd.zeros((1, 1, 2, 2))

        evaluate(SimpleNamespace(coarse_logits=note, align_corners=net.align_corners), scales)
        made = {shape: mx.nd.random.normal(shape=shape) for shape in set(shapes)}
        return [made[shape] for shape in shapes]

    inputs(tuple(args.scales))  # not timed

    def passes(scales):
        for x in inputs(tuple(scales)):
            net.coarse_logits(x).wait_to_read()

    return passes


def gluoncv_evaluator(net, x, args):
    """MultiEvalModel of `net` on x (3, H, W), by scales."""
    import mxnet as mx
    from gluoncv.model_zoo.segbase import MultiEvalModel

    class Adapter:
        base_size, crop_size = args.base, args.crop
        collect_params = net.collect_params

        def evaluate(self, x):
            return net(x)

    def evaluate(scales):
        MultiEvalModel(Adapter(), args.classes, [mx.cpu()], flip=True, scales=scales)(x).wait_to_read()

    return evaluate


def write_for_torch(folder: Path, args) -> None:
    """The image, the network's plan for every size of window, and what else `aug_test.py` reads."""
    os.environ["MXNETSEG_OPS"] = "0"  # `trace` wants operators that others have
    import mxnetseg  # noqa: F401, I001
    import numpy as np

    from mxnetseg.data.transforms import scaled_size
    from mxnetseg.engine.inference import Preprocess, windows

    from .trace import trace

    net, usual = network(args).reparameterize(), Preprocess()
    np.save(folder / "image.npy", picture(args))
    views = []
    for scale in args.scales:
        height, width = scaled_size(*args.size, scale, args.base, None)
        window = min(height, args.crop), min(width, args.crop)
        tops, lefts = (windows(side, args.crop, stride(args)) for side in (height, width))
        plan = f"plan-{window[0]}x{window[1]}"
        if plan not in [view["plan"] for view in views]:
            trace(net, (1, 3, *window)).save(folder / plan)
        views.append(dict(size=(height, width), window=window, tops=tops, lefts=lefts, plan=plan))
    job = dict(views=views, mean=list(usual.mean), std=list(usual.std), align_corners=net.align_corners)
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")


def serve(name: str, args) -> None:
    """Answer every line on the standard input with the seconds of one evaluation; the memory at the end."""
    import mxnetseg  # noqa: F401, I001
    import mxnet  # noqa: F401

    before = round(peak_memory())
    run = contender(name, args)
    run(args.scales[:1])
    print(json.dumps({"before": before}), flush=True)
    for _ in sys.stdin:
        begin = time.perf_counter(), time.process_time()
        run(args.scales)
        seconds = time.perf_counter() - begin[0], time.process_time() - begin[1]
        print(json.dumps({"wall": seconds[0], "cpu": seconds[1], "peak": round(peak_memory())}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="fcn")
    parser.add_argument("--backbone", default="mobilenet_v2_0_25")
    parser.add_argument("--classes", type=int, default=19)
    parser.add_argument("--size", type=int, nargs=2, default=[1024, 2048], help="height and width of the image")
    parser.add_argument("--base", type=int, default=2048, help="long side at scale 1")
    parser.add_argument("--crop", type=int, default=768)
    parser.add_argument("--scales", type=float, nargs="+", default=SCALES)
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--peers-python", default=str(PEERS), metavar="PATH", help="a Python that has PyTorch")
    parser.add_argument("--serve", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--for-torch", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args.serve, args)
        return
    if args.for_torch:
        write_for_torch(args.for_torch, args)
        return
    with tempfile.TemporaryDirectory(prefix="mxnetseg-bench-") as folder:
        print(table(args, *measured(args, Path(folder))))


def measured(args, folder: Path):
    """Seconds by contender on the wall's clock and of the processors, and each one's last answer."""
    own = [sys.executable, "-m", "tools.bench.evaluation", *sys.argv[1:]]
    commands = {name: [*own, "--serve", name] for name in args.contenders}
    if AUG_TEST in commands:
        subprocess.run([*own, "--for-torch", str(folder)], cwd=ROOT, check=True)
        commands[AUG_TEST] = [args.peers_python, "-m", "tools.bench.aug_test", str(folder)]
    processes, answers = {}, {}
    for name, command in commands.items():
        pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        processes[name] = subprocess.Popen(command, cwd=ROOT, text=True, bufsize=1, **pipes)
        answers[name] = {"before": said(processes[name])["before"]}  # one after another: they warm up
    wall, cpu = ({name: [] for name in processes} for _ in range(2))
    for turn in range(args.rounds):
        for name, process in processes.items():
            process.stdin.write("go\n")
            process.stdin.flush()
            answers[name].update(said(process))
            wall[name].append(answers[name]["wall"])
            cpu[name].append(answers[name]["cpu"])
            print(f"round {turn + 1}: {CONTENDERS[name]} {wall[name][-1]:.1f} s", file=sys.stderr, flush=True)
    for process in processes.values():
        process.stdin.close()
        process.wait()
    return wall, cpu, answers


def said(process) -> dict:
    """The next line of JSON from a process (libraries print, too)."""
    for line in process.stdout:
        if line.startswith("{"):
            return json.loads(line)
    sys.exit(f"{' '.join(process.args)} ended with status {process.wait()}")


def table(args, wall, cpu, answers) -> str:
    from tabulate import tabulate

    rows = []
    for name, values in wall.items():
        memory = answers[name]
        row = [CONTENDERS[name], f"{statistics.median(values):.1f}", f"{min(values):.1f} to {max(values):.1f}"]
        for times in (wall, cpu):
            median = {one: statistics.median(taken) for one, taken in times.items()}
            if times is cpu:
                row.append(f"{median[name]:.1f}")
            beyond = "network" in median and name in ("ours", "gluoncv")
            row.append(f"{median[name] - median['network']:.1f}" if beyond else "")
            row.append(f"{median['gluoncv'] / median[name]:.1f}" if "gluoncv" in median else "")
            if times is wall:
                row.append(f"{median[AUG_TEST] / median[name]:.1f}" if AUG_TEST in median else "")
        rows.append((*row, memory["peak"], memory["peak"] - memory["before"]))
    title = (
        f"{args.model} on {args.backbone}, {args.classes} classes, {args.size[1]}x{args.size[0]}, base {args.base}, "
        f"windows of {args.crop}, scales {' '.join(map(str, args.scales))}, mirrored too; {args.rounds} rounds, "
        f"OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'as the cores')}"
    )
    headers = ["", "s", "spread, s", "beyond the network", "GluonCV / this", "`aug_test` / this"]
    headers += ["processor s", "beyond the network", "GluonCV / this", "peak memory, MB", "without libraries, MB"]
    return f"{title}\n\n{tabulate(rows, headers, tablefmt='github')}"


if __name__ == "__main__":
    main()
