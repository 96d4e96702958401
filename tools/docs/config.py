"""docs/config.md: every key of a recipe."""

from mxnetseg.config.reference import reference


def text(_: str) -> str:
    return reference()
