"""Time deform_attention against its composition from MXNet's operators and from PyTorch's, on a CPU.

    python tools/bench_deform_attention.py [--rounds 11] [--torch-python PATH] [--compiled]

The sizes are those of DGMN2-tiny's four stages at 512x512. Each round runs every contender for a while, forward and
then forward with backward; medians of the rounds are compared. PyTorch runs in a process of its own (its Python: this
one where torch can be imported, or the one named), so that neither toolkit's threads disturb the other's; without it,
its columns are left out. PyTorch is eager always; MXNet is too, or both of its contenders are compiled graphs
(--compiled) whose inputs are the six arrays.
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

STAGES = ((1, 64, 128), (2, 64, 64), (5, 64, 32), (8, 64, 16))  # heads, channels of a head, height and width
PASSES = ("forward", "forward + backward")


def inputs(heads, d, size):
    """q, k, v, offset, position and a gradient."""
    import numpy as np

    rng = np.random.RandomState(0)
    channels = (heads * d, heads * d, heads * d, heads * 18, heads * 9, heads * d)
    spread = (0.5, 0.5, 0.5, 0.5, 1, 1)
    return [(rng.randn(1, size, size, c) * s).astype("float32") for c, s in zip(channels, spread)]


def timed(run, least=0.05):
    """Seconds per call: after one call that warms caches and wakes threads, the mean over `least` seconds of calls."""
    run()
    calls, start = 0, time.perf_counter()
    while not calls or time.perf_counter() - start < least:
        run()
        calls += 1
    return (time.perf_counter() - start) / calls


class MXNet:
    """A contender in this process: called imperatively, as PyTorch is, or as a compiled graph of this one operation."""

    def __init__(self, function, compiled):
        self.function, self.compiled = function, compiled

    def prepare(self, heads, d, size):
        import mxnetseg  # noqa: F401, I001  (before MXNet, which starts on NumPy 2 only so)
        from mxnet import nd

        *arrays, grad = map(nd.array, inputs(heads, d, size))
        for array in arrays:
            array.attach_grad()
        self.arrays, self.grad = arrays, grad
        self.call = self._graph(dict(heads=heads, scale=d**-0.5))
        return self.forward().asnumpy()

    def _graph(self, options):
        from mxnet import gluon, nd

        if not self.compiled:
            return lambda *arrays: self.function(nd, *arrays, **options)
        function = self.function

        class Graph(gluon.HybridBlock):
            def hybrid_forward(self, F, *inputs):
                return function(F, *inputs, **options)

        graph = Graph()
        graph.hybridize(static_alloc=True, static_shape=True)
        return graph

    def _call(self):
        return self.call(*self.arrays)

    def forward(self):
        out = self._call()
        out.wait_to_read()
        return out

    def both(self):
        from mxnet import autograd, nd

        with autograd.record():
            out = self._call()
        out.backward(self.grad)
        nd.waitall()

    def time(self):
        return timed(self.forward), timed(self.both)


class Torch:
    """The contender in another process: one line asks for work, one line answers."""

    script = __file__

    def __init__(self, python, threads):
        environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
        command = [python, str(Path(self.script).resolve()), "--torch-worker"]
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit("the process that runs PyTorch ended")
        return json.loads(answer)

    def prepare(self, heads, d, size):
        import numpy as np

        with tempfile.TemporaryDirectory() as folder:
            self.ask([heads, d, size, f"{folder}/out.npy"])
            return np.load(f"{folder}/out.npy")

    def time(self):
        return self.ask(None)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def torch_worker():
    import numpy as np
    import torch
    from composed_torch import deform_attention

    arrays = grad = options = None

    def forward():
        with torch.no_grad():
            return deform_attention(*arrays, **options)

    def both():
        for array in arrays:
            array.grad = None
        deform_attention(*arrays, **options).backward(grad)

    for line in sys.stdin:
        request = json.loads(line)
        if request is None:
            answer = [timed(forward), timed(both)]
        else:
            heads, d, size, path = request
            *arrays, grad = (torch.from_numpy(array) for array in inputs(heads, d, size))
            for array in arrays:
                array.requires_grad_()
            options = dict(heads=heads, scale=d**-0.5)
            np.save(path, forward().numpy())
            answer = torch.__version__
        print(json.dumps(answer), flush=True)
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--torch-python", metavar="PATH", help="a Python that has PyTorch")
    parser.add_argument("--compiled", action="store_true", help="MXNet's contenders as compiled graphs")
    parser.add_argument("--torch-worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.torch_worker:
        return torch_worker()

    import mxnetseg  # noqa: F401, I001  (sets what MXNet reads when it is imported)
    import numpy as np
    from tabulate import tabulate

    from mxnetseg import ops, startup
    from mxnetseg.ops.deform import composed

    ops.load()
    threads = startup.threads()
    functions = {"operator": ops.deform_attention, "MXNet": composed.deform_attention}
    contenders = {name: MXNet(function, args.compiled) for name, function in functions.items()}
    python = args.torch_python or (sys.executable if importlib.util.find_spec("torch") else None)
    if python:
        contenders["PyTorch"] = Torch(python, threads)
    rows = []
    for heads, d, size in STAGES:
        outs = [contender.prepare(heads, d, size) for contender in contenders.values()]
        for out in outs[1:]:
            np.testing.assert_allclose(out, outs[0], atol=1e-4)
        times = {name: [] for name in contenders}
        for index in range(args.rounds + 2):
            for name, contender in contenders.items():
                taken = contender.time()
                if index >= 2:  # the first rounds warm up
                    times[name].append(taken)
        for which, name in enumerate(PASSES):
            medians = [statistics.median(t[which] for t in times[c]) * 1e3 for c in contenders]
            ratios = [median / medians[0] for median in medians[1:]]
            rows.append([f"{heads} x {d}, {size}x{size}", name, *medians, *ratios])
    if python:
        contenders["PyTorch"].close()
    headers = ["heads x channels, map", "pass", *(f"{name}, ms" for name in contenders)]
    headers += [f"{name} / operator" for name in list(contenders)[1:]]
    print(f"{threads} threads, medians of {args.rounds} interleaved rounds\n")
    print(tabulate(rows, headers=headers, tablefmt="github", floatfmt=".1f"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
