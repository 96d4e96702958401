"""The demos: pictures, videos, the notebook, and what they say to bad input."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import mxnet as mx
import numpy as np
import pytest
from PIL import Image

import mxnetseg
from mxnetseg import video, visual
from mxnetseg.cli import demos, run_script
from mxnetseg.engine import checkpoint
from mxnetseg.engine.record import Feeding, NetworkSpec, Record
from mxnetseg.errors import MXNetSegError

ROOT = Path(__file__).resolve().parents[2]
CAMVID = ROOT / "configs/camvid/swiftnet_efficientnet_lite0.yaml"
RECIPE = """
model: {name: bisenet, backbone: mobilenet_v2_0_25, options: {width: 16, spatial_width: 8}}
data: {name: streets}
eval: {flip: true}
"""


def script(name):
    """demo/<name>.py as a module, so that MXNet is imported once for all tests."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "demo" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


IMAGE, VIDEO = script("image_demo"), script("video_demo")


@pytest.fixture
def run(capsys):
    """Run a demo; gives exit status, standard output, standard error."""

    def call(module, *argv):
        status = run_script("demo", "", module.add_arguments, module.run, [str(a) for a in [*argv, "--ctx", "cpu"]])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


@pytest.fixture
def small(tmp_path):
    """A recipe, and its untrained network as .params without a record."""
    np.random.seed(0)
    recipe = tmp_path / "small.yaml"
    recipe.write_text(RECIPE, encoding="utf-8")
    net = mxnetseg.create_model(config=str(recipe))
    net.initialize(mx.init.Xavier(magnitude=4))
    net.save_parameters(str(tmp_path / "bare.params"))
    return recipe, tmp_path / "bare.params", net


@pytest.fixture
def clip(tmp_path):
    """Seven frames of 64x96 at 10 a second."""
    image = cv2.resize(np.asarray(Image.open(demos.sample_image())), (120, 80))
    path = tmp_path / "clip.mp4"
    with video.VideoWriter(path, 10) as writer:
        for frame in video.pan(image, 7, 0.8):
            writer.write(frame)
    return path


def frames(path):
    capture = cv2.VideoCapture(str(path))
    found = []
    while True:
        done, frame = capture.read()
        if not done:
            return found, capture.get(cv2.CAP_PROP_FPS)
        found.append(frame[:, :, ::-1])


def pixels(picture, colour, within=0):
    return (np.abs(picture.astype(int) - colour).max(axis=2) <= within).sum()


def refused(result, *words):
    """Status 2 and one line that has all the words; the line."""
    status, out, err = result
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert status == 2 and out == "" and len(lines) == 1, (status, out, err)
    for word in words:
        assert str(word) in lines[0]
    return lines[0]


