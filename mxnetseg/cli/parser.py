"""The parser of all commands: argparse, in which nothing that is said gets lost."""

import argparse
from typing import NoReturn, Set

from ..errors import MXNetSegError

__all__ = ["Parser"]


class Parser(argparse.ArgumentParser):
    """An option that is given twice is an error, unless it adds up (`append`, `extend`) or is a switch.

    An empty value is an error, too. All of this holds for the sub-commands: argparse makes their parsers of this class.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.given: Set[str] = set()
        for name in (None, "store"):
            self.register("action", name, _StoreOnce)

    def parse_known_args(self, args=None, namespace=None):
        self.given.clear()
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """As argparse does; the exit says why, for those who have to tell others."""
        try:
            super().error(message)
        except SystemExit as ending:
            raise ending from MXNetSegError(message)


class _StoreOnce(argparse._StoreAction):
    def __call__(self, parser, namespace, values, option_string=None):
        if "" in (values if isinstance(values, list) else [values]):  # --from "$UNSET" would pass for none
            raise argparse.ArgumentError(self, "an empty text; name something, or leave it out")
        if option_string and self.dest in parser.given:
            before = getattr(namespace, self.dest)
            shown = " ".join(map(str, before)) if isinstance(before, list) else before
            raise argparse.ArgumentError(self, f"given twice, the first time as {shown}; keep one")
        parser.given.add(self.dest)
        super().__call__(parser, namespace, values, option_string)
