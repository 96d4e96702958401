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

from .process import Worker
from .rounds import take_turns
from .statistics import agreement, summarize
from .worker import Prepared

LEAST = 0.05  # seconds of a turn
TOLERANCE = 1e-3  # of the largest value; of class maps, the share of pixels that may differ (ties)
CORNERS = True
# operation -> sizes
# attention: those of DGMN2-tiny's stages at 512x512: heads, channels of a head, side of the map
# logits: images, classes, height and width, and what they are enlarged to
# relu6, depthwise: maps of EfficientNet-Lite0, and MogaNet-tiny's; then side of the kernel, stride, dilation
# layer-norm, channel-scale: of DGMN2-tiny and ViT, of MogaNet-tiny
# resize: of SwiftNet and SETR-PUP, and the size that they get
CASES = {
    "attention": [(1, 64, 128), (2, 64, 64), (5, 64, 32), (8, 64, 16)],
    "argmax": [
        (1, 150, 128, 128, 512, 512),
        (1, 150, 64, 64, 512, 512),
        (1, 19, 128, 256, 1024, 2048),
        (1, 11, 45, 60, 360, 480),
    ],
    "cross-entropy": [
        (8, 11, 36, 48, 288, 384),
        (2, 150, 64, 64, 256, 256),
        (2, 19, 96, 96, 768, 768),
    ],
    "relu6": [(8, 96, 144, 192), (8, 144, 72, 96), (8, 672, 18, 24)],
    "depthwise": [
        (8, 144, 75, 99, 5, 2, 1),
        (8, 240, 36, 48, 5, 1, 1),
        (8, 672, 18, 24, 5, 1, 1),
        (8, 1152, 9, 12, 5, 1, 1),
        (2, 16, 64, 64, 5, 1, 2),
        (2, 16, 64, 64, 7, 1, 3),
    ],
    "layer-norm": [(1, 16384, 64), (1, 1024, 320), (2, 256, 768)],
    "channel-scale": [(2, 256, 64, 64), (2, 32, 64, 64)],
    "resize": [(8, 96, 36, 48, 72, 96), (1, 256, 64, 64, 128, 128)],
}
TRAINING = ("relu6", "depthwise", "layer-norm", "channel-scale", "resize")
# with backward?
PASSES = {
    "attention": (False, True),
    "argmax": (False,),
    "cross-entropy": (True,),
    **dict.fromkeys(TRAINING, (True,)),
}


