"""What is beyond the limits, or no picture, is refused in one shape, and costs nothing more."""

import threading
import time
import zlib

import numpy as np
import pytest

from mxnetseg.errors import MXNetSegError
from mxnetseg.serve import bodies, service
from mxnetseg.serve.answers import Encoded
from mxnetseg.serve.limits import TOGETHER, Limits
from mxnetseg.serve.refusal import Refusal
from mxnetseg.serve.room import Room
from tests.data import hostile

from .conftest import png, ready, refused
from .process import Talk, head

FORM = b'--b\r\nContent-Disposition: form-data; name="p"; filename="a.png"\r\n\r\n%s\r\n'
TOKEN = "a-token-that-nobody-guesses"


@pytest.fixture
def ask(client):
    return client(limits=Limits(body=20_000, pixels=10_000))


PLAIN, MULTIPART = {}, {"Content-Type": "multipart/form-data; boundary=b"}
REFUSED = {
    "bytes": (413, "too_many_bytes", bytes(20_001), PLAIN),
    "pixels": (413, "too_many_pixels", hostile.png_of(101, 100), PLAIN),
    "giga pixels": (413, "too_many_pixels", hostile.png_of(60_000, 60_000, 16, 6), PLAIN),
    "npy pixels": (413, "too_many_pixels", hostile.npy(np.zeros((101, 100), np.uint8)), PLAIN),
    "svg": (415, "unknown_kind", b"<svg xmlns='http://www.w3.org/2000/svg'/>", PLAIN),
    "url": (415, "no_picture", b'{"url": "http://localhost/"}', {"Content-Type": "application/json"}),
    "path": (415, "no_picture", b"/etc/passwd", {"Content-Type": "text/plain"}),
    "deflated": (415, "encoded", zlib.compress(bytes(9)), {"Content-Encoding": "deflate"}),
    "empty": (422, "empty", b"", PLAIN),
    "no pixels": (422, "damaged", hostile.png_of(10, 10), PLAIN),
    "no width": (422, "damaged", hostile.png_of(0, 10), PLAIN),
    "texts": (422, "damaged", hostile.npy(np.array(["a"])), PLAIN),
    "5 channels": (422, "damaged", hostile.npy(np.zeros((9, 9, 5), np.uint8)), PLAIN),
    "floats": (422, "damaged", hostile.npy(np.zeros((9, 9), np.float32)), PLAIN),
    "empty form": (422, "empty", b"", MULTIPART),
    "no boundary": (422, "bad_form", b"x", {"Content-Type": "multipart/form-data"}),
    "no form": (422, "bad_form", b"no form at all", MULTIPART),
    "cut form": (422, "bad_form", FORM % b"x", MULTIPART),
    "two files": (422, "bad_form", FORM % b"x" * 2 + b"--b--\r\n", MULTIPART),
    "many parts": (422, "bad_form", FORM % b"x" * 17 + b"--b--\r\n", MULTIPART),
    "long head": (422, "bad_form", b"--b\r\nContent-Disposition: x" + b";a=b" * 4500 + FORM[3:] % b"", MULTIPART),
    "many heads": (422, "bad_form", FORM.replace(b"\r\n\r\n", b"\r\n%050d:b" % 0 * 340 + b"\r\n\r\n") % b"", MULTIPART),
    "no parts": (422, "bad_form", b"--b--\r\n", MULTIPART),
    "text in a form": (415, "unknown_kind", FORM % b"x" + b"--b--\r\n", MULTIPART),
    "html wanted": (406, "not_acceptable", b"x", {"Accept": "text/html"}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bodies(ask, name):
    status, reason, content, headers = REFUSED[name]
    assert refused(ask.post("/predict", content=content, headers=headers), status, reason)


@pytest.mark.parametrize("step", [pytest.param(1, marks=pytest.mark.slow), 12])
def test_every_hostile_file_is_answered_or_refused(ask, body, step):
    data = {name: case.data for name, case in list(hostile.cases().items())[::step]}
    statuses = {name: ask.post("/predict", content=data[name]).status_code for name in data}
    assert set(statuses.values()) <= {200, 413, 415, 422}, statuses
    assert ask.post("/predict", content=body).status_code == 200


def test_confidence_takes_memory(client, body, image, monkeypatch):
    monkeypatch.setattr(service, "TOGETHER", 2)
    ask = client(limits=Limits(pixels=48 * 64))  # twice that for the probabilities of four classes: half a picture
    assert ask.post("/predict?answer=certainty", content=png(image[:24])).status_code == 200
    for query in ("answer=certainty", "answer=npz&confidence=1"):
        assert refused(ask.post(f"/predict?{query}", content=body), 413, "too_many_values")
    assert ask.post("/predict?answer=npz", content=body).status_code == 200


def test_a_body_without_length_is_counted_as_it_comes(ask, body, monkeypatch):
    monkeypatch.setattr(bodies, "LINGER", 0.1)
    assert ask.post("/predict", content=iter([body])).status_code == 200
    assert refused(ask.post("/predict", content=iter([bytes(15_000)] * 2)), 413, "too_many_bytes")


@pytest.mark.parametrize("query", ["answer=x", "opacity=2", "opacity=nan", "tolerance=-1", "least=0", "legend=maybe"])
def test_options(ask, body, query):
    assert query.split("=")[0] in refused(ask.post(f"/predict?{query}", content=body), 422, "invalid_option")


def test_fastapis_own_errors_have_the_same_shape(ask):
    assert "/openapi.json" in refused(ask.get("/nowhere"), 404, "not_found")
    assert refused(ask.get("/predict"), 405, "method_not_allowed")
    assert refused(ask.get("/docs"), 404, "not_found")  # its page would load scripts from elsewhere


def test_a_network_that_can_not_take_it_says_so(client, predictor, monkeypatch, body):
    def fails(image):
        raise error

    ask = client()
    monkeypatch.setattr(type(predictor), "__call__", lambda self, image: fails(image))
    error = MXNetSegError("images of 64x64 pixels and more")
    assert "64x64" in refused(ask.post("/predict", content=body), 422, "not_predictable")
    error = RuntimeError("a secret")
    assert "secret" not in refused(ask.post("/predict", content=body), 500, "internal_error")
    monkeypatch.undo()
    assert ask.post("/predict", content=body).status_code == 200


def test_token(client, body):
    ask = client(token=TOKEN)
    for headers in ({}, {"Authorization": f"Bearer {TOKEN}x"}, {"Authorization": f"Basic {TOKEN}"}):
        for method, path in (("POST", "/predict"), ("POST", "/invocations"), ("GET", "/model"), ("GET", "/metrics")):
            answer = ask.request(method, path, headers=headers)
            assert refused(answer, 401, "no_token") and answer.headers["www-authenticate"] == "Bearer"
    assert ask.get("/ping").status_code == ask.get("/").status_code == 200
    assert ask.post("/predict", content=body, headers={"Authorization": f"bearer {TOKEN}"}).status_code == 200


class Held:
    """A predictor that waits before its first prediction."""

    def __init__(self, predictor, monkeypatch):
        self.begun, self.go, self.images = threading.Event(), threading.Event(), []
        real = type(predictor).__call__

        def call(predictor, image):
            self.images.append(image)
            self.begun.set()
            assert self.go.wait(20)
            return real(predictor, image)

        monkeypatch.setattr(type(predictor), "__call__", call)


@pytest.fixture
def held(predictor, monkeypatch):
    one = Held(predictor, monkeypatch)
    yield one
    one.go.set()


def in_background(ask, body, count):
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(ask.post("/predict", content=body))) for _ in range(count)
    ]
    for thread in threads:
        thread.start()
    return threads, answers


