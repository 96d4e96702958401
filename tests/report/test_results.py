"""A report's folder: what is read again, what is damaged, what can't be compared, what is not written over."""

import csv
import io
import json
import random
import shutil

import numpy as np
import pytest
from PIL import Image

from mxnetseg.errors import MXNetSegError
from mxnetseg.report import check_compared, check_report, plots, read_results, write_comparison, write_report
from mxnetseg.report.compare import comparison
from mxnetseg.report.pictures import MOST, Kept, draw, error_map
from mxnetseg.report.plots import Plot, inline
from mxnetseg.report.rates import by_class

from .made import PALETTE, results


@pytest.fixture
def quick(monkeypatch):
    """Without matplotlib's drawing, which takes seconds."""
    monkeypatch.setattr(Plot, "files", lambda self: {"svg": b"<svg></svg>", "png": b""})


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The folder of a report, not to be changed."""
    folder = tmp_path_factory.mktemp("report") / "A"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Plot, "files", lambda self: {"svg": b"<svg></svg>", "png": b""})
        write_report(results(), folder)
    return folder


@pytest.fixture
def report(quick, written, tmp_path):
    return shutil.copytree(written, tmp_path / "A")


def test_saved_results_give_the_same_report_again(report, tmp_path):
    again = read_results(report)
    write_report(again, tmp_path / "B")
    names = sorted(path.relative_to(report) for path in report.rglob("*") if path.is_file())
    assert len(names) == 19
    for name in names:
        if name.suffix != ".npz":  # archives hold times
            assert (report / name).read_bytes() == (tmp_path / "B" / name).read_bytes(), name
    assert again.pictures == results().pictures


def test_tables_hold_the_numbers(report):
    numbers = json.loads((report / "numbers.json").read_bytes())
    rows = list(csv.DictReader(io.StringIO((report / "classes.csv").read_text())))
    assert [row["class"] for row in rows] == ["grass", "path", "pond"]
    for row, expected in zip(rows, numbers["per_class"]):
        assert float(row["iou"]) == expected["iou"]["value"] and float(row["dice_high"]) == expected["dice"]["high"]
    rows = list(csv.DictReader(io.StringIO((report / "images.csv").read_text())))
    assert [float(row["miou"]) for row in rows] == [each["miou"] for each in numbers["images"]]
    rows = list(csv.reader(io.StringIO((report / "confusion.csv").read_text())))
    assert [[int(value) for value in row[1:]] for row in rows[1:]] == numbers["confusion"]


def test_nothing_is_written_over_unless_told(report):
    with pytest.raises(MXNetSegError, match="is there already.*--overwrite"):
        check_report(report)
    check_report(report, overwrite=True)
    (report / "a").write_text("")
    for place in (report / "a", report / "a" / "b"):
        with pytest.raises(MXNetSegError, match="file; name another|is a file"):
            check_report(place)
        with pytest.raises(MXNetSegError, match="file; name another|is a file"):
            check_compared(place)


def test_a_disk_that_gets_full_leaves_the_old_report(report, monkeypatch):
    before = {path: path.read_bytes() for path in report.rglob("*") if path.is_file()}
    other = results(seed=5)

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(MXNetSegError, match="free some space"):
        write_report(other, report)
    assert {path: path.read_bytes() for path in report.rglob("*") if path.is_file()} == before


def spoil(report, name):
    path = report / name
    path.write_bytes(path.read_bytes()[:-200])


def reshape(report, key, change):
    with np.load(report / "arrays.npz") as file:
        arrays = dict(file)
    arrays[key] = change(arrays[key])
    np.savez(report / "arrays.npz", **arrays)


def about(report, **facts):
    path = report / "numbers.json"
    numbers = json.loads(path.read_bytes())
    numbers["about"].update(facts)
    path.write_text(json.dumps(numbers))


@pytest.mark.parametrize("name", ["numbers.json", "arrays.npz", "pictures.npz"])
def test_whatever_is_damaged_is_told_with_the_name_of_the_file(report, name):
    """Or it is no damage that shows; zlib, zipfile, json and NumPy have errors of their own."""
    whole, chance, told = (report / name).read_bytes(), random.Random(0), 0
    for _ in range(60):
        part = bytearray(whole[: chance.choice([len(whole), chance.randrange(len(whole))])])
        for _ in range(min(len(part), 3)):
            part[chance.randrange(len(part))] ^= 1 << chance.randrange(8)
        (report / name).write_bytes(part)
        try:
            read_results(report)
        except MXNetSegError as err:
            told += name in str(err)
    assert told > 30


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda r: spoil(r, "arrays.npz"), "damaged"),
        (lambda r: spoil(r, "pictures.npz"), "damaged"),
        (lambda r: spoil(r, "numbers.json"), "damaged"),
        (lambda r: (r / "numbers.json").write_text("{}"), "numbers.json is damaged.*format"),
        (lambda r: (r / "numbers.json").write_text('{"format": 1, "palette": 3}'), "damaged.*palette is 3"),
        (lambda r: (r / "numbers.json").write_text('{"format": "x"}'), "damaged.*format is x"),
        (lambda r: about(r, network=[3]), "numbers.json is damaged.*about.network is '.3.'"),
        (lambda r: about(r, flops_at=[{}]), "numbers.json is damaged.*about.flops_at"),
        (lambda r: about(r, versions={"created": 3}), "about.versions.created is 3"),
        (lambda r: about(r, seconds=float("inf")), "about.seconds is inf"),
        (lambda r: (r / "numbers.json").write_text('{"format": 99}'), "newer version"),
        (lambda r: (r / "numbers.json").unlink(), "holds no report.*numbers.json is not there"),
        (lambda r: (r / "arrays.npz").unlink(), "arrays.npz can't be read"),
        (lambda r: reshape(r, "counts", lambda a: a[1:]), "damaged.*counts has shape"),
        (lambda r: reshape(r, "bands", lambda a: a - 10**9), "damaged.*no count"),
        (lambda r: reshape(r, "bands", lambda a: a / 2), "arrays.npz is damaged.*bands holds float64"),
        (lambda r: reshape(r, "confusion", lambda a: a.astype(str)), "arrays.npz is damaged"),
        (lambda r: reshape(r, "confusion", lambda a: a + 7), "damaged.*confusion names"),
        (lambda r: reshape(r, "components", lambda a: np.array([{}])), "damaged.*pickle"),
    ],
)
def test_damage_is_told(report, damage, message):
    damage(report)
    with pytest.raises(MXNetSegError, match=message):
        read_results(report)


def change(**facts):
    other = results(pictures=False)
    other.about.update(facts)
    return other


@pytest.mark.parametrize(
    "other, message",
    [
        (change(data="field"), "they differ in their data .garden and field."),
        (change(split="test"), "differ in their split"),
        (change(digest="1" * 64), "differ in the files of their data"),
        (results(classes=("grass", "path", "lake"), pictures=False), "other classes .3 and 3: 'pond' and 'lake'"),
        (results(classes=("grass", "path"), pictures=False), "other classes .3 and 2: more in one of them"),
        (results(names=list("abcdef"), pictures=False), "in another order or by other names"),
        (results(seed=3, pictures=False), "the labels of their images differ"),
    ],
)
def test_other_data_or_classes_are_refused(other, message, tmp_path):
    with pytest.raises(MXNetSegError, match=f"a and .*b can't be compared: .*{message}"):
        write_comparison([(tmp_path / "a", results()), (tmp_path / "b", other)], tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_differences(tmp_path):
    one, other = results(pictures=False), results(pictures=False, worse=0.4)
    other.about["recipe"] = {"optimizer": {"lr": 0.1}}
    found = comparison([(tmp_path / "a", one), (tmp_path / "b", other)])
    before, after = (by_class(each.arrays["counts"].sum(0))["iou"] for each in (one, other))
    for index, row in enumerate(found["per_class"]):
        (change,) = row["differences"]
        assert row["values"] == pytest.approx([before[index], after[index]])
        assert change["value"] == pytest.approx(after[index] - before[index])
        assert change["low"] <= change["value"] <= change["high"] < 0 and change["p"] < 0.2
    assert found["scores"][0]["differences"][0]["value"] == pytest.approx(after.mean() - before.mean())
    (total,) = found["by_image"]
    assert total["worse"] == 6 and total["better"] == total["same"] == 0 and total["p"] < 0.1
    assert found["differs"] == [
        {"name": "recipe", "values": ["", None]},
        {"name": "recipe.optimizer.lr", "values": [None, "0.1"]},
    ]
    equal = comparison([(tmp_path / "a", one), (tmp_path / "b", results(pictures=False))])
    assert {row["differences"][0]["p"] for row in equal["scores"]} == {1.0} and equal["by_image"][0]["same"] == 6


def test_kept_pictures_are_the_worst(monkeypatch):
    monkeypatch.setitem(MOST, "miou", 3)
    monkeypatch.setitem(MOST, "class", 1)
    kept, rng = Kept(), np.random.RandomState(0)
    scores, of_class = rng.permutation(50), rng.permutation(50)
    for number in range(50):
        if kept.wants(number, {"miou": float(scores[number]), "class 4": float(of_class[number])}):
            kept.pictures[number] = (b"",)
    assert set(kept.pictures) == {*np.argsort(-scores)[:3], of_class.argmax()}


def test_pictures_of_an_image():
    """Ignored pixels, right ones, and wrong ones by their confidence."""
    truth = np.array([[255, 0, 0, 0, 0, 0]], np.uint8)
    prediction = np.array([[0, 0, 1, 1, 1, 1]], np.uint8)
    confidence = np.array([[0.95, 0.95, 0.4, 0.5, 0.8, 0.95]], np.float32)
    assert error_map(truth, prediction, confidence).tolist() == [[0, 1, 2, 3, 4, 5]]
    large = [np.kron(each, np.ones((1000, 200))).astype(each.dtype) for each in (truth, prediction, confidence)]
    image = np.full((1000, 1200, 3), (250, 10, 10), np.uint8)
    opened = [Image.open(io.BytesIO(file)) for file in draw(image, *large, PALETTE)]
    assert {picture.size for picture in opened} == {(480, 400)} and opened[0].format == "WEBP"
    assert opened[0].getpixel((100, 100))[0] > 200
    assert [opened[1].convert("RGB").getpixel((x, 9)) for x in (9, 99)] == [(0, 0, 0), PALETTE[0]]


def test_plots_take_the_colours_of_the_page():
    drawn = Plot("some", lambda figure: figure.subplots().plot([1, 2], color=plots.ACCENT, label="<b>"))
    files = drawn.files()
    text = inline(files["svg"], "some plot")
    assert text.startswith("<svg ") and "var(--accent)" in text and plots.ACCENT not in text
    assert 'aria-label="some plot"' in text and "metadata" not in text and files["png"].startswith(b"\x89PNG")
    assert drawn.files()["svg"] == files["svg"]


def test_a_report_compared_with_itself_says_so(report, tmp_path):
    one = read_results(report)
    page = write_comparison([(report, one), (report, one)], tmp_path / "c").read_text(encoding="utf-8")
    assert "No image got better or worse." in page and "There are no pictures" not in page
    bare = results(seed=5, pictures=False)
    bare.arrays["counts"][..., 1] = one.arrays["counts"][..., 1]
    page = write_comparison([(report, one), (report, bare)], tmp_path / "d").read_text(encoding="utf-8")
    assert "There are no pictures of images that got better or worse." in page