def inputs(request):
    """Logits, and labels with some ignored pixels; else what the operation takes, and a gradient."""
    rng = np.random.RandomState(0)
    if request["operation"] == "attention":
        heads, d, side = request["sizes"]
        channels = (heads * d, heads * d, heads * d, heads * 18, heads * 9, heads * d)
        spread = (0.5, 0.5, 0.5, 0.5, 1, 1)
        return [(rng.randn(1, side, side, c) * s).astype("float32") for c, s in zip(channels, spread)]
    if request["operation"] == "relu6":
        return [(k * rng.standard_normal(request["sizes"])).astype("float32") for k in (4, 1)]
    if request["operation"] == "layer-norm":
        channels = request["sizes"][-1]
        return [
            rng.standard_normal(one).astype("float32")
            for one in (request["sizes"], channels, channels, request["sizes"])
        ]
    if request["operation"] == "channel-scale":
        shapes = request["sizes"], (1, request["sizes"][1], 1, 1), request["sizes"]
        return [rng.standard_normal(shape).astype("float32") for shape in shapes]
    if request["operation"] == "resize":
        n, channels, h, w, height, width = request["sizes"]
        shapes = (n, channels, h, w), (n, channels, height, width)
        return [rng.standard_normal(shape).astype("float32") for shape in shapes]
    if request["operation"] == "depthwise":
        n, channels, h, w, kernel, stride, dilation = request["sizes"]
        padding = depthwise_padding(request["sizes"])
        size = [(side + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1 for side in (h, w)]
        shapes = (n, channels, h, w), (channels, 1, kernel, kernel), (n, channels, *size)
        return [rng.standard_normal(shape).astype("float32") for shape in shapes]
    n, classes, h, w, height, width = request["sizes"]
    labels = rng.randint(0, classes, (n, height, width))
    labels[rng.uniform(size=labels.shape) < 0.1] = 255
    return [3 * rng.standard_normal((n, classes, h, w)).astype("float32"), labels.astype("float32")]


def depthwise_padding(sizes) -> int:
    """EfficientNet-Lite pads the input of layers with a stride on its own."""
    kernel, stride, dilation = sizes[4:]
    return dilation * (kernel // 2) if stride == 1 else 0


def composed(request) -> Prepared:
    """MXNetSeg without the library."""
    os.environ["MXNETSEG_OPS"] = "0"
    return operator(request)


def operator(request) -> Prepared:
    """MXNetSeg."""
    import mxnetseg  # noqa: F401, I001  (sets what MXNet reads when it is imported)
    from mxnet import autograd, gluon, nd

    from mxnetseg import ops
    from mxnetseg.losses import CrossEntropy
    from mxnetseg.nn import resize_like

    if os.environ.get("MXNETSEG_OPS") != "0":
        ops.load()
    *arrays, last = map(nd.array, inputs(request))
    for array in arrays:
        array.attach_grad()
    sizes = request["sizes"]
    if request["operation"] == "cross-entropy":
        criterion = CrossEntropy(sizes[1], align_corners=CORNERS)
        criterion.initialize()
        criterion.hybridize(static_alloc=True, static_shape=True)
        scale = nd.array([1 / criterion.normalizer([last.asnumpy().astype("uint8")])])
        arguments, grad = (arrays[0], last, scale), None
        call = criterion
    elif request["operation"] == "argmax":
        arguments, grad, size = arrays, None, dict(height=sizes[-2], width=sizes[-1])

        def call(logits):
            return ops.upsample_argmax(nd, logits, align_corners=CORNERS, **size)
    elif request["operation"] == "relu6":
        arguments, grad = arrays, last

        def call(x):
            return ops.relu6(nd, x)
    elif request["operation"] == "layer-norm":
        arguments, grad = arrays, last

        def call(*tensors):
            return ops.layer_norm(nd, *tensors, epsilon=1e-6)
    elif request["operation"] == "channel-scale":
        arguments, grad = arrays, last

        def call(x, scale):
            return ops.channel_scale(nd, x, scale)
    elif request["operation"] == "resize":
        arguments, grad, like = arrays, last, nd.zeros((1, 1, *sizes[-2:]))

        def call(x):
            return resize_like(nd, x, like, align_corners=CORNERS)
    elif request["operation"] == "depthwise":
        _, channels, *_, kernel, stride, dilation = sizes
        arguments, grad, padding = arrays, last, depthwise_padding(sizes)
        sides = {"kernel": kernel, "stride": stride, "pad": padding, "dilate": dilation}

        def call(x, weight):
            pairs = {name: (side, side) for name, side in sides.items()}
            return ops.depthwise(nd, x, weight, channels=channels, **pairs)
    else:
        arguments, grad, options = arrays, last, dict(heads=sizes[0], scale=sizes[1] ** -0.5)

        class Graph(gluon.HybridBlock):
            def hybrid_forward(self, F, *tensors):
                return ops.deform_attention(F, *tensors, **options)

        call = Graph()
        if request["compiled"]:
            call.hybridize(static_alloc=True, static_shape=True)

    def run():
        with autograd.record() if request["backward"] else contextlib.nullcontext():
            out = call(*arguments)
        if not request["backward"]:
            out.wait_to_read()
            return out
        out.backward(grad)
        nd.waitall()
        return arrays[0].grad

    return Prepared(run, run().asnumpy())


def eager(request) -> Prepared:
    """PyTorch."""
    import torch
    from torch.nn import functional

    from tools.bench.composed_torch import deform_attention

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    *arrays, last = map(torch.from_numpy, inputs(request))
    for array in arrays:
        array.requires_grad_(request["backward"])
    sizes = request["sizes"]

    def forward():
        if request["operation"] == "attention":
            return deform_attention(*arrays, heads=sizes[0], scale=sizes[1] ** -0.5)
        if request["operation"] == "relu6":
            return functional.relu6(arrays[0])
        if request["operation"] == "layer-norm":
            x, gamma, beta = arrays
            return functional.layer_norm(x, x.shape[-1:], gamma, beta, 1e-6)
        if request["operation"] == "channel-scale":
            return arrays[0] * arrays[1]
        if request["operation"] == "depthwise":
            (x, weight), (stride, dilation) = arrays, sizes[-2:]
            return functional.conv2d(x, weight, None, stride, depthwise_padding(sizes), dilation, groups=sizes[1])
        full = functional.interpolate(arrays[0], size=sizes[-2:], mode="bilinear", align_corners=CORNERS)
        if request["operation"] == "resize":
            return full
        if request["operation"] == "argmax":
            return full.argmax(1).to(torch.uint8)
        return functional.cross_entropy(full, labels, ignore_index=255)

    labels = last.long()

    def run():
        if not request["backward"]:
            with torch.no_grad():
                return forward()
        for array in arrays:
            array.grad = None
        forward().backward(last if request["operation"] in ("attention", *TRAINING) else None)
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
    parser.add_argument("--only", nargs="+", choices=list(CASES), default=list(CASES))
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
        for sizes in CASES[operation]:
            for backward in PASSES[operation]:
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
