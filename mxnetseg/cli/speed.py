"""mxnetseg speed"""

import os
import sys
import time
from typing import Callable, Dict, List

from ..errors import MXNetSegError
from . import options

HELP = "Measure how fast a network infers on this machine's CPU."
PLAIN = "plain"


def add_arguments(parser) -> None:
    options.add(parser, "--checkpoint", "--num-classes")
    parser.add_argument("--config", metavar="FILE", help="the model of this recipe, with random weights")
    options.add_network(parser)
    what = "image sizes, each a side or HEIGHTxWIDTH (512)"
    parser.add_argument("--size", nargs="+", default=["512"], metavar="S", help=what)
    parser.add_argument("--batch-size", type=int, default=1, metavar="N", help="images per call (1)")
    parser.add_argument(
        "--dtype",
        nargs="+",
        type=str.lower,
        choices=(PLAIN, *options.DTYPES),
        metavar="T",
        help="plain: as it was trained; float32, bfloat16, int8: optimized (docs/deploy.md) (plain float32). A file "
        "that is optimized already is measured as it is",
    )
    parser.add_argument("--threads", type=int, metavar="N", help="threads per operator; all cores when left out")
    parser.add_argument("--runs", type=int, default=20, metavar="N", help="calls that are timed, of each kind (20)")
    parser.add_argument("--warmup", type=int, default=3, metavar="N", help="calls before that (3)")
    options.add(parser, "--json", "--overwrite", "--quiet")


def run(args) -> int:
    sizes = [_size(text) for text in args.size]
    for option, least in (("runs", 1), ("warmup", 0), ("batch_size", 1)):
        value = getattr(args, option)
        if value < least:
            raise MXNetSegError(f"--{option.replace('_', '-')} {value}: must be {least} or more")
    _set_threads(args.threads)
    import mxnet as mx
    import numpy as np
    from tabulate import tabulate

    from ..network import channels_of
    from ..progress import progress_bar

    options.check_json(args)
    net = _network(args)
    networks = _networks(net, list(dict.fromkeys(args.dtype or ())), sizes)
    kinds = list(networks)
    rows = []
    total = len(sizes) * (args.runs + args.warmup) * len(kinds)
    with progress_bar(total=total, unit="call", shown=not args.quiet) as bar:
        for height, width in sizes:
            channels = channels_of(net)
            x = mx.nd.array(np.random.RandomState(0).standard_normal((args.batch_size, channels, height, width)))
            x.wait_to_read()
            calls = {kind: (lambda f=f, x=x: f(x).wait_to_read()) for kind, f in networks.items()}
            times = measure(calls, args.runs, args.warmup, bar.update)
            for kind in kinds:
                rows.append(_row(kind, height, width, args.batch_size, times[kind]))
    threads, spec = os.environ.get("OMP_NUM_THREADS", "all"), net.spec
    network = f"{spec['name']} on {spec['backbone']}, {spec['num_classes']} classes" if spec else repr(net)
    print(f"{network}, batch {args.batch_size}, threads {threads}")
    shown = [{key: value for key, value in row.items() if key != "seconds"} for row in rows]
    print(tabulate(shown, headers="keys", floatfmt=".1f"))
    about = {"model": spec, "checkpoint": args.checkpoint, "batch_size": args.batch_size, "threads": threads}
    options.write_json(args, {**about, "mxnet": mx.__version__, "rows": rows})
    return 0


def measure(
    calls: Dict[str, Callable], runs: int, warmup: int, tick: Callable[[], object] = lambda: None
) -> Dict[str, List[float]]:
    """Seconds of each of `runs` calls by name. The kinds take turns, so what else the machine does meets all alike."""
    times: Dict[str, List[float]] = {name: [] for name in calls}
    for turn in range(warmup + runs):
        for name, call in calls.items():
            begin = time.perf_counter()
            call()
            if turn >= warmup:
                times[name].append(time.perf_counter() - begin)
            tick()
    return times


def _row(kind: str, height: int, width: int, batch: int, seconds: List[float]) -> dict:
    import numpy as np

    low, median, high = 1000 * np.percentile(seconds, (25, 50, 75))
    return {
        "dtype": kind,
        "size": f"{height}x{width}",
        "median, ms": round(float(median), 3),
        "quarter below": round(float(low), 3),
        "quarter above": round(float(high), 3),
        "images/s": round(1000 * batch / float(median), 3),
        "seconds": seconds,
    }


def _network(args):
    """With the checkpoint's weights, or random ones: they do not change the speed."""
    from ..opening import open_network

    if not (args.checkpoint or args.model or args.config):
        raise MXNetSegError("name what to measure: --model NAME, --config FILE or --checkpoint FILE")
    if args.checkpoint and (args.model or args.config):
        raise MXNetSegError("--checkpoint says what the model is; leave --model and --config out")
    found = None
    if args.checkpoint:
        from ..engine import checkpoint

        found = checkpoint.read(options.find_checkpoint(args.checkpoint))
        options.check_network(args, found)
    arguments = {**options.network_arguments(args, args.num_classes), "config": args.config}
    return open_network(found, arguments=arguments)


def _networks(net, kinds: List[str], sizes) -> Dict[str, Callable]:
    """By what they are called; a checkpoint that is optimized already is what it is."""
    from ..deploy import DeployedNetwork

    if not isinstance(net, DeployedNetwork):
        return {kind: _optimized(net, kind, sizes) for kind in kinds or (PLAIN, "float32")}
    if kinds:
        raise MXNetSegError(f"the network is optimized already, in {net.dtype}; leave --dtype out")
    return {net.dtype: net}


def _optimized(net, kind: str, sizes):
    """For the first of the sizes. int8 is calibrated on noise: speed does not depend on the ranges."""
    import numpy as np

    from .. import deploy
    from ..network import channels_of

    if kind == PLAIN:
        return net
    noise = np.random.RandomState(1).standard_normal((1, channels_of(net), *sizes[0])).astype("float32")
    return deploy.optimize(net, kind, [noise] if kind == "int8" else None, size=sizes[0])


def _size(text: str):
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and int(side) for side in sides):
        raise MXNetSegError(f"--size {text}: give a side or HEIGHTxWIDTH in pixels, e.g. 512 or 1024x2048")
    return int(sides[0]), int(sides[-1])


def _set_threads(count) -> None:
    if count is None:
        return
    if count < 1:
        raise MXNetSegError(f"--threads {count}: must be 1 or more")
    if "mxnet" in sys.modules and os.environ.get("OMP_NUM_THREADS") != str(count):
        raise MXNetSegError(f"--threads {count}: MXNet is loaded already; set OMP_NUM_THREADS={count} before")
    os.environ["OMP_NUM_THREADS"] = str(count)
