"""Where the time of a pass goes, by oneDNN's own account: milliseconds and arithmetic per kind of operation.

    OMP_NUM_THREADS=2 python tools/profile_onednn.py --models fcn_resnet50 --forms float32 bfloat16 [--size 512]
    OMP_NUM_THREADS=2 python tools/profile_onednn.py --models bisenet_resnet18 --forms training --size 256 --batch 2

Networks are those of tools/bench; `training` is a step as its workers make it, `plain` the hybridized network, the
other forms are optimized ones. Each is run in a process of its own under DNNL_VERBOSE=1, whose lines say how long each
operation took. What is not oneDNN's - MXNet's operators, our own - is the rest up to the whole. A convolution's
arithmetic is counted as if all of it were done; it skips what meets the padding.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

FORMS = ("plain", "float32", "bfloat16", "int8", "training")
PASSES = 5
MARK = "=== passes"
CONVOLUTION = re.compile(
    r"(?:g(?P<groups>\d+))?mb(?P<batch>\d+)_(?:g\d+)?ic(?P<inputs>\d+)oc(?P<outputs>\d+)_"
    r".*oh(?P<height>\d+)kh(?P<rows>\d+).*ow(?P<width>\d+)kw(?P<columns>\d+)"
)


def serve(args) -> None:
    """Run one network; the lines of the passes that count are behind the mark."""
    from tools.bench import run_mxnet

    name, form = args.models[0], args.forms[0]
    task = "training" if form == "training" else "inference"
    with tempfile.TemporaryDirectory() as folder:
        request = dict(folder=folder, network=name, size=[args.size] * 2, batch=args.batch, task=task)
        request.update(dtype=form, lr=0.01, weight_decay=1e-4, steps=2)
        export = f"from tools.bench import run_mxnet; run_mxnet.export({request!r})"
        environment = {**os.environ, "DNNL_VERBOSE": "0", "PYTHONPATH": str(ROOT)}
        subprocess.run([sys.executable, "-c", export], check=True, env=environment)  # it leaves the operators alone
        make = {"plain": run_mxnet.plain, "training": run_mxnet.training}.get(form, run_mxnet.deployed)
        run = make(request).run
    run()
    print(MARK, flush=True)
    times = []
    for _ in range(PASSES):
        begin = time.perf_counter()
        run()
        times.append(1e3 * (time.perf_counter() - begin))
    print(MARK, statistics.median(times), flush=True)


def profile(args, name: str, form: str):
    """Rows of the table of one network in one form."""
    command = [sys.executable, __file__, "--serve", "--models", name, "--forms", form]
    command += ["--size", str(args.size), "--batch", str(args.batch)]
    environment = {**os.environ, "DNNL_VERBOSE": "1"}
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, env=environment)
    _, passes, whole = done.stdout.split(MARK)
    whole = float(whole.split()[0])
    spent, arithmetic = defaultdict(float), defaultdict(float)
    for line in passes.splitlines():
        parts = line.split(",")
        if parts[:3] != ["dnnl_verbose", "exec", "cpu"]:
            continue
        kind = f"{parts[3]}, {parts[5]}" if parts[3] == "convolution" else parts[3]
        spent[kind] += float(parts[-1]) / PASSES
        arithmetic[kind] += operations(parts[-2]) / 1e9 / PASSES if parts[3] == "convolution" else 0
    for kind in sorted(spent, key=spent.get, reverse=True):
        rate = f"{1e3 * arithmetic[kind] / spent[kind]:.0f}" if arithmetic[kind] else ""
        amount = f"{arithmetic[kind]:.1f}" if arithmetic[kind] else ""
        yield [name, form, kind, f"{spent[kind]:.1f}", f"{spent[kind] / whole:.0%}", amount, rate]
    rest = whole - sum(spent.values())
    yield [name, form, "not oneDNN's", f"{rest:.1f}", f"{rest / whole:.0%}", "", ""]
    yield [name, form, "whole", f"{whole:.1f}", "100%", "", ""]


def operations(description: str) -> int:
    """Multiplications and additions of a convolution; forward and both backward passes take as many."""
    found = CONVOLUTION.match(description)
    if not found:
        return 0
    sizes = {name: int(value or 1) for name, value in found.groupdict().items()}
    groups, total = sizes.pop("groups"), 2
    for size in sizes.values():
        total *= size
    return total // groups


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", required=True, metavar="NAME", help="of tools/bench/networks.py")
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=["float32"])
    parser.add_argument("--size", type=int, default=512, help="side of the images")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args)
        return
    from tabulate import tabulate

    rows = [row for name in args.models for form in args.forms for row in profile(args, name, form)]
    headers = ["network", "form", "operation", "ms", "share", "GFLOP", "GFLOP/s"]
    print(tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    main()
