"""The one error that users are meant to read."""

import contextlib
from typing import Iterator

__all__ = ["MXNetSegError", "named"]


class MXNetSegError(Exception):
    """A mistake a user can mend: the message names the file, key or value, and the remedy.

    The command line prints the message alone (no traceback) and exits with status 2.
    """


@contextlib.contextmanager
def named(what: object) -> Iterator[None]:
    """A context whose errors begin with the name of an image, say: it may be one of many."""
    try:
        yield
    except MXNetSegError as err:
        raise MXNetSegError(f"{what}: {err}") from err
