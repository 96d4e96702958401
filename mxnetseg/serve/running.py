"""A socket, and uvicorn between it and the application, until a signal comes."""

import ipaddress
import logging
import os
import signal
import socket
from typing import Any, Tuple

import uvicorn

from ..errors import MXNetSegError
from .connection import bounded
from .limits import Limits

__all__ = ["address_of", "bind", "is_loopback", "serve"]

log = logging.getLogger(__name__)

GRACE = 5  # seconds after the time limit of requests until connections are closed on a client that doesn't read


def bind(host: str, port: int) -> socket.socket:
    """A socket at an address; it does not listen yet, so clients are refused while the network is read.

    Raises
    ------
    MXNetSegError
        There is no such address here, it is in use, or may not be had.
    """
    if not 0 <= port < 65536:
        raise MXNetSegError(f"--port {port}: 1 to 65535, or 0 for any that is free")
    bound = None
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        # asyncio turns off Nagle's wait, 40 ms an answer, only where the protocol is named
        bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        if os.name == "posix":  # a port whose last connections are hardly closed is free
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except (OSError, UnicodeError) as err:
        if bound is not None:
            bound.close()
        raise _unavailable(host, port, err) from err
    return bound


def _unavailable(host: str, port: int, err: Exception) -> MXNetSegError:
    what = getattr(err, "strerror", None) or str(err)
    return MXNetSegError(f"--host {host} --port {port}: {what}; name another, or --port 0 for any port that is free")


def address_of(bound: socket.socket) -> Tuple[str, int]:
    """Host and port that a socket was bound to."""
    host, port = bound.getsockname()[:2]
    return str(host), int(port)


def is_loopback(bound: socket.socket) -> bool:
    """Whether only this machine reaches it."""
    return ipaddress.ip_address(address_of(bound)[0].split("%")[0]).is_loopback


def serve(app: Any, bound: socket.socket, limits: Limits) -> None:
    """Answer requests until SIGTERM or SIGINT; those that have begun are answered first.

    Raises
    ------
    MXNetSegError
        Somebody else listens at the address by now.
    """
    host, port = address_of(bound)
    config = uvicorn.Config(
        app,
        http=bounded(limits),
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        log_level="error",  # whoever talks nonsense would fill the log
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=int(limits.seconds) + GRACE,
    )
    # uvicorn gives the signal on after its end, to whoever had it before
    before = signal.signal(signal.SIGTERM, lambda number, frame: None)
    try:
        uvicorn.Server(config).run(sockets=[bound])
    except OSError as err:
        raise _unavailable(host, port, err) from err
    finally:
        signal.signal(signal.SIGTERM, before)
        bound.close()
