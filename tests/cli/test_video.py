"""`mxnetseg video`: files, streams that end, stall or come too fast."""

import functools
import http.server
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest

from mxnetseg import Predictor, live, video, visual
from mxnetseg.errors import MXNetSegError

from .conftest import CPU

SIZE = (64, 96)


def frame(index):
    """A frame that says which one it is."""
    return np.full((*SIZE, 3), 5 * index % 256, np.uint8)


@pytest.fixture
def clip():
    with video.VideoWriter("clip.mp4", 10) as writer:
        for index in range(12):
            writer.write(frame(index))
    return "clip.mp4"


@pytest.fixture
def convert(run, trained):
    return lambda *argv: run("video", *argv, "--checkpoint", trained, *CPU, "--quiet")


def frames(path):
    reader = video.VideoReader(path)
    return list(reader.frames()), reader.rate


class Handler(http.server.BaseHTTPRequestHandler):
    """/<how>/<frames>: MJPEG that ends, stalls, or is sent as fast as it is taken."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        _, how, count = self.path.split("/")
        self.server.asked.append(self.path)
        if how == "file":
            content = Path("clip.mp4").read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        try:
            for index in range(int(count)):
                _, data = cv2.imencode(".jpg", frame(index))
                head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(data)
                self.wfile.write(head + data.tobytes() + b"\r\n")
                self.wfile.flush()
                if how != "fast":
                    time.sleep(0.02)
            while how in ("stall", "never") and not self.server.over.is_set():
                self.server.over.wait(0.05)
        except OSError:  # nobody listens any more
            pass


@pytest.fixture
def server():
    """The address of a server on loopback."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.over, running.asked, running.daemon_threads = threading.Event(), [], True
        thread = threading.Thread(target=functools.partial(running.serve_forever, 0.05))
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.over.set()
        running.shutdown()
        thread.join()


def bands(predictor, image):
    """Stands in for a network: brighter frames are of higher classes."""
    return image[..., 0] // 10


@pytest.mark.slow
def test_kinds(convert, clip, trained, monkeypatch):
    predictor = Predictor(str(trained), "cpu")
    monkeypatch.setattr(Predictor, "__call__", bands)
    originals, _ = frames(clip)
    expected = {
        "overlay": lambda f: visual.overlay(f, bands(None, f), predictor.palette, 0.4),
        "label": lambda f: visual.colorize(bands(None, f), predictor.palette),
        "side-by-side": lambda f: visual.pair(f, bands(None, f), predictor.classes, predictor.palette, 0.4),
    }
    for kind, draw in expected.items():
        look = {"overlay": ["--opacity", "0.4", "--no-legend"], "label": [], "side-by-side": ["--opacity", "0.4"]}[kind]
        argv = [clip, "--out", f"{kind}.mp4", "--save", kind, "--every", "5", *look]
        status, out, err = convert(*argv)
        assert status == 0 and f"clip.mp4: 3 frames, {kind} in {kind}.mp4" in out, err
        written, rate = frames(f"{kind}.mp4")
        assert len(written) == 3 and rate == 2
        for got, original in zip(written, originals[::5]):
            assert got.shape == draw(original).shape and np.abs(got.astype(int) - draw(original)).mean() < 8
    status, _, err = convert(clip, "--out", "label.mp4")
    assert status == 2 and "--out label.mp4 is there already" in err
    status, out, _ = convert(clip, "--width", "97", "--every", "12")  # a legend, and sides that are not even
    assert status == 0 and len(list(Path("runs").glob("video_*/clip_overlay.mp4"))) == 1


def test_options_without_effect(run):
    for kind, *look in (("label", "--opacity", "0"), ("label", "--no-legend"), ("side-by-side", "--no-legend")):
        status, _, err = run("video", "none.mp4", "--checkpoint", "none", "--save", kind, *look)
        assert status == 2 and f"{look[0]} has no effect without --save overlay" in err


@pytest.mark.slow
def test_a_network(convert, clip, trained):
    """What is written is what the network gives for each frame."""
    assert convert(clip, "--save", "label", "--out", "o.mp4", "--every", "6")[0] == 0
    predictor = Predictor(str(trained), "cpu")
    for got, original in zip(frames("o.mp4")[0], frames(clip)[0][::6]):
        assert np.abs(got.astype(int) - visual.colorize(predictor(original), predictor.palette)).mean() < 8