def test_the_image_demo_needs_nothing(tmp_path):
    """As a shell calls it, from any folder; the sample picture and the committed network."""
    command = [sys.executable, str(ROOT / "demo/image_demo.py"), "--out-file", "pred.png", "--ctx", "cpu"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0 and "street.png: image, class map and overlay in pred.png" in done.stdout, done.stderr
    picture = np.asarray(Image.open("pred.png"))
    # 24 rows of captions, then image, class map and overlay with 6 white columns between them, then the legend
    assert picture.shape[1] == 3 * 480 + 2 * 6 and picture.shape[0] > 24 + 360 + 20
    np.testing.assert_array_equal(picture[24:384, :480], np.asarray(Image.open(demos.sample_image())))
    predictor = mxnetseg.Predictor(demos.camvid_checkpoint(), mx.cpu())
    palette = predictor.palette
    class_map, overlay, legend = picture[24:384, 486:966], picture[24:384, 972:], picture[384:]
    for colour in palette:
        assert pixels(legend, colour) >= 50
    counts = [pixels(class_map, colour) for colour in palette]
    assert sum(counts) == 360 * 480 and counts[3] > 30_000 and counts[5] > 10_000  # road, tree
    np.testing.assert_array_equal(class_map, palette[predictor(demos.sample_image())])  # every pixel
    expected = visual.OPACITY * class_map + (1 - visual.OPACITY) * picture[24:384, :480]
    assert np.abs(overlay - expected).max() <= 0.5 + 1e-4
    assert os.listdir() == ["pred.png"]


def test_the_sample_picture_and_its_checkpoint():
    assert demos.sample_image().stat().st_size < 300_000
    assert Image.open(demos.sample_image()).size == (480, 360)
    assert checkpoint.read(demos.camvid_checkpoint()).record.feeding.name == "camvid"


def test_a_checkout_without_its_network(tmp_path, monkeypatch):
    monkeypatch.setattr(demos, "shipped", lambda name: tmp_path / name)
    with pytest.raises(MXNetSegError, match="is not there; name CHECKPOINT"):
        demos.camvid_checkpoint()


def test_the_usual_opacity():
    assert demos.OPACITY == visual.OPACITY


def test_positionals_that_are_left_out():
    assert demos.sort_positionals(None, None, None) == (None, None, None)
    assert demos.sort_positionals("a.jpg", "-", "b.params") == ("a.jpg", None, "b.params")
    assert demos.sort_positionals("-", "b.PARAMS", None) == (None, None, "b.PARAMS")
    assert demos.sort_positionals("a.jpg", "c.yaml", None) == ("a.jpg", "c.yaml", None)


def test_a_recipe_tells_what_a_bare_checkpoint_does_not(run, small):
    recipe, bare, net = small
    sample = demos.sample_image()
    # options between and before the positionals
    status, out, err = run(IMAGE, "--opacity", "1", sample, "--out-file", "a.png", recipe, bare)
    assert status == 0 and "a.png" in out, err
    predictor = demos.open_predictor(str(recipe), str(bare), "cpu")
    assert predictor.classes[5] == "lane mark" and predictor.config.flip
    picture = np.asarray(Image.open("a.png"))
    np.testing.assert_array_equal(
        picture[24:384, 486:966], visual.colorize(predictor(np.asarray(Image.open(sample))), predictor.palette)
    )
    np.testing.assert_array_equal(picture[24:384, 486:966], picture[24:384, 972:])  # opacity 1
    refused(run(IMAGE, sample, "-", bare, "--out-file", "b.png"), "bare.params: has no record", "as CONFIG")
    message = refused(run(IMAGE, sample, recipe, "-", "--out-file", "b.png"), "model.name is bisenet", "holds swiftnet")
    assert message.endswith("the checkpoint's own record") and not Path("b.png").exists()
    refused(run(IMAGE, sample, CAMVID, bare, "--out-file", "b.png"), "does not fit")
    assert demos.open_predictor(str(CAMVID), None, "cpu").classes[0] == "sky"


def test_bad_input_to_the_image_demo(run, tmp_path):
    Path("taken.png").write_bytes(b"mine")
    Path("no.jpg").write_bytes(b"nonsense")
    refused(run(IMAGE, "--out-file", "taken.png"), "--out-file taken.png is there already", "--overwrite")
    assert Path("taken.png").read_bytes() == b"mine"
    refused(run(IMAGE, "--out-file", "a.jpg"), "must end in .png")
    refused(
        run(IMAGE, "--out-file", "taken.png/a.png"), "taken.png/a.png can't be written", "a part of its path is a file"
    )
    refused(run(IMAGE, "--opacity", "1.5"), "--opacity 1.5", "0 ", "1 ")
    refused(run(IMAGE, "no.jpg"), "no.jpg: not an image")
    refused(run(IMAGE, "nothere.jpg"), "nothere.jpg: can't be read")
    refused(run(IMAGE, "-", "-", "nothere.params"), "CHECKPOINT nothere.params: no such file")
    refused(run(IMAGE, "-", "nothere.yaml"), "no recipe nothere.yaml")
    assert sorted(os.listdir()) == ["no.jpg", "taken.png"]
    assert run(IMAGE, "--out-file", "taken.png", "--overwrite")[0] == 0
    assert Image.open("taken.png").size[0] == 1452


@pytest.fixture
def converter(monkeypatch, small):
    """Stands in for the converter; gives the list of its calls."""
    from mxnetseg import conversion

    _, _, net = small
    calls = []

    def convert_checkpoint(config, source, target, ema=False):
        calls.append((config, source))
        if "broken" in source:
            raise MXNetSegError(f"{source}: damaged")
        record = Record(model=NetworkSpec(**net.spec), feeding=Feeding(classes=list("abcdefghij")))
        checkpoint.write(target, checkpoint.weights(net), record)
        return Path(target)

    monkeypatch.setattr(conversion, "convert_checkpoint", convert_checkpoint)
    return calls


def test_pytorch_files_are_converted_once(run, small, converter):
    recipe, _, _ = small
    Path("net.pth.tar").write_bytes(b"x")
    status, _, err = run(IMAGE, "-", recipe, "net.pth.tar", "--out-file", "a.png")
    assert status == 0 and "net.pth.tar converted to weights/converted/net.params" in err
    status, _, err = run(IMAGE, "-", recipe, "net.pth.tar", "--out-file", "b.png")
    assert status == 0 and "converted already: weights/converted/net.params" in err
    assert converter == [(str(recipe), "net.pth.tar")]
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()
    Path("net.pth.tar").write_bytes(b"another")  # changed
    Path("other").mkdir()
    Path("other/net.pt").write_bytes(b"x")  # of the same name
    assert run(IMAGE, "-", recipe, "net.pth.tar", "--out-file", "c.png")[0] == 0
    assert run(IMAGE, "-", recipe, "other/net.pt", "--out-file", "d.png")[0] == 0
    assert len(converter) == 3


def test_pytorch_files_that_cannot_be_converted(run, small, converter):
    recipe, bare, _ = small
    for name in ("net.pth", "broken.pth"):
        Path(name).write_bytes(b"x")
    refused(run(IMAGE, "-", "net.pth"), "net.pth: a PyTorch file does not tell its network", "as CONFIG")
    refused(run(IMAGE, "-", recipe, "broken.pth"), "broken.pth: damaged")
    refused(run(IMAGE, "-", recipe, "nothere.pth"), "CHECKPOINT nothere.pth: no such file")
    assert not list(Path("weights/converted").iterdir())
    shutil.copy(bare, "weights/converted/net.params")  # somebody else's
    refused(run(IMAGE, "-", recipe, "net.pth"), "weights/converted/net.params: is in the way", "move it")
    assert Path("weights/converted/net.params").read_bytes() == bare.read_bytes()


def test_videos(run, clip):
    status, out, err = run(VIDEO, clip, "--out-file", "o/out.mp4", "--quiet")
    assert status == 0 and f"{clip}: 7 frames, side-by-side in o/out.mp4" in out, err
    written, rate = frames("o/out.mp4")
    assert len(written) == 7 and rate == 10
    originals, _ = frames(clip)
    predictor = demos.open_predictor(ctx="cpu")
    # 64x96 is enlarged to 240x360; the codec loses a little
    expected = visual.pair(originals[3], predictor(originals[3]), predictor.classes, predictor.palette)
    assert written[3].shape == expected.shape and expected.shape[1] == 2 * 360 + 4
    assert np.abs(written[3].astype(int) - expected).mean() < 6
    for colour in predictor.palette:
        assert pixels(written[3][240:], colour, within=45) >= 40
    assert os.listdir("o") == ["out.mp4"]


def test_every_and_size(run, clip):
    status, out, _ = run(VIDEO, clip, "--out-file", "a.mp4", "--every", "3", "--width", "301", "--quiet")
    assert status == 0 and "3 frames" in out
    written, rate = frames("a.mp4")
    assert len(written) == 3 and abs(rate - 10 / 3) < 0.01 and written[0].shape[1] == 300
    status, _, _ = run(VIDEO, clip, "--out-file", "b.mp4", "--height", "100", "--width", "200", "--every", "7")
    assert status == 0 and frames("b.mp4")[0][0].shape == (100, 200, 3)
    assert video.scaled_size((100, 201), None, None) == (100, 201)
    assert video.scaled_size((100, 200), 50, None) == (50, 100)


def test_a_clip_is_drawn_where_none_is_named(run, monkeypatch):
    monkeypatch.setattr(VIDEO, "CLIP_FRAMES", 3)
    assert run(VIDEO, "--quiet")[0] == 0
    source, result = sorted(Path("runs").glob("video_demo_*/*.mp4"))
    assert (source.name, result.name) == ("street.mp4", "street_side-by-side.mp4")
    assert len(frames(source)[0]) == len(frames(result)[0]) == 3
    assert frames(source)[0][0].shape == (324, 432, 3)


def test_bad_videos(run, clip, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    Path("empty.mp4").touch()
    Path("nonsense.mp4").write_bytes(b"nonsense" * 100)
    Path("cut.mp4").write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    out = ["--out-file", "o.mp4", "--quiet"]
    refused(run(VIDEO, "nothere.mp4", *out), "nothere.mp4: no such file")
    refused(run(VIDEO, "empty.mp4", *out), "empty.mp4: the file is empty")
    for name in ("nonsense.mp4", "cut.mp4"):
        refused(run(VIDEO, name, *out), f"{name}: no frame of it can be read", "ffmpeg")
    refused(run(VIDEO, clip, *out, "--every", "0"), "--every 0")
    refused(run(VIDEO, clip, *out, "--height", "-4"), "--height -4")
    refused(run(VIDEO, clip, *out, "--show"), "--show: there is no display")
    refused(run(VIDEO, clip, "--out-file", "o.avi"), "must end in .mp4")
    refused(run(VIDEO, clip, "--out-file", clip), "is there already")
    refused(run(VIDEO, clip, "--out-file", clip, "--overwrite"), "is the video itself")
    assert sorted(p.name for p in Path().glob("*.mp4")) == ["clip.mp4", "cut.mp4", "empty.mp4", "nonsense.mp4"]


def test_a_video_that_ends_early_is_told(run, clip, monkeypatch):
    reading = video.VideoReader._next
    monkeypatch.setattr(video.VideoReader, "_next", lambda self: reading(self) if self.read < 3 else None)
    status, out, err = run(VIDEO, clip, "--out-file", "o.mp4", "--quiet")
    assert status == 0 and "3 frames" in out and "warning" in err and "3 of 7 frames could be read" in err


@pytest.mark.parametrize("error", [MXNetSegError("stop"), KeyboardInterrupt(), RuntimeError("stop")])
def test_nothing_half_written_is_left(run, clip, monkeypatch, error):
    done = []

    def fail(*args, **kwargs):
        done.append(1)
        if len(done) > 2:
            raise error
        return pair(*args, **kwargs)

    pair = visual.pair
    monkeypatch.setattr(visual, "pair", fail)
    Path("o").mkdir()
    Path("o/out.mp4").write_bytes(b"earlier")
    arguments = [VIDEO, clip, "--out-file", "o/out.mp4", "--overwrite", "--quiet"]
    if isinstance(error, RuntimeError):
        with pytest.raises(RuntimeError):
            run(*arguments)
    else:
        assert run(*arguments)[0] in (2, 130)
    assert os.listdir("o") == ["out.mp4"] and Path("o/out.mp4").read_bytes() == b"earlier"


def test_show(run, clip, monkeypatch):
    """Each picture is shown; q ends it, and with --out-file what was shown is kept."""
    shown = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(cv2, "imshow", lambda title, picture: shown.append(picture))
    monkeypatch.setattr(cv2, "waitKey", lambda _: ord("q") if len(shown) == 2 else -1)
    status, out, _ = run(VIDEO, clip, "--show", "--quiet")
    assert status == 0 and "2 frames shown" in out and len(shown) == 2 and not Path("runs").exists()
    shown.clear()
    status, _, err = run(VIDEO, clip, "--show", "--quiet", "--out-file", "o.mp4")
    assert status == 0 and len(frames("o.mp4")[0]) == 2 and "warning" not in err


@pytest.mark.slow
def test_the_notebook_runs_from_top_to_bottom(tmp_path, monkeypatch):
    """In a copy of demo/, with the checkout around it, from its own folder and without PYTHONPATH."""
    nbclient = pytest.importorskip("nbclient")
    import nbformat

    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    for name in ("mxnetseg", "weights", "configs"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "demo", tmp_path / "demo")
    notebook = nbformat.read(str(tmp_path / "demo/inference_demo.ipynb"), 4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)  # committed without outputs
    before = sorted(tmp_path.glob("demo/**/*"))
    client = nbclient.NotebookClient(
        notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": str(tmp_path / "demo")}}
    )
    client.execute()
    outputs = [output for cell in code for output in cell.outputs]
    text = "".join(output.text for output in outputs if output.output_type == "stream")
    assert "efficientnet_lite0" in text and "(360, 480) uint8" in text and "(1, 11, 96, 128)" in text
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 4
    assert sorted(tmp_path.glob("demo/**/*")) == before


def test_the_notebook_names_no_place_of_its_author():
    text = (ROOT / "demo/inference_demo.ipynb").read_text(encoding="utf-8")
    metadata = json.loads(text)["metadata"]
    assert metadata["kernelspec"]["name"] == "python3" and "/home/" not in text and "/root/" not in text
