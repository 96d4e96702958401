"""The front door: python -m mxnetseg COMMAND, the console script mxnetseg, train.py, eval.py and the demos."""

import argparse
import atexit
import contextlib
import gc
import importlib
import sys

from .. import __version__, preflight
from .parser import Parser

__all__ = ["add_import", "main", "parse", "run_script"]

COMMANDS = [
    "train",
    "launch",
    "runs",
    "eval",
    "report",
    "predict",
    "video",
    "serve",
    "demo",
    "speed",
    "new",
    "config",
    "convert",
    "weights",
    "export",
    "flops",
    "models",
    "data",
    "ops",
    "doctor",
]
# these look models, data sets and the like up by name; so do some actions of `data`
PLUGGED = (
    "train",
    "eval",
    "predict",
    "video",
    "serve",
    "speed",
    "convert",
    "weights",
    "export",
    "flops",
    "models",
    "config",
)
MANY = (["train"], ["eval"])  # in many processes, if they are told so


def main(argv=None, program=None) -> int:
    """Run one command; returns the exit status.

    0: done. 1: `doctor` or `data check` found problems, or images that can't be read were left out. 2: a mistake
    the message explains. 128 + n: signal n came, what was done is saved.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    # when Python ends it would go through all of MXNet's objects once more, to no end
    atexit.register(gc.freeze)

    def work():
        command, args = parse(argv, program)
        return _run(command.run, args)

    # doctor is there to list what is missing
    return _guarded(work, check=argv[:1] != ["doctor"], argv=argv)


def run_script(program: str, description: str, add_arguments, run, argv=None) -> int:
    """Run a script like a command: its options parsed, its mistakes told in one line; returns the exit status.

    `add_arguments(parser)` and `run(args)` are as in the modules of the commands.
    """
    parser = Parser(prog=program, description=description)
    add_arguments(parser)
    add_import(parser)
    # intermixed: options may stand between positionals that can be left out
    return _guarded(lambda: _run(run, parser.parse_intermixed_args(argv)))


def _run(run, args) -> int:
    from .. import plugins
    from . import options

    options.show_log(getattr(args, "quiet", False))
    plugins.request(getattr(args, "imports", ()))
    return run(args)


def add_import(parser) -> None:
    parser.add_argument(
        "--import",
        dest="imports",
        action="append",
        default=[],
        metavar="MODULE",
        help="import a module first (its name, or a .py file), which adds models, data sets, ... (docs/extending.md); "
        "may be said several times",
    )


def _guarded(work, check: bool = True, argv=()) -> int:
    problem = preflight.python_problem()
    if problem and check:
        return _fail(problem)
    from ..dist import failures_told
    from ..errors import MXNetSegError

    try:
        with failures_told(_dist(argv)) if argv[:1] in MANY else contextlib.nullcontext():
            problem = preflight.numpy_problem()
            if problem and check:
                raise MXNetSegError(problem)
            return work() or 0
    except MXNetSegError as err:
        return _fail(err)
    except (ImportError, OSError) as err:
        message = preflight.explain(err)
        if message is None and isinstance(err, OSError) and err.filename:
            message = f"{err.filename}: {err.strerror or err}"
        if message is None:
            raise
        return _fail(message)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _dist(argv):
    """What --dist says, whatever else there is; None where that is no way to start processes."""
    from ..dist import KINDS

    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--dist", nargs="?", type=str.lower)
    said = parser.parse_known_args(argv)[0].dist
    return said if said in KINDS else None


def parse(argv, program=None):
    """The module of a command, and its options; mistakes in these end the process, and so does --help."""
    from ..names import lookup

    if program:  # train.py and eval.py are one command each
        command = _command(argv[0])
        parser = Parser(prog=program, description=command.HELP)
        _add_arguments(argv[0], parser)
        return command, parser.parse_args(argv[1:])
    parser = Parser(prog="mxnetseg", description="Semantic segmentation on Apache MXNet.")
    parser.add_argument("--version", action="version", version=f"mxnetseg {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in COMMANDS:
        command = _command(name)
        _add_arguments(name, subparsers.add_parser(name, help=command.HELP, description=command.HELP))
    if argv and not argv[0].startswith("-"):
        argv[0] = lookup("command", argv[0], {command: command for command in COMMANDS})
    args = parser.parse_args(argv)
    return _command(args.command), args


def _add_arguments(name: str, parser) -> None:
    _command(name).add_arguments(parser)
    if name in PLUGGED:
        add_import(parser)


def _command(name: str):
    modules = {"eval": "evaluate"}
    return importlib.import_module(f".{modules.get(name, name)}", __name__)


def _fail(message) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 2