def test_work_overlaps_and_order_is_kept(convert, clip, monkeypatch):
    """Reading, predicting, drawing and writing are four threads', and every frame arrives at its place."""
    threads = {}

    def noted(what, function):
        def call(*args):
            threads.setdefault(what, set()).add(threading.get_ident())
            return function(*args)

        return call

    monkeypatch.setattr(video.VideoReader, "_next", noted("read", video.VideoReader._next))
    monkeypatch.setattr(Predictor, "__call__", noted("predict", lambda self, image: image[..., 0] % 10))
    monkeypatch.setattr(visual, "colorize", noted("draw", lambda class_map, palette: np.dstack([class_map * 20] * 3)))
    monkeypatch.setattr(video.VideoWriter, "write", noted("write", video.VideoWriter.write))
    assert convert(clip, "--save", "label", "--out", "o.mp4")[0] == 0
    expected = [int(f[..., 0].mean().round()) % 10 * 20 for f in frames(clip)[0]]
    assert np.abs(np.array([f.mean() for f in frames("o.mp4")[0]]) - expected).max() < 12
    assert len(threads["draw"]) == 1 and not threads["draw"] & (threads["predict"] | threads["write"])
    assert not threads["predict"] & threads["write"]


@pytest.mark.parametrize("stage", ["predict", "write"])
def test_an_error_in_a_thread_ends_it_and_leaves_nothing(convert, clip, monkeypatch, stage):
    def fail(*_):
        raise MXNetSegError("no more")

    place = (Predictor, "__call__") if stage == "predict" else (video.VideoWriter, "write")
    monkeypatch.setattr(*place, fail)
    status, _, err = convert(clip, "--out", "o.mp4")
    assert status == 2 and "error: no more" in err and not list(Path().glob("*o*.mp4"))


def test_a_stream_that_ends(convert, server):
    status, out, err = convert(f"{server}/end/9", "--save", "label", "--out", "o.mp4")
    assert status == 0 and f"{server}/end/9: 9 frames, label in o.mp4, " in out and "dropped" in out, err
    assert len(frames("o.mp4")[0]) == 9


def reads_on():
    """Whether a thread is left that reads; were it in OpenCV when Python ends, the process would abort."""
    return any(thread.name == "live" for thread in threading.enumerate())


def test_a_stream_that_stalls_is_an_error_and_what_came_is_kept(convert, server):
    begin = time.time()
    status, out, err = convert(
        f"{server}/stall/9", "--save", "label", "--out", "o.mp4", "--timeout", "1", "--every", "2"
    )
    assert status == 2 and "stall/9: no frame for 1 s, after 9; it stalls" in err and "5 frames" in out
    assert len(frames("o.mp4")[0]) == 5 and time.time() - begin < 30 and not reads_on()
    status, _, err = convert(f"{server}/never/0", "--out", "n.mp4", "--timeout", "0.5")
    assert status == 2 and "/never/0: gives no frame in 0.5 s" in err and not Path("n.mp4").exists()
    assert not reads_on()


@pytest.mark.parametrize("silent", [True, False])
def test_a_stall_while_nobody_waits_is_no_end(monkeypatch, silent):
    """OpenCV gives up by itself after a time, and says no more than at the end of a stream."""

    class Capture:
        left = 2

        def isOpened(self):
            return True

        def grab(self):
            self.left -= 1
            time.sleep(0.15 if silent and self.left < 0 else 0)
            return self.left >= 0

        def retrieve(self):
            return True, np.zeros((2, 2, 3), np.uint8)

        def get(self, _):
            return 0.0

        def release(self):
            pass

    monkeypatch.setattr("mxnetseg.live._opened", lambda *_: Capture())
    with closing(live.LiveReader("rtsp://x", 0.1)) as reader:
        coming = reader.frames()
        assert next(coming)[0].shape == (2, 2, 3)
        reader._thread.join()  # a slow network
        if silent:
            with pytest.raises(MXNetSegError, match="no frame for 0.1 s, after 2; it stalls"):
                list(coming)
        else:
            assert len(list(coming)) == 1


