"""The one error that users are meant to read."""

__all__ = ["MXNetSegError"]


class MXNetSegError(Exception):
    """A mistake a user can mend: the message names the file, key or value, and the remedy.

    The command line prints the message alone (no traceback) and exits with status 2.
    """
