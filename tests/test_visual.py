"""Pictures: colours, overlays, legends, panels, curves, files."""

import os

import numpy as np
import pytest
from PIL import Image

from mxnetseg import visual

PALETTE = np.array([(255, 0, 0), (0, 255, 0), (0, 0, 255)], np.uint8)
CLASSES = ["red thing", "green thing", "blue thing"]
MAP = np.array([[0, 1], [2, 255]], np.uint8)


def image(height=40, width=60):
    return np.random.RandomState(0).randint(0, 256, (height, width, 3)).astype(np.uint8)


def test_colorize():
    np.testing.assert_array_equal(visual.colorize(MAP, PALETTE), [[(255, 0, 0), (0, 255, 0)], [(0, 0, 255), (0, 0, 0)]])


def test_overlay_leaves_what_is_no_class():
    picture = np.full((2, 2, 3), 100, np.uint8)
    out = visual.overlay(picture, MAP, PALETTE, alpha=0.5)
    np.testing.assert_array_equal(out[0, 0], np.rint([177.5, 50, 50]))
    np.testing.assert_array_equal(out[1, 1], [100, 100, 100])


@pytest.mark.parametrize("width", [60, 200, 900])
def test_a_legend_has_every_colour_and_fits(width):
    out = visual.legend(CLASSES, PALETTE, width)
    assert out.shape[1] == width and out.dtype == np.uint8
    for colour in PALETTE:
        assert (out == colour).all(axis=2).sum() >= 50
    assert out.shape[0] >= (3 if width == 60 else 1) * 20


def test_panels():
    prediction = np.zeros((40, 60), np.uint8)
    with_truth = visual.panel(image(), prediction, prediction, CLASSES, PALETTE)
    without = visual.panel(image(), None, prediction, CLASSES, PALETTE)
    assert with_truth.shape[1] > without.shape[1] and with_truth.dtype == np.uint8
    tall = visual.panel(image(400, 600), None, np.zeros((400, 600), np.uint8), CLASSES, PALETTE)
    assert 3 * 600 <= tall.shape[1] <= 3 * 600 + 40
    assert visual.with_legend(image(), CLASSES, PALETTE).shape[1] == 60


def test_pairs_for_videos_have_even_sides():
    for height, width in ((241, 301), (40, 60), (480, 640)):
        out = visual.pair(image(height, width), np.ones((height, width), np.uint8), CLASSES, PALETTE, alpha=0)
        assert out.shape[0] % 2 == out.shape[1] % 2 == 0 and out.shape[0] >= 240 + 20
    np.testing.assert_array_equal(out[:480, :640], image(480, 640))
    assert (out[:480, 644 : 644 + 640] == PALETTE[1]).all()


def test_png_files_are_rgb_and_whole_or_not_there(tmp_path, monkeypatch):
    path = tmp_path / "a" / "b.png"
    visual.save_png(path, image())
    np.testing.assert_array_equal(np.asarray(Image.open(path)), image())
    visual.save_png(path, MAP)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), MAP)
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("no")))
    with pytest.raises(OSError):
        visual.save_png(path, image())
    np.testing.assert_array_equal(np.asarray(Image.open(path)), MAP)
    for shape, kind in (((2, 2, 5), "uint8"), ((4,), "uint8"), ((2, 2, 3), "uint16"), ((2, 2), "int32")):
        with pytest.raises(ValueError, match="is needed"):
            visual.save_png(path, np.zeros(shape, kind))


def test_curves_are_drawn(tmp_path):
    lines = ["iteration,epoch,lr,loss,seconds,val_pa,val_macc,val_miou"]
    lines += [f"{i},{i / 10},{0.1 / i},{1 / i},{i},,," for i in range(1, 30)] + ["30,,,,31,0.9,0.8,0.7"]
    (tmp_path / "metrics.csv").write_text("\n".join(lines) + "\n")
    visual.plot_curves(tmp_path / "metrics.csv", tmp_path / "curves.png")
    pixels = np.asarray(Image.open(tmp_path / "curves.png").convert("RGB"))
    assert pixels.shape[1] > 800 and len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50
    assert sorted(os.listdir(tmp_path)) == ["curves.png", "metrics.csv"]


def test_curves_end_where_the_file_is_damaged(tmp_path):
    (tmp_path / "metrics.csv").write_text("iteration,loss\n1,0.5\n" + 200_000 * "x" + "\n3,0.1\n")
    assert visual._rows(tmp_path / "metrics.csv") == [{"iteration": "1", "loss": "0.5"}]


def test_curves_of_several_runs_name_all_of_them(tmp_path):
    pytest.importorskip("matplotlib")
    (tmp_path / "metrics.csv").write_text("iteration,loss,val_miou\n1,2.0,0.5\n")
    names = ["_old", r"$a_\foo{$", "line\nbreak"]  # matplotlib leaves out the first, and takes the second for a formula
    visual.plot_runs(dict.fromkeys(names, tmp_path / "metrics.csv"), tmp_path / "runs.svg")
    svg = (tmp_path / "runs.svg").read_text(encoding="utf-8")
    assert all(f"<!-- {name} -->" in svg for name in ("./_old", r"$a_\foo{$", "line?break"))
