"""`mxnetseg serve`: its options, and what it says of those that are wrong."""

import asyncio
import shutil
import socket
from pathlib import Path

import pytest

from mxnetseg.data.streets import draw_streets
from mxnetseg.errors import MXNetSegError
from mxnetseg.serve import running, worker
from tests.cli.conftest import run  # noqa: F401  (a fixture)

from .conftest import TestClient, ready

CPU = ["--ctx", "cpu", "--warm-up", "32", "--port", "0"]


@pytest.fixture
def served(monkeypatch):
    """What would be served: (app, host, limits)."""
    found = []

    def serve(app, bound, limits):
        found.append((app, running.address_of(bound)[0], limits))
        bound.close()

    monkeypatch.setattr(running, "serve", serve)
    return found


def test_options_reach_the_app(run, served, file, body):  # noqa: F811
    Path("token").write_text("  a-token-of-some-length\n")
    options = ("--max-body", "0.5", "--queue", "3", "--per-client", "2", "--timeout", "7", "--batch", "4")
    status, out, err = run("serve", "--checkpoint", file, *CPU, *options, "--token-file", "token", "--flip")
    assert status == 0, err
    assert out.startswith("serving tiny.params at http://127.0.0.1:")
    (app, _, limits), token = served[0], {"Authorization": "Bearer a-token-of-some-length"}
    assert (limits.body, limits.requests, limits.per_client, limits.seconds) == (1 << 19, 3, 2, 7)
    with TestClient(app) as client:
        ready(client)
        about = client.get("/model", headers=token).json()
        assert client.post("/predict", content=body).status_code == 401
        assert client.post("/predict", content=body, headers=token).status_code == 200
    assert about["limits"]["batch"] == 4 and about["input"]["flip"] is True and about["dtype"] is None
    assert "token" not in out + err


def test_from_the_environment_and_from_folders(run, served, file, monkeypatch):  # noqa: F811
    monkeypatch.setenv("MXNETSEG_CHECKPOINT", str(file.parent))
    monkeypatch.setenv("MXNETSEG_HOST", "0.0.0.0")
    status, out, _ = run("serve", *CPU)
    assert status == 0 and served[0][1] == "0.0.0.0" and "serving tiny.params" in out
    shutil.copy(file, "other.params")
    shutil.copy(file, "third.params")
    status, _, err = run("serve", *CPU, "--checkpoint", ".")
    assert status == 2 and "--checkpoint .: 2 checkpoints in this folder" in err


@pytest.mark.parametrize("token, warns", [(None, True), ("", True), ("a-token-of-some-length", False)])
def test_reachable_without_a_token_is_warned_of(run, served, file, monkeypatch, token, warns):  # noqa: F811
    if token is not None:
        monkeypatch.setenv("MXNETSEG_TOKEN", token)
    status, _, err = run("serve", "--checkpoint", file, *CPU, "--host", "0.0.0.0")
    assert status == 0 and ("0.0.0.0 can be reached from other machines, and there is no token" in err) is warns


@pytest.mark.slow
def test_int8_is_calibrated_on_a_folder(run, served, file):  # noqa: F811
    draw_streets(Path("s"), {"train": 3}, (64, 96), progress=False)
    options = ("--dtype", "int8", "--calibration", "s/images/train", "--calibration-images", "2")
    status, _, err = run("serve", "--checkpoint", file, *CPU, *options)
    assert status == 0, err
    with TestClient(served[0][0]) as client:
        ready(client)
        assert client.get("/model").json()["dtype"] == "int8"


def test_a_port_in_use_is_told_before_the_network_is_read(run, file):  # noqa: F811
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        status, _, err = run("serve", "--checkpoint", file, "--port", port)
    assert status == 2 and f"--host 127.0.0.1 --port {port}: Address already in use; name another" in err


def test_answers_go_at_once():
    """Nagle's algorithm would keep the second part of each back until the client acknowledges the first, 40 ms."""
    kept = []

    class Told(asyncio.Protocol):
        def connection_made(self, transport):
            at_once = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            kept.append(not at_once)
            transport.close()

    async def ask():
        bound = running.bind("127.0.0.1", 0)
        server = await asyncio.get_running_loop().create_server(Told, sock=bound)
        reader, writer = await asyncio.open_connection(*running.address_of(bound))
        await reader.read()
        writer.close()
        server.close()

    asyncio.run(ask())
    assert kept == [False]


@pytest.mark.parametrize(
    "options, message",
    [
        ((), "--checkpoint FILE: name the network"),
        (("--checkpoint", "none.params"), "--checkpoint none.params: no such file"),
        (("--checkpoint", "FILE", "--port", "99999"), "--port 99999: 1 to 65535"),
        (("--checkpoint", "FILE", "--host", "192.0.2.1"), "--host 192.0.2.1 --port 0: "),
        (("--checkpoint", "FILE", "--token-file", "short"), "--token-file short: a token has 16 or more"),
        (("--checkpoint", "FILE", "--token-file", "none"), "none can't be read"),
        (("--checkpoint", "FILE", "--queue", "0"), "limits: requests is 0"),
        (("--checkpoint", "FILE", "--batch", "0"), "--batch 0: a number from 1 to 4096"),
        (("--checkpoint", "FILE", "--max-body", "nan"), "--max-body nan: a number from 0.001 to 1e+06"),
        (("--checkpoint", "FILE", "--timeout", "inf"), "--timeout inf: a number from 0.001 to 86400"),
        (("--checkpoint", "FILE", "--wait-ms", "nan"), "--wait-ms nan: a number from 0 to 60000"),
        (("--checkpoint", "FILE", "--warm-up", "1", "2", "3"), "--warm-up 1 2 3"),
        (("--checkpoint", "FILE", "--warm-up", "9999"), "9999x9999, has more pixels than --max-pixels"),
        (("--checkpoint", "FILE", "--dtype", "int8", "--calibration", "none"), "--calibration none: no such folder"),
        (("--checkpoint", "FILE", "--dtype", "int8", "--calibration", "."), "--calibration .: holds no images"),
        (("--checkpoint", "FILE", "--ctx", "cpu:0", "cpu:1"), "serve runs on one context"),
    ],
)
def test_mistakes(run, file, options, message):  # noqa: F811
    Path("short").write_text("hush")
    words = [str(file) if word == "FILE" else word for word in options]
    address = [] if "--port" in words else ["--port", "0"]
    status, _, err = run("serve", *words, *address, *([] if "--ctx" in words else ["--ctx", "cpu"]))
    assert status == 2 and message in err and "hush" not in err


@pytest.mark.parametrize(
    "error, told",
    [
        (MXNetSegError("too small"), "error: the network can't be used: too small\n"),
        (ValueError("a bug"), "in predict\n    raise error\nValueError: a bug\n"),
    ],
)
def test_why_a_network_fails_is_told(run, served, file, monkeypatch, capsys, error, told):  # noqa: F811
    def predict(*_, **__):
        raise error

    monkeypatch.setattr(worker, "predict_together", predict)
    assert run("serve", "--checkpoint", file, *CPU)[0] == 0
    with TestClient(served[0][0]) as client:
        ready(client, "failed")
    assert capsys.readouterr().err.endswith(told)
