"""`mxnetseg predict` and `eval --mode test` on folders as people have them."""

import errno
import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mxnetseg import saving, visual
from mxnetseg.cli.pictures import find_pictures
from mxnetseg.config.schema import DataConfig
from mxnetseg.data import get_spec
from mxnetseg.engine import checkpoint
from mxnetseg.errors import MXNetSegError

from .conftest import CPU


def touch(*names):
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def names(*sources, out="out", recursive=False):
    return {name: path.as_posix() for name, path in find_pictures(list(sources), Path(out), recursive).items()}


@pytest.fixture
def predict(run, trained):
    """Run `mxnetseg predict`; gives exit status, standard output, standard error."""
    return lambda *argv: run("predict", *argv, "--checkpoint", trained, *CPU, "--quiet")


@pytest.fixture
def photos(streets):
    """A folder with a folder in it, a file that is no picture, and a broken one."""
    pictures = sorted((streets / "images" / "val").glob("*.png"))
    Path("photos/day two").mkdir(parents=True)
    shutil.copy(pictures[0], "photos/a.png")
    cv2.imwrite("photos/a.jpg", cv2.imread(str(pictures[1])))
    shutil.copy(pictures[2], "photos/day two/b.PNG")
    Path("photos/notes.txt").write_text("not a picture")
    Path("photos/broken.png").write_bytes(pictures[0].read_bytes()[:200])
    return Path("photos")


def test_names_of_results_tell_pictures_apart():
    touch("p/a.jpg", "p/a.png", "p/a.jpg.tif", "p/b.jpg", "p/.hidden.jpg", "p/._b.jpg", "p/x.txt", "p/c.d.png")
    touch("p/deep/er/b.jpg", "p/.cache/t.jpg", "p/results/a_label.png")
    flat = {"a.jpg.tif": "p/a.jpg.tif", "a.jpg": "p/a.jpg", "a.png": "p/a.png", "b": "p/b.jpg", "c.d": "p/c.d.png"}
    assert names("p") == flat
    deep = {**flat, "deep/er/b": "p/deep/er/b.jpg"}
    assert names("p", recursive=True, out="p/results") == deep  # results of the last time are no pictures
    assert names("p/b.jpg", "p", "p/b.jpg") == flat  # one that is named twice
    os.symlink("..", "p/deep/back")
    os.symlink("../deep/er", "p/deep/alias")
    assert len(names("p", recursive=True, out="p/results")) == 6
    assert names("p/.hidden.jpg") == {".hidden": "p/.hidden.jpg"}  # who names it wants it


def test_masks_beside_their_images_are_left_out(caplog):
    def put(name, few):
        values = np.random.RandomState(0).randint(0, 3 if few else 256, (40, 50, 3))
        cv2.imwrite(name, (values[..., 0] if few else values).astype(np.uint8))

    for folder, masks, others in (
        ("same", ["a.png", "b.png"], ["a.jpg", "b.jpg", "c.png"]),
        ("suffix", ["a_mask.png"], ["a.png", "b.png"]),
        ("both", ["a_gt.png", "b_gt.png"], ["a_img.png", "b_img.png"]),
        ("series", [], ["frame_1.png", "frame_2.png", "frame_left.png"]),
    ):
        os.mkdir(folder)
        for few, those in ((True, masks), (False, others)):
            for name in those:
                put(f"{folder}/{name}", few)
        assert sorted(Path(p).name for p in names(folder).values()) == sorted(others)
        said = f"{folder}: {len(masks)} mask" in caplog.text
        assert said == bool(masks)
        assert len(names(folder, *[f"{folder}/{mask}" for mask in masks])) == len(masks + others)


