"""What the actions of `mxnetseg data` share: which data set, how many processes, a file for the report."""

import argparse
import os
from pathlib import Path

from .. import saving
from ..commands import typed
from ..errors import MXNetSegError
from . import add_import


def add_source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="a data set of `data list`")
    parser.add_argument("--config", metavar="FILE", help="the data set of this recipe (your own folders)")
    parser.add_argument("--root", metavar="DIR", help="its folder; datasets/<name> when left out")
    add_import(parser)


def add_workers(parser: argparse.ArgumentParser) -> None:
    usual = min(4, os.cpu_count() or 1)
    parser.add_argument("--workers", type=int, default=usual, metavar="N", help=f"processes; 0: none ({usual})")


def source(args):
    """The recipe's part that `add_source`'s options name."""
    from ..config import as_recipe, load_recipe

    if bool(args.name) == bool(args.config):
        raise MXNetSegError(typed("name a data set or --config FILE, one of the two; `mxnetseg data list` lists them"))
    data = load_recipe(args.config).data if args.config else as_recipe({"data": {"name": args.name}}).data
    return data.model_copy(update={"root": args.root}) if args.root else data


def check_free(*paths) -> None:
    """Refuse to write over a file, before the work begins."""
    saving.check_free([Path(path) for path in paths if path], remedy="move it away")
