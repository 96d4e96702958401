"""mxnetseg ops"""

from ..commands import typed
from ..errors import MXNetSegError
from . import options

HELP = "Build the library of operators that MXNet does not have, or say where it stands."


def add_arguments(parser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    build = actions.add_parser("build", help="compile the library for this machine (otherwise: on first use)")
    build.add_argument("--cuda", action="store_true", help="with CUDA kernels, whatever MXNet is installed")
    build.add_argument("--force", action="store_true", help="also if it is built already")
    options.add(build, "--quiet")
    actions.add_parser("status", help="say whether the library is built, where, and what it holds")


def run(args) -> int:
    return {"build": _build, "status": _status}[args.action](args)


def _build(args) -> int:
    from ..ops.build import build

    library = build(cuda=True if args.cuda else None, force=args.force)
    print(f"{library.path} ({'CPU and CUDA' if library.cuda else 'CPU'})")
    return 0


def _status(args) -> int:
    from ..ops import status

    found = status()
    if found.problem and found.state == "not usable":
        raise MXNetSegError(found.problem)
    print(describe(found))
    return 0


def describe(found) -> str:
    """One line about an `mxnetseg.ops.Status`."""
    if found.problem:
        return f"{found.state}: {found.problem}"
    kind = "CPU and CUDA" if found.cuda else "CPU"
    when = "" if found.state in ("loaded", "built") else typed("; built on first use, or by `mxnetseg ops build`")
    return f"{found.state} ({kind}): {found.path}{when}"