def test_a_frame_that_comes_while_the_step_is_named(monkeypatch):
    """It was asked for as one of all frames; with every second one alone it would stand in another's place."""
    asked, named = threading.Event(), threading.Event()

    class Capture:
        number = -1

        def isOpened(self):
            return True

        def grab(self):
            self.number += 1
            return self.number < 9

        def retrieve(self):
            if self.number == 1:
                asked.set()
                assert named.wait(10)
            return True, np.full((2, 2, 3), self.number, np.uint8)

        def get(self, _):
            return 9.0

        def release(self):
            pass

    monkeypatch.setattr("mxnetseg.live._opened", lambda *_: Capture())
    with closing(live.LiveReader("rtsp://x")) as reader:
        assert asked.wait(10)
        coming = reader.frames(2)
        first = next(coming)
        named.set()
        found = [(int(frame[0, 0, 0]), stands_for) for frame, stands_for in (first, *coming)]
    assert found == [(0, 1), (2, 1), (4, 1), (6, 1), (8, 1)]


def test_frames_that_nobody_was_ready_for_are_counted(convert, server, monkeypatch):
    """The video lasts as long as the stream all the same."""

    def slow(self, image):
        time.sleep(0.15)
        return np.zeros(image.shape[:2], np.uint8)

    monkeypatch.setattr(Predictor, "__call__", slow)
    status, out, err = convert(f"{server}/fast/60", "--save", "label", "--out", "o.mp4")
    dropped = int(out.split("o.mp4, ")[1].split()[0])
    assert status == 0 and 40 <= dropped < 60 and "60 frames" in out, (out, err)
    assert len(frames("o.mp4")[0]) == 60


def test_a_file_on_a_server_is_taken_whole(convert, clip, server, monkeypatch):
    monkeypatch.setattr(Predictor, "__call__", lambda self, f: time.sleep(0.03) or np.zeros(f.shape[:2], np.uint8))
    status, out, err = convert(f"{server}/file/clip.mp4", "--save", "label", "--out", "o.mp4")
    assert status == 0 and out.endswith(": 12 frames, label in o.mp4\n"), err  # none is dropped
    assert len(frames("o.mp4")[0]) == 12


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_a_stream_properly(convert, server, monkeypatch, signum):
    seen = []

    def predict(self, image):
        seen.append(1)
        if len(seen) == 5:
            os.kill(os.getpid(), signum)
        return np.zeros(image.shape[:2], np.uint8)

    monkeypatch.setattr(Predictor, "__call__", predict)
    status, out, err = convert(f"{server}/stall/500", "--save", "label", "--out", "o.mp4")
    assert status == 0 and "label in o.mp4" in out and "warning" not in err
    assert 4 <= len(frames("o.mp4")[0]) < 400


def test_ctrl_c_leaves_nothing_of_a_file(convert, clip, monkeypatch):
    def predict(self, image):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.1)
        return np.zeros(image.shape[:2], np.uint8)

    monkeypatch.setattr(Predictor, "__call__", predict)
    assert convert(clip, "--out", "o.mp4")[0] == 130
    assert [p.name for p in Path().glob("*.mp4")] == ["clip.mp4"]


def test_what_a_killed_process_left_is_removed(tmp_path):
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    ours, theirs = video.partial_of(Path("o.mp4"), ".mp4"), video.partial_of(Path("other.mp4"), ".mp4")
    left = [Path(one.name.replace(f".{os.getpid()}.", f".{gone.pid}.")) for one in (ours, theirs)]
    for one in (ours, *left):  # the first one is of a process that lives
        one.write_bytes(b"a part")
    with pytest.raises(ZeroDivisionError), video.VideoWriter("o.mp4", 10):
        assert sorted(os.listdir()) == sorted([ours.name, left[1].name])
        raise ZeroDivisionError


def test_what_can_not_be_opened(convert, monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: Closed())
    status, _, err = convert("7", "--out", "o.mp4")
    assert status == 2 and "camera 7: can't be opened; is it on" in err
    status, _, err = convert("rtsp://me:secret@host/x", "--out", "o.mp4")
    assert status == 2 and "rtsp://host/x: can't be opened" in err and "secret" not in err
    status, _, err = convert("7", "--timeout", "0")
    assert status == 2 and "--timeout 0" in err
    assert [live.is_live(one) for one in ("0", "a.mp4", "12.mp4", "RTSP://a", "C:/a.mp4")] == [1, 0, 0, 1, 0]


class Closed:
    """A capture that can't be opened."""

    def isOpened(self):
        return False

    def release(self):
        pass
