"""`mxnetseg serve` as a process of its own."""

import contextlib
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Talk:
    """Ways to talk to a server: as a client does, and byte by byte."""

    def __init__(self, host, port):
        self.host, self.port = host, port

    def until(self, what, seconds=60):
        """Wait until it is so; what it says is returned."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                said = what()
                if said:
                    return said
            time.sleep(0.02)
        raise AssertionError(f"not within {seconds} s")

    def ask(self, path, body=None, headers=None):
        """Status and body of an answer."""
        request = urllib.request.Request(f"http://{self.host}:{self.port}{path}", body, headers or {})
        if body is not None and not request.has_header("Content-type"):
            request.add_header("Content-Type", "application/octet-stream")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as err:
            return err.code, err.read()

    def connect(self, *sent):
        """A socket, after some bytes."""
        connection = socket.create_connection((self.host, self.port), timeout=60)
        for one in sent:
            connection.sendall(one)
        return connection

    def metric(self, line):
        """Whether /metrics has that line now."""
        return line in self.ask("/metrics")[1].decode()


class Server(Talk):
    """The process."""

    def __init__(self, folder, *options, **environment):
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mxnetseg", "serve", "--port", "0", "--ctx", "cpu", *map(str, options)],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        line = self.process.stdout.readline()
        found = re.search(r"http://(\S+):(\d+)$", line.strip())
        assert found, (line, self.process.communicate(timeout=60))
        super().__init__(found[1], int(found[2]))
        self.until(lambda: self.ask("/healthz")[0] == 200)

    def wait(self):
        """Exit status, standard output, standard error."""
        try:
            out, err = self.process.communicate(timeout=60)
        finally:
            self.process.kill()
        return self.process.returncode, out, err


def head(length, *more):
    """The head of a request for a prediction."""
    lines = ["POST /predict HTTP/1.1", "Host: here", "Content-Type: image/png", f"Content-Length: {length}", *more]
    return "\r\n".join([*lines, "", ""]).encode()


def everything(connection):
    """What comes until the other side closes."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while True:
            part = connection.recv(65536)
            if not part:
                break
            parts.append(part)
    connection.close()
    return b"".join(parts)
