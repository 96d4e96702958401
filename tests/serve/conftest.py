"""A predictor of a tiny network, and an app around it."""

import io
import socket
import threading
import time

import mxnet as mx
import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi")

from starlette.testclient import TestClient

from mxnetseg import Predictor, create_model
from mxnetseg.engine import checkpoint
from mxnetseg.engine.record import NetworkSpec, Record
from mxnetseg.serve.app import make_app

CLASSES = 4


@pytest.fixture(scope="session")
def predictor():
    mx.random.seed(0)  # whatever tests came before
    np.random.seed(0)
    net = create_model("bisenet", "mobilenet_v2_0_25", CLASSES, width=16, spatial_width=8)
    net.initialize(mx.init.Xavier(magnitude=4))
    net.hybridize(static_alloc=True)
    return Predictor(net, max_pixels=10_000)


@pytest.fixture(scope="session")
def file(predictor, tmp_path_factory):
    """A checkpoint of its network."""
    path = tmp_path_factory.mktemp("model") / "tiny.params"
    checkpoint.write(path, checkpoint.weights(predictor.net), Record(model=NetworkSpec(**predictor.net.spec)))
    return path


@pytest.fixture(scope="session")
def image():
    """(48, 64, 3): patches of colours, so that several classes come of it."""
    small = np.random.RandomState(3).randint(0, 256, (6, 8, 3), np.uint8)
    return np.kron(small, np.ones((8, 8, 1), np.uint8)).astype(np.uint8)


def png(array):
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="session")
def body(image):
    return png(image)


@pytest.fixture
def client(predictor):
    """Make a client of an app with options; all end with the test."""
    made = []

    def make(**options):
        one = TestClient(make_app(predictor, **options), raise_server_exceptions=False)
        one.__enter__()
        made.append(one)
        ready(one)
        return one

    yield make
    for one in made:
        one.__exit__(None, None, None)


@pytest.fixture
def address(predictor):
    """Serve an app in a thread of this process; gives its address."""
    uvicorn = pytest.importorskip("uvicorn")
    servers = []

    def start(**options):
        bound = socket.socket()
        bound.bind(("127.0.0.1", 0))
        config = uvicorn.Config(make_app(predictor, **options), log_config=None, log_level="error")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        servers.append((server, thread))
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        return f"http://127.0.0.1:{bound.getsockname()[1]}"

    yield start
    for server, thread in servers:
        server.should_exit = True
        thread.join()


def ready(client, status="ready"):
    """Wait until the worker is so."""
    for _ in range(600):
        answer = client.get("/healthz")
        if status in answer.text:
            return answer
        time.sleep(0.02)
    raise AssertionError(answer.text)


def refused(answer, status, reason):
    """The message of a refusal, once its shape was checked."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    error = answer.json()["error"]
    assert set(error) == {"status", "reason", "message"} and (error["status"], error["reason"]) == (status, reason)
    return error["message"]
