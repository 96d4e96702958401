"""mxnetseg launch"""

import argparse
import os
import uuid

from ..errors import MXNetSegError

HELP = "Train or evaluate in several processes, on this host or on many (docs/distributed.md)."
COMMANDS = ("train", "eval")
PORT = 29600  # where hosts meet, for firewalls; on one host any free one


def add_arguments(parser) -> None:
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument(
        "-n", type=int, metavar="N", dest="count", help="N processes on this host, which share its cores"
    )
    what = "a process on each host of this file: a host a line, reached by ssh in this folder, with this Python"
    where.add_argument("-H", metavar="FILE", dest="hosts", help=what)
    what = "this host's process of a run whose hosts are started one by one, with --size and --root"
    where.add_argument("--rank", type=int, metavar="R", help=what)
    parser.add_argument("--size", type=int, metavar="N", help="with --rank: processes of the run")
    parser.add_argument(
        "--root", metavar="HOST:PORT", help="with --rank: where the processes meet, on the host of rank 0"
    )
    what = "where the processes meet, this port and the next; any free one on this host, 29600 on many"
    parser.add_argument("--port", type=int, metavar="P", help=what)
    what = (
        "with -H, in place of ssh: what gets a host and a line for its shell, and runs it there; {host} in it "
        "stands for the host"
    )
    parser.add_argument("--ssh", metavar="COMMAND", default="ssh -o BatchMode=yes", help=what)
    parser.add_argument("--tied", action="store_true", help=argparse.SUPPRESS)  # signals come by standard input
    parser.add_argument(
        "rest", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="train, eval or a .py file, and its options"
    )


def run(args) -> int:
    from ..dist.addresses import free_port, parse_address
    from ..dist.hosts import obey, read_hosts, start_there
    from ..dist.launcher import start_here, tend
    from ..dist.roles import RUN, launched
    from . import parse

    command = args.rest[1:] if args.rest[:1] == ["--"] else args.rest
    script = command[:1] != [] and command[0].endswith(".py")
    if not script and command[:1] not in [[name] for name in COMMANDS]:
        raise MXNetSegError(
            "launch: name what to run behind --, train, eval or a .py file: launch -n 2 -- train --config FILE"
        )
    if not script:
        parse(list(command))  # what is wrong with it is told once, not by every process
    python = command if script else ["-m", "mxnetseg", *command]
    if launched(os.environ) and args.rank is None:
        raise MXNetSegError("launch: this is a process of a launched run already (MXNETSEG_RANK is set)")
    if args.port is not None and not 0 < args.port < 65535:
        raise MXNetSegError(f"--port {args.port}: a number from 1 to 65534")
    if args.rank is None:
        os.environ.setdefault(RUN, uuid.uuid4().hex)
    if args.hosts:
        return tend(start_there(command, read_hosts(args.hosts), args.port or PORT, args.ssh))
    if args.rank is not None:
        if args.size is None or args.root is None or not 0 <= args.rank < args.size:
            raise MXNetSegError(f"--rank {args.rank}: needs --size N, more than the rank, and --root HOST:PORT")
        if args.tied:
            obey()
        ranks, root = range(args.rank, args.rank + 1), parse_address(args.root, "--root")
        return tend(start_here(python, ranks, args.size, root, servers=args.size))
    if args.count < 1:
        raise MXNetSegError(f"-n {args.count}: at least one process")
    root = "127.0.0.1", args.port or free_port()
    return tend(start_here(python, range(args.count), args.count, root, servers=1))
