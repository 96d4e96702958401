"""Time what each pass of mxnetseg.deploy that saves arithmetic gains, in float32 on a CPU.

    OMP_NUM_THREADS=2 python tools/bench_rewrites.py [--rounds 7] [--size 512] [--models NAME ...]

Every network of tools/bench, and a slim one, is optimized without the passes, with each of them, and with all; the
forms take turns, and medians are printed as a Markdown table. Each form's logits are compared with those of the first.
"""

import argparse
import contextlib
import statistics
import sys
import time
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import mxnetseg  # noqa: E402, F401, I001  (sets what MXNet reads when it is imported)
import mxnet as mx  # noqa: E402
import numpy as np  # noqa: E402
from tabulate import tabulate  # noqa: E402
from tqdm import tqdm  # noqa: E402

from mxnetseg import ops, startup  # noqa: E402
from mxnetseg.deploy import optimize  # noqa: E402
from tools.bench.networks import NETWORKS, build  # noqa: E402

MODULE = "mxnetseg.deploy.optimize"
# the networks of tools/bench, and a slim one
ARGUMENTS = {name: network.arguments for name, network in NETWORKS.items()}
ARGUMENTS["fcn_mobilenet_v2_0_25"] = dict(name="fcn", backbone="mobilenet_v2_0_25", num_classes=19)
PADDING = ("pad_channels",)
RESIZES = ("convolve_before_resizing", "resize_in_one_pass")
WINOGRAD = ("use_winograd",)
# name -> the passes that are left out
FORMS = {
    "none": PADDING + RESIZES + WINOGRAD,
    "padding": RESIZES + WINOGRAD,
    "resizes": PADDING + WINOGRAD,
    "Winograd": PADDING + RESIZES,
    "all": (),
}
TOLERANCE = 1e-4


def optimized(net, left_out, size):
    with contextlib.ExitStack() as stack:
        for name in left_out:
            stack.enter_context(mock.patch.object(sys.modules[MODULE], name, lambda *_: None))
        return optimize(net, size=(size, size))


def row(name, size, rounds, tick):
    image = np.random.RandomState(0).standard_normal((1, 3, size, size)).astype("float32")
    net = build(ARGUMENTS[name], image)
    x = mx.nd.array(image)
    forms = {form: optimized(net, left_out, size) for form, left_out in FORMS.items()}
    expected = None
    for form, run in forms.items():
        logits = run.coarse_logits(x).asnumpy()  # the last resize is the same for all
        expected = logits if expected is None else expected
        error = np.abs(logits - expected).max() / np.abs(expected).max()
        if error > TOLERANCE:
            raise SystemExit(f"{name}, {form}: logits differ by {error:.2g} of the largest")
    times = {form: [] for form in forms}
    for index in range(rounds + 1):
        for form, run in forms.items():
            start = time.perf_counter()
            run.coarse_logits(x).wait_to_read()
            if index:  # the first round warms up
                times[form].append(time.perf_counter() - start)
        tick()
    medians = [1e3 * statistics.median(taken) for taken in times.values()]
    return [name, *(f"{one:.0f}" for one in medians), *(f"{one / medians[0]:.2f}" for one in medians[1:])]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--size", type=int, default=512, help="side of the image")
    parser.add_argument("--models", nargs="+", choices=list(ARGUMENTS), default=list(ARGUMENTS), metavar="NAME")
    args = parser.parse_args()
    ops.load()
    with tqdm(total=len(args.models) * (args.rounds + 1), unit="round", dynamic_ncols=True) as bar:
        rows = [row(name, args.size, args.rounds, bar.update) for name in args.models]
    print(f"{startup.threads()} threads, {args.size}x{args.size}, medians of {args.rounds} rounds\n")
    headers = ["network", *(f"{form}, ms" for form in FORMS), *(f"{form} / none" for form in list(FORMS)[1:])]
    print(tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    main()
