"""`mxnetseg predict --tiles`."""

import json
import os
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from mxnetseg import Predictor, visual
from mxnetseg.tiles import store, windows

from .conftest import CPU

tifffile = pytest.importorskip("tifffile")

METADATA = b'<GDALMetadata>\n<Item name="DAY">2020</Item>\n<Item name="MEAN" sample="0">3.5</Item>\n</GDALMetadata>\0'
PLACE = [
    (33550, 12, 3, (0.5, 0.5, 0.0), True),
    (33922, 12, 6, (0.0, 0.0, 0.0, 350000.5, 5800000.25, 0.0), True),
    (34735, 3, 8, (1, 1, 0, 1, 3072, 0, 1, 32633), True),
    (34736, 12, 1, (6378137.0,), True),
    (34737, 2, 9, b"WGS 84|x\0", True),
]
EXTRA = [*PLACE, (42112, 2, len(METADATA), METADATA, True), (42113, 2, 2, b"0\0", True)]


def write_map(path, height=280, width=330, **options):
    image = cv2.resize(np.random.RandomState(0).randint(1, 256, (8, 9, 3), np.uint8), (width, height))
    image[:40, :50] = 0
    tifffile.imwrite(path, image, extratags=EXTRA, **{"tile": (64, 64), "byteorder": ">", **options})
    return image


@pytest.fixture
def predict(run, trained):
    return lambda *argv: run("predict", *argv, "--tiles", "--checkpoint", trained, *CPU, "--quiet", "--out", "out")


@pytest.fixture(autouse=True)
def small_cells(monkeypatch):
    monkeypatch.setattr(windows, "CELL", 64)
    monkeypatch.setattr("mxnetseg.tiles.CELL", 64)
    monkeypatch.setattr("mxnetseg.tiles.result.CELL", 64)


def results():
    return sorted(name for name in os.listdir("out") if name != "predictions.jsonl")


def read(kind):
    with tifffile.TiffFile(f"out/map_{kind}.tif") as file:
        return file.pages[0].asarray(), file.pages[0], {tag.code: tag.value for tag in file.pages[0].tags}


def test_results_are_maps_as_the_picture_is(predict, trained):
    image = write_map("map.tif")
    status, out, err = predict("map.tif", "--save", "label", "overlay", "confidence", "--opacity", "0.5")
    assert status == 0 and "1 prediction in out: *_label.tif, *_overlay.tif, *_confidence.tif" in out, err
    assert results() == ["map_confidence.tif", "map_label.tif", "map_overlay.tif"]
    label, page, tags = read("label")
    predictor = Predictor(str(trained), "cpu")
    nothing = np.zeros(label.shape, bool)
    nothing[:40, :50] = True
    np.testing.assert_array_equal(label == 255, nothing)
    # the picture is smaller than the window of 512 pixels: it is what predict gives without --tiles
    small = predictor(np.where(nothing[..., None], 0, image).astype(np.uint8))
    assert (label == small)[~nothing].mean() > 0.995 and len(np.unique(label)) > 2
    certain = predictor.probabilities(np.where(nothing[..., None], 0, image).astype(np.uint8))
    chosen = np.take_along_axis(certain, np.where(nothing, 0, label)[None].astype(np.int64), 0)[0]
    assert (certain.max(0) - chosen)[~nothing].max() < 1e-4  # where they differ, two classes are level
    assert page.is_tiled and page.parent.is_bigtiff and page.compression == 8 and page.photometric.name == "PALETTE"
    np.testing.assert_array_equal(page.colormap.T[: len(predictor.palette)], predictor.palette * np.uint16(257))
    assert json.loads(page.description) == {"classes": predictor.classes}
    for code, _, _, value, _ in PLACE:
        assert tags[code] == (value if not isinstance(value, bytes) else "WGS 84|x") or tags[code] == value[0]
    assert tags[42113] == "255"  # what holds nothing is 255 here
    assert "DAY" in tags[42112] and "MEAN" not in tags[42112]  # of one band, which this one isn't

    overlay, page, tags = read("overlay")
    assert page.photometric.name == "RGB" and tags[33922] == PLACE[1][3] and 42113 not in tags
    np.testing.assert_array_equal(overlay, visual.overlay(image, label, predictor.palette, 0.5))
    sure, page, tags = read("confidence")
    assert sure.dtype == np.uint16 and (sure[nothing] == 0).all() and sure[~nothing].min() > 65535 / 10 - 9
    assert tags[42113] == "0" and tags[34735] == PLACE[2][3]


