"""Addresses and ports of hosts."""

import logging
import random
import re
import socket
import time
from typing import List, Optional, Tuple

from ..errors import MXNetSegError
from .deadlines import deadlines

__all__ = ["Address", "first_host", "free_port", "listen", "own_address", "parse_address", "resolve"]

log = logging.getLogger(__name__)

Address = Tuple[str, int]  # host, port

# Below the ports that kernels give to outgoing connections (from 32768 on)
PORTS = range(20_000, 30_000)


def parse_address(text: str, option: str) -> Address:
    """ "host:port". Raises MXNetSegError, which names the `option`, for anything else."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65535:
        raise MXNetSegError(
            f"{option}={text}: write HOST:PORT, the address of rank 0 and a free port there, below 65535"
        )
    return host, int(port)


def resolve(host: str) -> str:
    """The IPv4 address of a host; ps-lite knows no other.

    A name that is unknown may become known, as those of pods do when they start: so long as all have to come. Raises
    MXNetSegError after that.
    """
    _, start = deadlines()
    end = time.monotonic() + start
    while True:
        try:
            return _seen_by_others(host, socket.gethostbyname(host))
        except OSError as err:
            if time.monotonic() > end:
                raise MXNetSegError(
                    f"the host of rank 0, {host}, is unknown here ({err}); name it by its address"
                ) from err
            log.warning("the host of rank 0, %s, is unknown here (%s); trying again", host, err)
            time.sleep(5)


def _seen_by_others(host: str, address: str) -> str:
    """Debian's /etc/hosts says of a host's own name 127.0.1.1, where nobody else finds it: then by what it sends."""
    if not address.startswith("127.") or host == address or host.split(".")[0] == "localhost":
        return address
    try:
        return own_address("192.0.2.1")  # of nobody (RFC 5737), so the usual way out
    except MXNetSegError:
        log.warning("rank 0 is on %s, which is %s here; others can't reach that, so name its address", host, address)
        return address


def own_address(root: str) -> str:
    """The address by which the host at `root` sees this one; no packet is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((root, 9))
        except OSError as err:
            raise MXNetSegError(f"the host of rank 0, {root}, can't be reached: {err}") from err
        name: str = probe.getsockname()[0]
        return name


def listen(address: Address) -> Optional[socket.socket]:
    """A socket that listens there; None where that is not this host, or the port is taken."""
    server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server.bind(address)
        server.listen(128)
    except OSError:
        server.close()
        return None
    return server


def free_port(count: int = 2) -> int:
    """The first of `count` ports in a row that nobody here listens on."""
    for port in random.sample(PORTS, 200):
        sockets: List[Optional[socket.socket]] = [listen(("0.0.0.0", port + i)) for i in range(count)]
        for one in sockets:
            if one is not None:
                one.close()
        if None not in sockets:
            return port
    raise MXNetSegError(f"no free ports between {PORTS[0]} and {PORTS[-1]}; name one with --port")


def first_host(hosts: str) -> str:
    """The first name of a list as Slurm writes it: "gpu[03-05,9],login" -> "gpu03"."""
    return re.sub(r"\[(\w+)[^\]]*\]", r"\1", re.split(r",(?![^\[]*\])", hosts)[0])
