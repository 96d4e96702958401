"""Two "hosts" on one machine: network namespaces, joined by a cable. Needs root on Linux."""

import contextlib
import os
import shutil
import subprocess


def ip(*words):
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


def problem():
    """Why there can't be any here, or None."""
    if shutil.which("ip") is None:
        return "there is no `ip`"
    name = f"try{os.getpid()}"
    try:
        ip("netns", "add", name)
        ip("netns", "del", name)
    except subprocess.CalledProcessError as err:
        return f"network namespaces are not permitted: {err.stderr.strip()}"
    return None


@contextlib.contextmanager
def two_hosts():
    """Names and addresses of two hosts."""
    names = [f"mx{os.getpid()}{letter}" for letter in "ab"]
    addresses = ["10.77.0.1", "10.77.0.2"]
    with contextlib.ExitStack() as stack:
        for name in names:
            ip("netns", "add", name)
            stack.callback(ip, "netns", "del", name)
        ip("link", "add", "cable", "netns", names[0], "type", "veth", "peer", "name", "cable", "netns", names[1])
        for name, address in zip(names, addresses):
            ip("-n", name, "addr", "add", f"{address}/24", "dev", "cable")
            ip("-n", name, "link", "set", "cable", "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield list(zip(names, addresses))


def cut(host):
    """Pull the cable: nothing is refused, nothing arrives."""
    ip("-n", host, "link", "set", "cable", "down")