def test_it_goes_on_where_it_was_stopped(predict, monkeypatch):
    write_map("map.tif")
    options = ["--crop", "128", "--stride", "100", "--save", "label"]
    assert predict("map.tif", *options)[0] == 0
    expected = Path("out/map_label.tif").read_bytes()
    Path("out/map_label.tif").unlink()

    def add(self, cell):
        if len(self) == 17:
            raise KeyboardInterrupt
        kept(self, cell)

    kept = store.Store.add
    with monkeypatch.context() as patch:
        patch.setattr(store.Store, "add", add)
        assert predict("map.tif", *options)[0] == 130
    assert results() == [".map.tif.tiles"]  # nothing that could pass for the whole

    status, _, err = predict("map.tif", *options, "--flip")
    assert status == 1 and "was begun with another flip (false, now true)" in err and "--overwrite to begin" in err
    done = []
    with monkeypatch.context() as patch:
        patch.setattr(store.Store, "add", lambda self, cell: done.append(cell.place) or kept(self, cell))
        assert predict("map.tif", *options)[0] == 0
    assert len(done) == 5 * 6 - 17
    assert Path("out/map_label.tif").read_bytes() == expected and results() == ["map_label.tif"]

    status, _, err = predict("map.tif", *options)
    assert status == 2 and "map_label.tif is there already" in err
    status, out, _ = predict("map.tif", *options, "--skip-existing")
    assert status == 0 and "nothing to do" in out
    status, _, err = predict("map.tif", *options, "--skip-existing", "--flip")
    assert status == 2 and "did not make, or not with these settings" in err
    # another picture of the name
    with monkeypatch.context() as patch:
        patch.setattr(store.Store, "add", add)
        assert predict("map.tif", *options, "--overwrite")[0] == 130
    write_map("map.tif", width=300)
    status, _, err = predict("map.tif", *options, "--overwrite")
    assert status == 0 and read("label")[0].shape == (280, 300), err


def test_a_broken_map_stops_nothing(predict):
    Path("maps").mkdir()
    write_map("maps/map.tif")
    Path("maps/broken.tif").write_bytes(Path("maps/map.tif").read_bytes()[:3000])
    status, out, err = predict("maps", "--save", "label")
    assert status == 1 and "1 prediction in out" in out and "maps/broken.tif: " in err and "1 picture left out" in err
    assert results() == ["map_label.tif"]


@pytest.mark.parametrize(
    "options, message",
    [
        ("--save color", "--tiles writes label, overlay, confidence, not color"),
        ("--base 500", "--base has no effect with --tiles"),
        ("--max-pixels 500", "--max-pixels has no effect with --tiles"),
    ],
)
def test_options_that_do_not_go_with_it(predict, options, message):
    write_map("map.tif")
    status, _, err = predict("map.tif", *options.split())
    assert status == 2 and message in err and not Path("out").exists()


def test_classes_of_an_overlay(predict, trained):
    image = write_map("map.tif")
    predictor = Predictor(str(trained), "cpu")
    present = np.bincount(predictor(image).ravel()).argmax()
    assert predict("map.tif", "--classes", predictor.classes[present], "--opacity", "1")[0] == 0
    label, overlay = read("label")[0], read("overlay")[0]
    chosen = label == present
    assert chosen.any() and (overlay[chosen] == predictor.palette[present]).all()
    np.testing.assert_array_equal(overlay[~chosen], image[~chosen])


@pytest.mark.slow
def test_a_process_that_is_killed_is_gone_on_with(trained):
    """SIGKILL, again and again, until it is through."""
    write_map("map.tif", 1100, 1300)
    argv = [sys.executable, "-m", "mxnetseg", "predict", "map.tif", "--tiles", "--checkpoint", str(trained), *CPU]
    argv += ["--crop", "128", "--save", "label", "confidence", "--quiet"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    subprocess.run([*argv, "--out", "whole"], check=True, env=environment)
    part, size = Path("out/.map.tif.tiles"), 0
    for _ in range(2):
        process = subprocess.Popen([*argv, "--out", "out"], env=environment)
        while process.poll() is None and (not part.exists() or part.stat().st_size < size + 50_000):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        size = part.stat().st_size
        assert results() == [".map.tif.tiles"]
    subprocess.run([*argv, "--out", "out"], check=True, env=environment)
    assert results() == ["map_confidence.tif", "map_label.tif"]
    for name in results():
        assert Path("out", name).read_bytes() == Path("whole", name).read_bytes()


MEASURED = """
import sys
import mxnetseg, mxnet as mx
from mxnet.gluon import nn
from mxnetseg.config.schema import EvalConfig
from mxnetseg.tiles import predict_tiles
from pathlib import Path
from tests.memory import memory

net = nn.HybridSequential()  # looks at 8 x 8 pixels at once, and keeps up with reading and writing
net.add(nn.Conv2D(2, 8, strides=8, in_channels=3))
net.initialize(mx.init.Normal(0.01))
predictor = mxnetseg.Predictor(net, config=EvalConfig(batch_size=4))
predict_tiles(sys.argv[1], {"label": Path("label.tif")}, predictor, {}, progress=False)
print(memory("VmHWM") >> 20)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from Linux")
def test_a_picture_of_900_million_pixels_takes_less_than_a_gigabyte():
    """The process's own peak, from its start to the finished file."""
    side, tile = 30000, 1024
    block = cv2.resize(np.random.RandomState(0).randint(0, 256, (8, 8, 3), np.uint8), (tile, tile))
    content = zlib.compress(block.tobytes(), 1)
    across = -(-side // tile)
    options = dict(shape=(side, side, 3), dtype=np.uint8, tile=(tile, tile), compression="zlib", bigtiff=True)
    tifffile.imwrite("huge.tif", (content for _ in range(across**2)), **options)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    argv = [sys.executable, "-c", MEASURED, "huge.tif"]
    peak = int(subprocess.run(argv, env=environment, stdout=subprocess.PIPE, check=True).stdout.split()[-1])
    assert peak < 1000, f"{peak} MB"
    with tifffile.TiffFile("label.tif") as file:
        page = file.pages[0]
        assert page.shape == (side, side) and file.is_bigtiff and len(page.dataoffsets) == (-(-side // 256)) ** 2
        # the picture repeats itself every 4 cells, and so does the result, but for windows that end elsewhere
        first = page.segments().__next__()[0]
        assert len(np.unique(first)) == 2
