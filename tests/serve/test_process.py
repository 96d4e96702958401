"""`mxnetseg serve` on a real socket: clients that go, stall or talk nonsense, and its end."""

import io
import json
import signal

import numpy as np
import pytest
from PIL import Image

from .process import Server, everything, head

pytestmark = pytest.mark.slow  # a process that imports MXNet

BODY = 1 << 20
SECONDS = 1.5


@pytest.fixture(scope="module")
def server(file, tmp_path_factory):
    options = ("--max-body", BODY / 1e6, "--timeout", SECONDS, "--warm-up", 48, 64)
    one = Server(tmp_path_factory.mktemp("served") / "empty", "--checkpoint", file, *options)
    yield one
    one.process.kill()
    one.wait()


def test_it_answers_and_writes_nothing(server, predictor, image, body):
    status, answer = server.ask("/predict", body)
    assert status == 200
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(answer))), predictor(image))
    about = json.loads(server.ask("/model")[1])
    assert about["checkpoint"] == "tiny.params" and len(about["digest"]) == 64
    assert list(server.folder.iterdir()) == []


@pytest.mark.parametrize("more", [(), ("Expect: 100-continue",)])
def test_a_body_that_is_too_large_is_refused_before_it_has_come(server, more):
    connection = server.connect(head(10 * BODY, *more))
    if not more:
        connection.sendall(bytes(2 * BODY))  # a part of it: the server doesn't wait for the rest for long
    answer = everything(connection)
    assert answer.startswith(b"HTTP/1.1 413") and b'"too_many_bytes"' in answer


def test_a_client_that_goes_leaves_nothing_behind(server, body):
    gone = 'mxnetseg_requests_total{path="/predict",status="499"} %d.0'
    connection = server.connect(head(BODY), bytes(BODY // 2))
    server.until(lambda: server.metric("mxnetseg_in_progress 1.0"))
    connection.close()
    server.until(lambda: server.metric(gone % 1) and server.metric("mxnetseg_in_progress 0.0"))
    assert server.ask("/predict", body)[0] == 200


def test_who_stalls_is_sent_away(server):
    silent, half_a_head, half_a_body = (
        server.connect(*sent) for sent in ((), (head(9)[:20],), (head(BODY), bytes(BODY // 2)))
    )
    second_head = server.connect(b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n", b"GET /")
    answer = everything(half_a_body)
    assert answer.startswith(b"HTTP/1.1 408") and b'"upload_too_slow"' in answer
    assert everything(silent) == everything(half_a_head) == b""
    assert everything(second_head).count(b"HTTP/1.1") == 1


def test_who_does_not_read_is_sent_away(server):
    connection = server.connect()
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        for _ in range(1000):  # answers fill all buffers, so the server reads no more, so this waits
            connection.sendall(200 * b"GET /openapi.json HTTP/1.1\r\nHost: here\r\n\r\n")
    connection.close()


def test_nonsense_is_a_bad_request(server):
    answer = everything(server.connect(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"))
    assert answer.startswith(b"HTTP/1.1 400")
    assert json.loads(answer.split(b"\r\n\r\n")[1])["error"]["reason"] == "bad_request"


def test_too_many_connections(server):
    idle = [server.connect() for _ in range(2 * 64 + 16)]
    answer = everything(server.connect())
    assert answer.startswith(b"HTTP/1.1 503") and b"too_many_connections" in answer
    for one in idle:
        one.close()
    server.until(lambda: server.ask("/healthz")[0] == 200)


def no_longer_listens(server):
    try:
        server.connect().close()
    except ConnectionRefusedError:
        return True
    return False


def test_sigterm_answers_what_has_begun_and_ends_with_0(server, body):
    """The last one of this file: it ends the server."""
    began = server.connect(head(len(body)), body[:50])
    server.until(lambda: server.metric("mxnetseg_in_progress 1.0"))
    server.process.send_signal(signal.SIGTERM)
    server.until(lambda: no_longer_listens(server))
    began.sendall(body[50:])
    answer = everything(began)
    assert answer.startswith(b"HTTP/1.1 200") and b"\x89PNG" in answer
    status, out, err = server.wait()
    assert (status, out, err) == (0, "all requests are answered\n", "")
