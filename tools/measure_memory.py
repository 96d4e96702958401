"""Memory of DANet in inference, its position attention in parts and, for comparison, in one piece.

    python tools/measure_memory.py --size 768 1024

Each number comes from a process of its own, in MB: what MXNet plans for the compiled network's activations; the peak
of the process' resident memory, weights and libraries included; how far one forward pass raised that peak, and how
far a forward pass of the attention alone raises it.
"""

import argparse
import os
import re
import resource
import subprocess
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

STRIDE = 8
COLUMNS = ("planned", "peak", "added", "attention")


def peak() -> int:
    """The largest resident memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def measure(column: str, backbone: str, size: int, chunks: int, hybridize: bool) -> int:
    from mxnetseg import create_model  # noqa: I001  (before MXNet, which starts on NumPy 2 only so)
    import mxnet as mx

    net = create_model("danet", backbone=backbone, num_classes=19, output_stride=STRIDE, chunks=chunks)
    shape = (1, 3, size, size)
    if column == "planned":
        executor = net(mx.sym.var("data")).simple_bind(mx.cpu(), grad_req="null", data=shape)
        return int(re.search(r"Total (\d+) MB", executor.debug_str()).group(1))
    if column == "attention":
        net = net.neck.position[1]
        shape = (1, net.value.weight.shape[0], size // STRIDE, size // STRIDE)
    net.collect_params().setattr("grad_req", "null")
    net.initialize()
    if hybridize:
        net.hybridize(static_alloc=True, static_shape=True)
    x = mx.nd.random.normal(shape=shape)
    mx.nd.waitall()
    before = peak()
    net(x).wait_to_read()
    return peak() if column == "peak" else peak() - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", type=int, nargs="+", default=[768], help="sides of square images")
    parser.add_argument("--backbone", default="resnet101")
    parser.add_argument("--chunks", type=int, default=16)
    parser.add_argument("--imperative", action="store_true", help="do not compile the network")
    parser.add_argument("--column", choices=COLUMNS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.column:
        print(measure(args.column, args.backbone, args.size[0], args.chunks, not args.imperative))
        return
    print("size", "parts", *COLUMNS, sep="\t")
    for size in args.size:
        for chunks in (1, args.chunks):
            row = [size, chunks]
            for column in COLUMNS:
                command = [sys.executable, __file__, "--backbone", args.backbone, "--column", column]
                command += ["--size", str(size), "--chunks", str(chunks)]
                command += ["--imperative"] if args.imperative else []
                done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
                row.append(int(done.stdout.split()[-1]))
            print(*row, sep="\t", flush=True)


if __name__ == "__main__":
    main()