@pytest.mark.parametrize(
    "sources, out, message",
    [
        (["nowhere"], "out", "nowhere: no such image"),
        (["p"], "p", "--out p: holds the pictures themselves"),
        (["q"], "out", "q holds no images .*; --recursive takes those"),
        (["p", "q/in"], "out", "p/a.jpg and q/in/a.jpg would be written to the same files"),
    ],
)
def test_what_can_not_be_told_apart_is_refused(sources, out, message):
    touch("p/a.jpg", "q/in/a.jpg")
    with pytest.raises(MXNetSegError, match=message):
        names(*sources, out=out)


def test_folders_are_mirrored_and_a_broken_picture_stops_nothing(predict, photos, monkeypatch):
    status, out, err = predict(photos, "--recursive", "--out", "out", "--save", "label")
    files = {path.relative_to("out").as_posix() for path in Path("out").rglob("*.png")}
    assert files == {"a.jpg_label.png", "a.png_label.png", "day two/b_label.png"}
    assert status == 1 and "3 predictions in out" in out
    assert "1 image left out:" in err and "photos/broken.png: not an image" in err

    times = {path: path.stat().st_mtime_ns for path in Path("out").rglob("*.png")}
    Path("out/a.png_label.png").unlink()
    shutil.copy(photos / "a.png", photos / "broken.png")
    status, out, _ = predict(photos, "--recursive", "--out", "out", "--save", "label")
    assert status == 2  # nothing is overwritten
    status, out, _ = predict(photos, "--recursive", "--out", "out", "--save", "label", "--skip-existing")
    assert status == 0 and "2 predictions in out: *_label.png; 2 were there already" in out
    assert all(path.stat().st_mtime_ns == time for path, time in times.items() if path.name != "a.png_label.png")
    monkeypatch.setattr("mxnetseg.predictor.Predictor.__init__", None)
    status, out, _ = predict(photos, "--recursive", "--out", "out", "--save", "label", "--skip-existing")
    assert status == 0 and "nothing to do: what 4 images would give is in out already" in out


def test_results_of_another_network_are_not_taken_for_ones_own(run, predict, trained, photos):
    picture = photos / "a.png"
    assert predict(picture, "--out", "out")[0] == 0
    line = json.loads(Path("out/predictions.jsonl").read_text())
    assert line["files"] == ["a_label.png", "a_overlay.png"] and line["checkpoint"] == str(trained)
    other = Path("other.params")
    found = checkpoint.read(trained)
    checkpoint.write(other, {name: 1.01 * array for name, array in found.arrays.items()}, found.record)
    again = ["predict", picture, photos / "day two" / "b.PNG", *CPU, "--quiet", "--skip-existing", "--out", "out"]
    for change in (["--checkpoint", other], ["--checkpoint", trained, "--flip"]):
        status, _, err = run(*again, *change)
        assert status == 2 and f"would keep 2 files in out that {change[1]} did not make" in err
        assert f"a_label.png is of {trained}" in err and not Path("out/b_label.png").exists()
    Path("out/predictions.jsonl").write_text("{cut o")
    status, out, _ = run("predict", picture, *again[3:], "--checkpoint", other)
    assert status == 0 and "in out already (2 files of a checkpoint that is not known)" in out


def test_skip_existing_keeps_nothing_that_was_drawn_with_other_options(predict, photos):
    common = (photos / "a.png", "--out", "out", "--skip-existing", "--save")
    assert predict(*common, "label", "overlay", "--opacity", "0.3", "--classes", "road", "car")[0] == 0
    status, _, err = predict(*common, "overlay", "--no-legend")
    assert status == 2 and "made with --opacity 0.3 --classes road car, not with --no-legend" in err
    status, _, err = predict(*common, "overlay", "--opacity", "0.55")
    assert status == 2 and "not with the defaults; name another place, or say --overwrite instead" in err
    status, out, _ = predict(*common, "label", "color", "--classes", "road")  # the label heeds neither
    assert status == 0 and sorted(path.name for path in Path("out").glob("a_*")) == [
        *("a_color.png", "a_label.png", "a_overlay.png")
    ]


