"""A worker under horovodrun: sums, checked; then the same again and again. Argument: steps."""

import os
import sys

import numpy as np

from mxnetseg import dist


def main():
    with dist.join("horovod") as role:
        import mxnet as mx

        from mxnetseg.engine.peers import join

        with join(role) as peers:
            rank, size = peers.rank, peers.size
            whole = peers.sum(np.array([rank, 2**40 + rank], np.int64))
            assert whole.tolist() == [sum(range(size)), size * 2**40 + sum(range(size))]
            assert peers.broadcast(b"of rank %d" % rank) == b"of rank 0"
            arrays = {
                name: [mx.nd.full(shape, value, ctx=mx.cpu(i)) for i, value in enumerate([rank, 1.0])]
                for name, shape in (("a", 3), ("b", (2, 2)))
            }
            peers.sum_arrays(arrays)
            ones = sum(range(1, size + 1))
            assert all((one.asnumpy() == ones).all() for of_contexts in arrays.values() for one in of_contexts)
            for step in range(int(sys.argv[1])):
                peers.barrier()
                os.write(1, f"rank {rank} step {step}\n".encode())  # in one piece
                if os.environ.get("FAIL") == str(rank) and step == 2:
                    raise FloatingPointError("the loss is nan")


if __name__ == "__main__":
    main()
