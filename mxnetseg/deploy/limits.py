"""What can't be had in which dtype, and why: the one list that `optimize`, the tests and docs/deploy.md go by."""

from typing import Dict, Optional

__all__ = ["LIMITS", "problem"]

# dtype -> model or backbone -> reason
LIMITS: Dict[str, Dict[str, str]] = {"float32": {}, "bfloat16": {}, "int8": {}}


def problem(net, dtype: str) -> Optional[str]:
    """Why `net` can't be had in `dtype`, or None."""
    spec = getattr(net, "spec", {})
    for name in (spec.get("name"), spec.get("backbone")):
        if name in LIMITS[dtype]:
            return f"{name} can't be had in {dtype}: {LIMITS[dtype][name]}"
    return None