def test_what_is_wrong_with_a_picture_is_told_with_its_name(predict, photos, monkeypatch):
    def too_small(*_):
        raise MXNetSegError("the network takes larger ones")

    Image.fromarray(np.array([[5, 900]], np.uint16)).save("deep.png")
    monkeypatch.setattr("mxnetseg.predictor.predict_images", too_small)
    for picture, said in (
        ("deep.png", "its values are uint16, from 5 to 900"),
        (photos / "a.png", "the network takes"),
    ):
        status, _, err = predict(picture, "--out", "out", "--save", "label")
        assert status == 1 and f"\n  {picture}: {said}" in err


def test_a_folder_is_no_checkpoint(run, trained, photos):
    status, _, err = run("predict", photos / "a.png", "--checkpoint", trained.parent)
    assert status == 2 and f"--checkpoint {trained.parent}: is a folder; name one of {trained}" in err
    status, _, err = run("predict", photos / "a.png", "--checkpoint", photos)
    assert status == 2 and f"--checkpoint {photos}: is a folder; no checkpoint (.params, .optimized) is in it" in err


def test_new_forms_from_the_command_line(predict, photos):
    picture = photos / "a.png"
    forms = ["label", "probabilities", "confidence", "polygons", "cutout"]
    status, out, err = predict(picture, "--out", "out", "--save", *forms, "--save", "rle", "--classes", "road", "car")
    assert status == 0 and "*_probabilities.npz, *_confidence.png, *_polygons.geojson, *_cutout.png, *_rle.json" in out
    label = np.asarray(Image.open("out/a_label.png"))
    classes = get_spec(DataConfig(name="streets")).classes
    with np.load("out/a_probabilities.npz") as file:
        assert file["classes"].tolist() == ["road", "car"] and file["probabilities"].shape == (2, *label.shape)
    alpha = np.asarray(Image.open("out/a_cutout.png"))[..., 3]
    np.testing.assert_array_equal(alpha > 0, np.isin(label, [classes.index("road"), classes.index("car")]))
    status, _, err = predict(picture, "--out", "out", "--labels-as", "dataset", "--save", "label", "--overwrite")
    assert status == 2 and "--labels-as dataset: streets has no ids besides its class indices" in err
    status, _, err = predict(picture, "--out", "lab", "--save", "polygons", "--polygons", "labelme")
    assert status == 0 and json.loads(Path("lab/a_polygons.json").read_text())["imagePath"] == "../photos/a.png"


def test_drawing_options(predict, photos):
    image = np.asarray(Image.open(photos / "a.png"))
    common = (photos / "a.png", "--save", "label", "color", "overlay", "panel")
    status, _, err = predict(*common, "--out", "x", "--no-legend", "--opacity", "1")
    assert status == 0, err
    label, color, overlay, panel = (np.asarray(Image.open(f"x/a_{kind}.png")) for kind in common[2:])
    assert overlay.shape == color.shape == image.shape
    np.testing.assert_array_equal(overlay, color)  # opacity 1
    present = sorted(set(label.ravel()))
    assert len(present) > 1

    streets = get_spec(DataConfig(name="streets"))
    chosen = streets.classes[present[0]]
    status, _, err = predict(*common, "--out", "y", "--opacity", "0.5", "--classes", chosen.upper())
    assert status == 0, err
    np.testing.assert_array_equal(np.asarray(Image.open("y/a_label.png")), label)  # which stay as they are
    drawn, colours = np.asarray(Image.open("y/a_overlay.png")), np.asarray(Image.open("y/a_color.png"))
    here = label == present[0]
    np.testing.assert_array_equal(drawn[: len(image)][~here], image[~here])
    assert (colours[~here] == 0).all() and (colours[here] == streets.palette[present[0]]).all()
    legend = visual.legend([chosen], [streets.palette[present[0]]], image.shape[1])
    np.testing.assert_array_equal(drawn[len(image) :], legend)
    assert np.asarray(Image.open("y/a_panel.png")).shape[0] > panel.shape[0]

    status, _, err = predict(*common, "--out", "z", "--classes", "raod", chosen, "tere")
    assert status == 2 and "unknown class 'raod'; did you mean road" in err
    assert "unknown class 'tere'; did you mean tree" in err  # every one is named
    status, _, err = predict(*common, "--out", "z", "--opacity", "1.5")
    assert status == 2 and "--opacity 1.5" in err and not Path("z").exists()


