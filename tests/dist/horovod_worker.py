"""A worker under horovodrun: sums, checked; then the same again and again. Argument: steps."""

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
            arrays = {"a": [mx.nd.full(3, rank + 1.0)], "b": [mx.nd.full((2, 2), rank), mx.nd.full((2, 2), 1.0)]}
            peers.sum_arrays(arrays)
            ones = sum(range(1, size + 1))
            assert (arrays["a"][0].asnumpy() == ones).all()
            assert all((one.asnumpy() == ones).all() for one in arrays["b"])
            for step in range(int(sys.argv[1])):
                peers.barrier()
                print(f"rank {rank} step {step}", flush=True)


if __name__ == "__main__":
    main()
