"""Time the library's hot-spot operators against what MXNet and PyTorch do of the same, on a CPU.

    OMP_NUM_THREADS=2 python tools/bench_hotspots.py [--rounds 11] [--torch-python PATH] [--steps]

Each round runs every contender for a while; medians of the rounds are compared. MXNet's contender is what MXNetSeg does
without the library. PyTorch (eager) runs in a process of its own (its Python: this one where torch can be imported, or
the one named), so that neither toolkit's threads disturb the other's; without it, its columns are left out.

--steps times whole training steps of bisenet on mobilenet_v2_0_5, 8 crops of 288x384, 11 classes, instead: with the
operator, then as MXNetSeg does without it.
"""

import argparse
import importlib.util
import statistics
import sys
import tempfile
from pathlib import Path

from bench_deform_attention import Torch, timed

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

# operation, N, classes, h, w, height, width
CASES = (
    ("argmax", 1, 150, 128, 128, 512, 512),
    ("argmax", 1, 150, 64, 64, 512, 512),
    ("argmax", 1, 19, 128, 256, 1024, 2048),
    ("argmax", 1, 11, 45, 60, 360, 480),
    ("cross-entropy", 8, 11, 36, 48, 288, 384),
    ("cross-entropy", 2, 150, 64, 64, 256, 256),
    ("cross-entropy", 2, 19, 96, 96, 768, 768),
)
CORNERS = True


def inputs(operation, n, classes, h, w, height, width):
    """Logits, and labels with some ignored pixels."""
    import numpy as np

    rng = np.random.RandomState(0)
    labels = rng.randint(0, classes, (n, height, width))
    labels[rng.uniform(size=labels.shape) < 0.1] = 255
    return 3 * rng.standard_normal((n, classes, h, w)).astype("float32"), labels


class MXNet:
    """A contender in this process: the operator, or the composition that serves without the library."""

    def __init__(self, operator):
        self.operator = operator

    def prepare(self, case):
        from mxnetseg.losses import CrossEntropy  # noqa: I001  (before MXNet, which starts on NumPy 2 only so)
        from mxnet import nd

        self.operation, _, classes, _, _, *self.size = case
        logits, labels = inputs(*case)
        self.logits, self.labels = nd.array(logits), nd.array(labels, dtype="float32")
        self.logits.attach_grad()
        with switched(self.operator):
            self.criterion = CrossEntropy(classes, align_corners=CORNERS)
            self.criterion.initialize()
            self.criterion.hybridize(static_alloc=True, static_shape=True)
            self.scale = nd.array([1 / self.criterion.normalizer([labels.astype("uint8")])])
            return self.run()

    def run(self):
        from mxnet import autograd, nd

        from mxnetseg import ops
        from mxnetseg.ops.upsample import composed

        if self.operation == "argmax":
            if self.operator:
                height, width = self.size
                out = ops.upsample_argmax(nd, self.logits, height=height, width=width, align_corners=CORNERS)
            else:
                out = composed.upsample_argmax(nd, self.logits, *self.size, CORNERS)
            return out.asnumpy()
        with autograd.record():
            loss = self.criterion(self.logits, self.labels, self.scale)
        loss.backward()
        return self.logits.grad.asnumpy()

    def time(self):
        return timed(self.run)


class switched:
    """Inside, networks and criteria are compiled with the operators, or without."""

    def __init__(self, operator):
        self.operator = operator

    def __enter__(self):
        from mxnetseg import losses

        self.before = losses.serves_logits
        if not self.operator:
            losses.serves_logits = lambda _: False

    def __exit__(self, *_):
        from mxnetseg import losses

        losses.serves_logits = self.before


class HotspotTorch(Torch):
    script = __file__

    def prepare(self, case):
        import numpy as np

        with tempfile.TemporaryDirectory() as folder:
            self.ask([*case, f"{folder}/out.npy"])
            return np.load(f"{folder}/out.npy")


def torch_worker():
    import json

    import numpy as np
    import torch
    from torch.nn import functional

    case = logits = labels = None

    def run():
        operation, *_, height, width = case
        with torch.set_grad_enabled(operation != "argmax"):
            full = functional.interpolate(logits, size=(height, width), mode="bilinear", align_corners=CORNERS)
            if operation == "argmax":
                return full.argmax(1).to(torch.uint8)
            logits.grad = None
            functional.cross_entropy(full, labels, ignore_index=255).backward()
            return logits.grad

    for line in sys.stdin:
        request = json.loads(line)
        if request is None:
            answer = timed(run)
        else:
            *case, path = request
            logits, labels = map(torch.from_numpy, inputs(*case))
            logits.requires_grad_()
            np.save(path, run().numpy())
            answer = torch.__version__
        print(json.dumps(answer), flush=True)
    return 0