def test_what_is_no_file_stops_nothing(predict, photos):
    os.symlink("nowhere.png", photos / "link.png")
    os.symlink("circle.png", photos / "circle.png")
    os.mkfifo(photos / "pipe.png")
    status, out, err = predict(photos, "--out", "out", "--save", "label")
    assert status == 1 and out.startswith("2 predictions") and "4 images left out" in err
    files = ", ".join(f"photos/{name}.png" for name in ("circle", "link", "pipe"))
    assert f"  is no file, nor a link to one (3 files: {files})\n" in err
    status, _, err = predict(photos / "link.png", "--out", "out")
    assert status == 2 and "link.png: no such image" in err


@pytest.mark.parametrize(
    "options, message",
    [
        ("label --opacity 0", "--opacity has no effect without --save overlay or panel"),
        ("color --no-legend", "--no-legend has no effect without --save overlay or panel"),
        ("label --classes road", "--classes has no effect without --save color or overlay or panel or cutout or"),
        ("overlay --labels-as index", "--labels-as has no effect without --save label;"),
        ("rle --polygons coco", "--polygons has no effect without --save polygons;"),
        ("polygons --tolerance 101", "--tolerance 101: 0 to 100 pixels"),
        ("cutout", "name them, --classes road car"),
    ],
)
def test_an_option_without_effect_is_refused(predict, photos, options, message):
    status, _, err = predict(photos, "--out", "out", "--save", *options.split())
    assert status == 2 and message in err and not Path("out").exists()


@pytest.mark.parametrize("place", ["a file", "a folder", "full"])
def test_what_can_not_be_written_is_told_before_the_work(predict, photos, monkeypatch, place):
    if place == "a file":
        Path("out").touch()
    elif place == "a folder":
        Path("out/a_label.png").mkdir(parents=True)
    else:

        def full(dir):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(saving.tempfile, "TemporaryFile", full)
    monkeypatch.setattr("mxnetseg.engine.checkpoint.read", None)
    status, _, err = predict(photos / "a.png", "--out", "out", "--save", "label", "--overwrite")
    said = {"a file": "a part of its path is a file", "a folder": "a folder is in its place", "full": "free some space"}
    assert status == 2 and "out/a_label.png can't be written" in err and said[place] in err


def test_predictions_of_a_split_go_on(run, trained, streets):
    shutil.copytree(streets / "images" / "val", "data/images/test")
    broken = Path("data/images/test/0001.png")
    broken.write_bytes(broken.read_bytes()[:99])

    argv = ["eval", "--checkpoint", trained, "--root", "data", "--mode", "test", *CPU, "--quiet"]
    for workers in ("0", "1"):
        status, out, err = run(*argv, "--out", workers, "--workers", workers)
        assert status == 1 and f"3 predictions in {workers}" in out
        assert "1 image left out:" in err and "data/images/test/0001.png: not an image" in err
        assert sorted(p.name for p in Path(workers, "label").iterdir()) == ["0000.png", "0002.png", "0003.png"]
    shutil.copy(streets / "images" / "val" / "0001.png", broken)
    status, out, _ = run(*argv, "--out", "0", "--skip-existing", "--workers", "0")
    assert status == 0 and "1 prediction in 0: color/ and label/; 3 were there already" in out
    status, _, err = run(*argv, "--out", "0", "--skip-existing", "--workers", "0", "--flip")
    assert status == 2 and "--skip-existing would keep 8 files in 0 that" in err
    status, _, err = run(*argv, "--skip-existing")
    assert status == 2 and "--skip-existing goes on with predictions in --out DIR" in err
