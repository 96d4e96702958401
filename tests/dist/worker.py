"""A worker as small as can be: sums a number with the others again and again. Arguments: steps, seconds of each."""

import os
import signal
import sys
import time

from mxnetseg.dist import join


def main():
    steps, pause = int(sys.argv[1]), float(sys.argv[2])
    stop = []
    with join("env") as role:
        signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
        import mxnet as mx

        with role.meeting():
            store = mx.kvstore.create("dist_sync")
            first = mx.nd.zeros(1)
            store.init("first", first)
            store.pushpull("first", first)
            first.wait_to_read()
        rank, size = store.rank if role.rank is None else role.rank, role.size
        key, total = mx.nd.zeros(2), mx.nd.zeros(2)
        store.init("sum", key)
        for step in range(steps):
            # the sum of the stop flags: all stop after the same step
            store.pushpull("sum", mx.nd.array([rank + 1, len(stop)]), out=total)
            summed, stopping = total.asnumpy()
            assert summed == size * (size + 1) / 2
            # in one piece, for Python may be unbuffered, and the other ranks write there, too
            os.write(1, f"rank {rank} step {step}\n".encode())
            if stopping:
                break
            if os.environ.get("FAIL") == str(rank) and step == 2:
                raise FloatingPointError("the loss is nan")
            time.sleep(pause)
        del store  # takes leave of the servers
    return 143 if stopping else 0


if __name__ == "__main__":
    sys.exit(main())
