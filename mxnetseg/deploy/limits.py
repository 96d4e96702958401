"""What can't be had in which dtype, and why: the one list that `optimize`, the tests and docs/deploy.md go by."""

from typing import Dict, Optional

from ..network import Network

__all__ = ["LIMITS", "describe", "problem"]

# dtype -> model or backbone -> reason
LIMITS: Dict[str, Dict[str, str]] = {"float32": {}, "bfloat16": {}, "int8": {}}


def problem(net: Network, dtype: str) -> Optional[str]:
    """Why `net` can't be had in `dtype`, or None."""
    for name in (net.spec.get("name"), net.spec.get("backbone")):
        if name in LIMITS[dtype]:
            return f"{name} can't be had in {dtype}: {LIMITS[dtype][name]}"
    return None


def describe() -> str:
    """The list as docs/deploy.md has it, in Markdown."""
    lines = []
    for dtype, names in LIMITS.items():
        lines += [f"- `{dtype}`: not for `{name}`: {reason}" for name, reason in names.items()]
        if not names:
            lines.append(f"- `{dtype}`: every model of `mxnetseg models`")
    return "\n".join(lines)