def in_progress(ask, count):
    for _ in range(1000):
        if f"mxnetseg_in_progress {count}.0" in ask.get("/metrics").text:
            return
        threading.Event().wait(0.01)
    raise AssertionError(ask.get("/metrics").text)


def test_more_than_the_queue_holds_is_refused(client, held, body):
    ask = client(limits=Limits(requests=2))
    threads, answers = in_background(ask, body, 2)
    in_progress(ask, 2)
    answer = ask.post("/predict", content=body)
    assert refused(answer, 503, "queue_full") and answer.headers["retry-after"] == "1"
    held.go.set()
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [200, 200]
    assert ask.post("/predict", content=body).status_code == 200


def test_one_client_may_have_its_share(client, held, body):
    ask = client(limits=Limits(per_client=1))
    threads, answers = in_background(ask, body, 1)
    in_progress(ask, 1)
    assert refused(ask.post("/predict", content=body), 429, "too_many_of_client")
    held.go.set()
    threads[0].join()
    assert answers[0].status_code == 200


def test_no_answer_in_time(client, held, body):
    ask = client(limits=Limits(seconds=0.5))
    threads, answers = in_background(ask, body, 1)
    assert held.begun.wait(20)
    more, others = in_background(ask, body, 2)  # they wait behind it, in vain
    for thread in threads + more:
        thread.join()
    assert all(refused(answer, 504, "too_slow") for answer in answers + others) and len(others) == 2
    held.go.set()
    assert ask.post("/predict", content=body).status_code == 200
    assert len(held.images) == 2  # those that gave up were never computed