class Step:
    """Training steps, as the trainer takes them, of one network."""

    def __init__(self, operator):
        import mxnet as mx

        import mxnetseg
        from mxnetseg.losses import CrossEntropy, total_loss

        logits, labels = inputs("", 8, 11, 1, 1, 288, 384)
        self.total_loss = total_loss
        self.images = mx.nd.random.normal(shape=(8, 3, 288, 384))
        self.labels = mx.nd.array(labels, dtype="float32")
        flags = dict(static_alloc=True, static_shape=True)
        with switched(operator):
            self.net = mxnetseg.create_model("bisenet", "mobilenet_v2_0_5", num_classes=11)
            self.net.initialize(mx.init.Xavier())
            self.net.hybridize(**flags)
            # without the operator the network resizes, as it did before there was one
            self.criterion = CrossEntropy(11, align_corners=self.net.align_corners if operator else None)
            self.criterion.initialize()
            self.criterion.hybridize(**flags)
            self.scale = mx.nd.array([1 / self.criterion.normalizer([labels.astype("uint8")])])
            self.forward = self.net.coarse_logits if operator else self.net
            self.run()

    def run(self):
        from mxnet import autograd, nd

        with autograd.record():
            loss = self.total_loss(self.criterion, self.forward(self.images), self.labels, self.scale, 1.0)
        loss.backward()
        nd.waitall()

    def time(self):
        return timed(self.run)


def medians(contenders, rounds):
    """Milliseconds, interleaved; two rounds warm up."""
    times = {name: [] for name in contenders}
    for index in range(rounds + 2):
        for name, contender in contenders.items():
            taken = contender.time()
            if index >= 2:
                times[name].append(taken)
    return [statistics.median(taken) * 1e3 for taken in times.values()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--torch-python", metavar="PATH", help="a Python that has PyTorch")
    parser.add_argument("--steps", action="store_true", help="whole training steps instead of operators")
    parser.add_argument("--torch-worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.torch_worker:
        return torch_worker()

    import mxnetseg  # noqa: F401, I001  (sets what MXNet reads when it is imported)
    import numpy as np
    from tabulate import tabulate

    from mxnetseg import ops, startup

    ops.load()
    threads = startup.threads()
    print(f"{threads} threads, medians of {args.rounds} interleaved rounds\n")
    if args.steps:
        contenders = {"operator": Step(True), "without": Step(False)}
        taken = medians(contenders, args.rounds)
        headers = ["training step", *(f"{name}, ms" for name in contenders), "without / operator"]
        rows = [["bisenet on mobilenet_v2_0_5, 8 x 288x384", *taken, taken[1] / taken[0]]]
        print(tabulate(rows, headers=headers, tablefmt="github", floatfmt=".1f"))
        return 0
    contenders = {"operator": MXNet(True), "MXNet": MXNet(False)}
    python = args.torch_python or (sys.executable if importlib.util.find_spec("torch") else None)
    if python:
        contenders["PyTorch"] = HotspotTorch(python, threads)
    rows = []
    for case in CASES:
        outs = [contender.prepare(case) for contender in contenders.values()]
        for out in outs[1:]:
            if case[0] == "argmax":  # equal but for ties
                assert (out == outs[0]).mean() > 0.999
            else:
                np.testing.assert_allclose(out, outs[0], atol=1e-4 * np.abs(outs[0]).max())
        taken = medians(contenders, args.rounds)
        operation, n, classes, h, w, height, width = case
        passes = "" if operation == "argmax" else ", forward + backward"
        ratios = [one / taken[0] for one in taken[1:]]
        rows.append([f"{operation}{passes}", f"({n}, {classes}, {h}, {w}) to {height}x{width}", *taken, *ratios])
    if python:
        contenders["PyTorch"].close()
    headers = ["operation", "logits", *(f"{name}, ms" for name in contenders)]
    headers += [f"{name} / operator" for name in list(contenders)[1:]]
    print(tabulate(rows, headers=headers, tablefmt="github", floatfmt=".1f"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
