"""Every way to say no, in one shape: {"error": {"status": 413, "reason": "too_many_bytes", "message": "..."}}."""

import http
import json
import logging
from typing import Any, Dict, Mapping, Optional

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

__all__ = ["Refusal", "content", "gone", "install"]

log = logging.getLogger(__name__)


class Refusal(Exception):
    """A request that gets no answer: HTTP status, the reason as one word for programs, a message for people."""

    def __init__(self, status: int, reason: str, message: str, headers: Optional[Mapping[str, str]] = None):
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.headers = dict(headers or {})


def gone() -> Refusal:
    """What becomes of a request whose client has gone: nobody reads it, but it is counted."""
    return Refusal(499, "client_gone", "the client closed the connection")


def content(status: int, reason: str, message: str) -> bytes:
    """The body of a refusal."""
    return json.dumps({"error": {"status": status, "reason": reason, "message": message}}).encode()


def install(app: FastAPI) -> None:
    """Give every error of an app, FastAPI's own among them, that shape."""

    async def refused(request: Request, err: Any) -> Response:
        return _response(err.status, err.reason, str(err), err.headers)

    async def http_error(request: Request, err: Any) -> Response:
        reason = http.HTTPStatus(err.status_code).name.lower()
        path = request.scope["path"][:200]  # request.url is made of the host that the client names, which may be none
        what = f"{err.detail}: {request.method} {path}; /openapi.json says what there is"
        return _response(err.status_code, reason, what, err.headers or {})

    async def invalid(request: Request, err: Any) -> Response:
        problems = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in err.errors()[:5]]
        return _response(422, "invalid_option", "; ".join(problems), {})

    async def failed(request: Request, err: Any) -> Response:
        return _response(500, "internal_error", "the server failed; its log says where", {})

    app.add_exception_handler(Refusal, refused)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(Exception, failed)


def _response(status: int, reason: str, message: str, headers: Dict[str, str]) -> Response:
    return Response(content(status, reason, message), status, headers, "application/json")
