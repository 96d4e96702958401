"""The picture in a request's body: read into memory within limits, and taken out of a form."""

import asyncio
import contextlib
import functools
import time
from typing import Any, Dict, List

from starlette.requests import ClientDisconnect, Request

from .limits import Limits
from .refusal import Refusal, gone
from .room import Place

try:
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import MultipartParser, parse_options_header
except ImportError:  # its name before 0.0.13
    from multipart.exceptions import FormParserError
    from multipart.multipart import MultipartParser, parse_options_header

__all__ = ["check_head", "picture_of_form", "read_body"]

LINGER = 2.0  # seconds that a body is read on which is too large, so that its client comes to read why
MOST_PARTS = 16  # of a form
MOST_HEADS = 1 << 14  # bytes of the heads of all parts: they are read byte by byte
SLICE = 1 << 16  # bytes that a form's parser is given at a time
NO_PICTURES = ("application/json", "application/x-www-form-urlencoded", "text/", "audio/", "video/")


def check_head(request: Request) -> None:
    """Raise Refusal (415) where a request's head says that its body can't be a picture."""
    kind = content_type(request)
    if kind.startswith(NO_PICTURES):
        raise Refusal(
            415,
            "no_picture",
            f"Content-Type {kind[:80]}: send the bytes of a picture (Content-Type: image/jpeg, say, or "
            "application/octet-stream), or a form with a file (multipart/form-data)",
        )
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity":
        raise Refusal(415, "encoded", f"Content-Encoding {coding[:80]}: send the bytes as they are")


def content_type(request: Request) -> str:
    """The type that a body is said to have, without its parameters."""
    said: str = request.headers.get("content-type", "")
    return said.split(";")[0].strip().lower()


async def read_body(request: Request, limits: Limits, place: Place) -> bytes:
    """The body of a request.

    Raises
    ------
    Refusal
        408, it takes too long; 413, too large; 422, empty; 499, the client has gone; 503, bodies of other requests
        take the room.
    """
    declared = request.headers.get("content-length", "0")
    try:
        if declared.isdecimal() and int(declared[:20]) > limits.body:
            await _let_go(request, limits.seconds)
            raise _too_large(limits)
        return await asyncio.wait_for(_received(request, limits, place), limits.seconds)
    except asyncio.TimeoutError:
        raise Refusal(
            408, "upload_too_slow", f"the body was not there after {limits.seconds:g} s", {"Connection": "close"}
        ) from None
    except ClientDisconnect:
        raise gone() from None


async def _received(request: Request, limits: Limits, place: Place) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        if len(body) + len(chunk) > limits.body:
            await _let_go(request, limits.seconds)
            raise _too_large(limits)
        place.hold_bytes(len(chunk))
        body += chunk
    if not body:
        raise Refusal(422, "empty", "the body is empty; send a picture")
    return bytes(body)


def _too_large(limits: Limits) -> Refusal:
    return Refusal(
        413, "too_many_bytes", f"the body has more than {limits.body} bytes; send less", {"Connection": "close"}
    )


async def _let_go(request: Request, seconds: float) -> None:
    """Take what a client sends, and drop it, for a while: a closed connection would take the answer from it."""
    if request.headers.get("expect", "").lower() == "100-continue":
        return  # it asks first
    until = time.monotonic() + min(LINGER, seconds / 2)
    with contextlib.suppress(asyncio.TimeoutError):
        while True:
            left = max(0.001, until - time.monotonic())
            message = await asyncio.wait_for(request.receive(), left)
            if message["type"] == "http.disconnect" or not message.get("more_body"):
                return
            if time.monotonic() > until:
                return


def picture_of_form(body: bytes, kind: str) -> bytes:
    """The one file in a multipart body, whose Content-Type is `kind`; nothing is written to disk.

    Raises
    ------
    Refusal
        422, there is no such file, or several; it is no whole form.
    """
    files: List[bytearray] = []
    part: Dict[str, Any] = {}
    facts = {"parts": 0, "heads": 0, "whole": False}

    def begin() -> None:
        facts["parts"] += 1
        if facts["parts"] > MOST_PARTS:
            raise Refusal(422, "bad_form", f"the form has more than {MOST_PARTS} parts; send the picture alone")
        part.update(field=b"", value=b"", file=None)

    def head(name: str, data: bytes, start: int, end: int) -> None:
        facts["heads"] += end - start
        if facts["heads"] > MOST_HEADS:
            raise Refusal(
                422, "bad_form", f"the heads of the form's parts have more than {MOST_HEADS} bytes; send less"
            )
        part[name] += data[start:end]

    def header_end() -> None:
        if part["field"].lower() == b"content-disposition" and b"filename" in parse_options_header(part["value"])[1]:
            part["file"] = bytearray()
            files.append(part["file"])
        part.update(field=b"", value=b"")

    def data(data: bytes, start: int, end: int) -> None:
        if part["file"] is not None:
            part["file"] += data[start:end]

    def end() -> None:
        facts["whole"] = True

    boundary = parse_options_header(kind)[1].get(b"boundary")
    if not boundary:
        raise Refusal(
            422, "bad_form", "Content-Type multipart/form-data has no boundary; let your HTTP client write it"
        )
    callbacks: Any = {
        "on_part_begin": begin,
        "on_header_field": functools.partial(head, "field"),
        "on_header_value": functools.partial(head, "value"),
        "on_header_end": header_end,
        "on_part_data": data,
        "on_end": end,
    }
    try:
        parser: Any = MultipartParser(boundary, callbacks)
        parser.logger.disabled = True  # whoever talks nonsense would fill the log
        rest = memoryview(body.lstrip(b"\r\n"))
        for start in range(0, len(rest), SLICE):
            parser.write(bytes(rest[start : start + SLICE]))
        parser.finalize()
    except FormParserError as err:
        raise Refusal(422, "bad_form", f"the form can't be read ({str(err)[:200]}); send it again") from err
    if not facts["whole"]:
        raise Refusal(422, "bad_form", "the form is cut short; send it again")
    if len(files) != 1:
        raise Refusal(422, "bad_form", f"the form has {len(files)} files; send one picture, as a file")
    return bytes(files[0])