def test_a_client_that_goes_while_it_waits_is_not_computed_for(address, held, body):
    host, port = address().rsplit("/", 1)[1].split(":")
    server = Talk(host, int(port))
    server.until(lambda: server.metric("mxnetseg_ready 1.0"))
    first = server.connect(head(len(body)), body)
    assert held.begun.wait(20)
    second = server.connect(head(len(body)), body)
    server.until(lambda: server.metric("mxnetseg_waiting 1.0"))
    second.close()
    server.until(lambda: server.metric('path="/predict",status="499"} 1.0') and server.metric("in_progress 1.0"))
    held.go.set()
    assert first.recv(15) == b"HTTP/1.1 200 OK"
    first.close()
    assert server.ask("/predict", body)[0] == 200 and len(held.images) == 2


def test_outlines_that_take_too_long(client, monkeypatch, body):
    from mxnetseg.serve import answers

    monkeypatch.setattr(answers.time, "monotonic", lambda: float("inf"))
    with pytest.raises(Refusal) as caught:
        answers._polygons(answers.Wish(answers.Answer.polygons), *_prediction(), 1e9)
    assert caught.value.status == 504


def _prediction():
    from types import SimpleNamespace

    from mxnetseg.serve.worker import Prediction

    palette = np.zeros((1, 3), np.uint8)
    return Prediction(np.zeros((3, 3), np.uint8), None), SimpleNamespace(classes=["a"], palette=palette)


def test_starting_and_failing(client, predictor, body):
    from starlette.testclient import TestClient

    from mxnetseg.serve.app import make_app

    go = threading.Event()

    def warm_up():
        assert go.wait(20)
        raise RuntimeError("no memory")

    with TestClient(make_app(predictor, warm_up=warm_up)) as ask:
        for answer in (ask.get("/healthz"), ask.get("/ping"), ask.post("/predict", content=body)):
            assert refused(answer, 503, "starting")
        go.set()
        refused(ready(ask, "failed"), 503, "failed")


def test_room_gives_back_what_was_held():
    room = Room(Limits(body=10, pixels=100, requests=2, per_client=1))
    with room.enter("a") as place, pytest.raises(Refusal), room.enter("a"):
        pass
    with room.enter("a") as place, room.enter("b") as other:
        for _ in range(TOGETHER - 1):
            place.hold_bytes(10)
            place.hold_pixels(100)
        other.hold_bytes(10)
        other.hold_pixels(100)
        for hold in (place.hold_bytes, other.hold_pixels):
            with pytest.raises(Refusal) as caught:
                hold(1)
            assert (caught.value.status, caught.value.reason) == (503, "no_memory")
    with pytest.raises(Refusal) as caught:  # by a thread that comes to the picture after the time limit
        place.hold_pixels(1)
    assert caught.value.status == 499
    assert (room.requests, room.bytes, room.pixels, dict(room.clients)) == (0, 0, 0, {})
    with pytest.raises(MXNetSegError, match="seconds"):
        Limits(seconds=0)


@pytest.mark.parametrize("path", ["/nowhere", "/predict/", "/../../etc/passwd", "/%2e%2e/etc/passwd", "//etc/passwd"])
def test_the_host_that_a_client_names_is_not_read(ask, path):
    """An address made of it would be an error, or a redirection to elsewhere."""
    for host in ("[::1", "elsewhere.example"):
        answer = ask.get(path, headers={"Host": host}, follow_redirects=False)
        assert refused(answer, 404, "not_found") and "location" not in answer.headers


def test_heads_as_load_balancers_ask_for_them(ask):
    for path in ("/", "/ping", "/healthz"):
        assert ask.head(path).status_code == 200 and ask.head(path).content == b""
        assert "GET" in ask.options(path).headers["allow"]


def test_a_prediction_that_is_stuck(client, held, body):
    limits = Limits(seconds=0.2)
    ask = client(limits=limits)
    assert refused(ask.post("/predict", content=body), 504, "too_slow")
    assert refused(ready(ask, "stuck"), 503, "stuck")
    assert refused(ask.post("/predict", content=body), 503, "stuck")
    started = time.monotonic()
    ask.__exit__(None, None, None)  # the end does not wait for it
    assert time.monotonic() - started < 10
    held.go.set()


def test_what_a_client_does_not_take_is_counted(address, predictor, monkeypatch):
    """Its answer stays in memory, so it has its place until then."""
    noise = np.random.RandomState(0).randint(0, 256, (90, 100, 3), np.uint8)
    monkeypatch.setattr(service, "encode", lambda *args: Encoded(bytes(30 << 20), "image/png"))
    host, port = address(limits=Limits(seconds=60)).rsplit("/", 1)[1].split(":")
    server, picture = Talk(host, int(port)), png(noise)
    server.until(lambda: server.metric("mxnetseg_ready 1.0"))
    connection = server.connect(head(len(picture)), picture)
    assert connection.recv(15) == b"HTTP/1.1 200 OK"
    assert server.metric("mxnetseg_in_progress 1.0")
    while len(connection.recv(1 << 20, 0)) and not server.metric("mxnetseg_in_progress 0.0"):
        pass
    connection.close()
    server.until(lambda: server.metric("mxnetseg_in_progress 0.0"))
