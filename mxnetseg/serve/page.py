"""The page at /: one file, which loads nothing but itself, and is allowed nothing else."""

import base64
import functools
import hashlib
import re
from pathlib import Path
from typing import Tuple

from fastapi.responses import Response

__all__ = ["page"]

FILE = Path(__file__).with_name("page.html")


def page() -> Response:
    """The page, and what a browser may do with it."""
    html, policy = _read()
    more = {"Content-Security-Policy": policy, "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY"}
    return Response(html, 200, more, "text/html; charset=utf-8")


@functools.lru_cache(maxsize=None)
def _read() -> Tuple[bytes, str]:
    html = FILE.read_bytes()
    # its own script and style run, by their digests; it asks this server alone, and shows what it made itself
    script, style = (_digest(html, tag) for tag in ("script", "style"))
    policy = (
        f"default-src 'none'; script-src {script}; style-src {style}; img-src blob: data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return html, policy


def _digest(html: bytes, tag: str) -> str:
    (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>".encode(), html, re.DOTALL)
    return f"'sha256-{base64.b64encode(hashlib.sha256(content).digest()).decode()}'"
