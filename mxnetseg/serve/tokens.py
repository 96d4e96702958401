"""Who may ask: those who know the token, if there is one."""

import hmac
import os
from pathlib import Path
from typing import Optional

from fastapi import Request

from ..errors import MXNetSegError
from ..saving import explained
from .refusal import Refusal

__all__ = ["VARIABLE", "check", "read_token"]

VARIABLE = "MXNETSEG_TOKEN"
SHORTEST = 16  # characters


def read_token(file: Optional[str]) -> Optional[str]:
    """The token in a file, else that of the environment, else None. No option says it: others could see that.

    Raises
    ------
    MXNetSegError
        The file can't be read; the token is too short, or has characters that no header takes.
    """
    place, text = (f"environment variable {VARIABLE}", os.environ.get(VARIABLE) or None)  # empty: not set
    if file is not None:
        place = f"--token-file {file}"
        with explained(file, "read"), open(Path(file), encoding="utf-8", errors="replace") as opened:
            text = opened.read(4096)
    if text is None:
        return None
    token = text.strip()
    if len(token) < SHORTEST or not (token.isascii() and token.isprintable()) or " " in token:
        raise MXNetSegError(
            f"{place}: a token has {SHORTEST} or more letters, digits and signs, and no spaces; make one with "
            "python -c 'import secrets; print(secrets.token_urlsafe())'"
        )
    return token


def check(request: Request, token: Optional[str]) -> None:
    """Raise Refusal (401) unless the request has the token, where there is one."""
    if token is None:
        return
    kind, _, said = request.headers.get("authorization", "").partition(" ")
    # takes no less time for a guess
    same = hmac.compare_digest(said.strip().encode("utf-8", "replace"), token.encode())
    if kind.lower() != "bearer" or not same:
        raise Refusal(
            401, "no_token", "say the server's token: Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"}
        )
