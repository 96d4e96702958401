"""Time our bricks against MXNet's own operators, interleaved, and print the table of docs/performance.md.

    python tools/bench_bricks.py [--rounds 21]

Each round runs every contender once, forward and then forward with backward; the medians are compared.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import mxnetseg  # noqa: F401, I001  (sets what MXNet reads when it is imported)
import mxnet as mx
from mxnet import autograd
from mxnet.gluon import HybridBlock, nn
from tabulate import tabulate

from mxnetseg.nn import global_average, resize_like


class Op(HybridBlock):
    """An operator behind a convolution, as in a network, compiled."""

    def __init__(self, run, channels):
        super().__init__()
        self.run = run
        self.conv = nn.Conv2D(channels, 1, in_channels=16)
        self.initialize()
        self.hybridize(static_alloc=True, static_shape=True)

    def hybrid_forward(self, F, x, *rest):
        return self.run(F, self.conv(x), *rest)


def gate(average):
    return lambda F, x: F.broadcast_mul(x, F.sigmoid(average(F, x)))


def pairs():
    """(name, ours, MXNet's, channels, sizes of the inputs)."""
    for channels, small, large in ((11, (45, 60), (360, 480)), (128, (12, 15), (45, 60))):
        yield (
            f"resize (4, {channels}, {small[0]}, {small[1]}) to {large[0]}x{large[1]}",
            lambda F, x, like: resize_like(F, x, like, align_corners=True),
            lambda F, x, like: F.contrib.BilinearResize2D(x, like, mode="like", align_corners=True),
            channels,
            [(4, 16, *small), (4, 1, *large)],
        )
    yield (
        "gate of (4, 128, 45, 60) by its global average",
        gate(global_average),
        gate(lambda F, x: F.Pooling(x, kernel=(1, 1), global_pool=True, pool_type="avg")),
        128,
        [(4, 16, 45, 60)],
    )


def timed(block, arrays, backward: bool) -> float:
    mx.nd.waitall()
    start = time.perf_counter()
    if backward:
        with autograd.record():
            out = block(*arrays)
        out.backward()
    else:
        block(*arrays)
    mx.nd.waitall()
    return 1e3 * (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=21)
    rounds = parser.parse_args().rounds
    rows = []
    for name, ours, theirs, channels, shapes in pairs():
        arrays = [mx.nd.random.uniform(shape=shape) for shape in shapes]
        blocks = [Op(ours, channels), Op(theirs, channels)]
        times = {(b, backward): [] for b in (0, 1) for backward in (False, True)}
        for turn in range(rounds + 3):
            for key in times:
                taken = timed(blocks[key[0]], arrays, key[1])
                if turn >= 3:
                    times[key].append(taken)
        median = {key: statistics.median(values) for key, values in times.items()}
        for backward, title in ((False, "forward"), (True, "forward + backward")):
            ours_ms, theirs_ms = median[0, backward], median[1, backward]
            rows.append((name, title, f"{ours_ms:.1f}", f"{theirs_ms:.1f}", f"{theirs_ms / ours_ms:.1f}"))
    print(tabulate(rows, ("operation", "pass", "ours, ms", "MXNet's, ms", "ratio"), tablefmt="github"))


if __name__ == "__main__":
    main()
