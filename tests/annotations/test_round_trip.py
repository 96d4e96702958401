"""Labels that are exported and converted back are the labels."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mxnetseg.annotations.convert import convert
from mxnetseg.annotations.export import export, labels_of, predictions_in
from mxnetseg.annotations.names import Wishes
from mxnetseg.config import DataConfig
from mxnetseg.data import open_dataset
from mxnetseg.data.masks import read_mask
from mxnetseg.errors import MXNetSegError

CAMVID = Path(__file__).resolve().parents[3] / "shared" / "data" / "camvid"
WAYS = [("coco", False), ("coco", True), ("labelme", False)]


def there_and_back(dataset, folder, kind, polygons, **options):
    """A list of (label, label that came back) for a split."""
    images = dataset.image_paths[0].parent
    out = folder / f"{kind}{polygons}"
    spec = dataset.spec
    export(kind, labels_of(dataset), spec.classes, spec.palette, out, polygons=polygons, progress=False, **options)
    wishes = Wishes(classes=spec.classes, rest="ignore")
    report = convert(kind, out, folder / "back", images=images, wishes=wishes, progress=False, **options)
    assert report["images"] == len(dataset) and not report["hidden"]
    names = [path.stem for path in dataset.image_paths]
    return [(dataset.label(i), read_mask(folder / f"back/masks/{name}.png")) for i, name in enumerate(names)]


@pytest.fixture(scope="module")
def drawn(streets):
    return open_dataset(DataConfig(name="streets", root=str(streets)), "val")


@pytest.mark.parametrize("kind, polygons", WAYS)
def test_drawn_scenes(drawn, tmp_path, kind, polygons):
    if kind == "coco":
        pytest.importorskip("pycocotools")
    pairs = there_and_back(drawn, tmp_path, kind, polygons)
    assert all((label == back).all() for label, back in pairs)
    assert len(np.unique([label for label, _ in pairs])) == 11  # all classes, and what is ignored


@pytest.mark.slow
@pytest.mark.skipif(not CAMVID.is_dir(), reason="CamVid is not there")
@pytest.mark.parametrize("kind, polygons", WAYS)
def test_camvid(tmp_path, kind, polygons):
    if kind == "coco":
        pytest.importorskip("pycocotools")
    for split in ("train", "val"):
        dataset = open_dataset(DataConfig(name="camvid", root=str(CAMVID)), split)
        for label, back in there_and_back(dataset, tmp_path / split, kind, polygons, workers=2):
            assert (label == back).all()  # so every class has IoU 1


def test_simpler_polygons_stay_close(drawn, tmp_path):
    spec = drawn.spec
    sizes = []
    for tolerance in (0.0, 1.0):
        out = tmp_path / str(tolerance)
        export("labelme", labels_of(drawn), spec.classes, spec.palette, out, tolerance=tolerance, progress=False)
        sizes.append(sum(path.stat().st_size for path in out.rglob("*.json")))
    images = drawn.image_paths[0].parent
    convert("labelme", out, tmp_path / "back", images=images, wishes=Wishes(spec.classes), progress=False)
    backs = [read_mask(tmp_path / f"back/masks/{name}.png") for name in drawn.names]
    pairs = np.stack([[drawn.label(i) for i in range(len(drawn))], backs])
    assert sizes[1] < 0.8 * sizes[0] and (pairs[0] == pairs[1]).mean() > 0.97


def test_geojson_has_rings_as_the_format_wants_them(drawn, tmp_path):
    spec = drawn.spec
    count = export("geojson", labels_of(drawn), spec.classes, spec.palette, tmp_path / "out", progress=False)
    features = [
        feature
        for path in (tmp_path / "out").rglob("*.geojson")
        for feature in json.loads(path.read_text())["features"]
    ]
    assert len(features) == count > 40
    assert {f["properties"]["classification"]["name"] for f in features} == set(spec.classes)
    areas = dict.fromkeys(spec.classes, 0.0)
    holes = 0
    for feature in features:
        for number, ring in enumerate(feature["geometry"]["coordinates"]):
            assert ring[0] == ring[-1] and len(ring) >= 5
            x, y = np.array(ring, np.float64).T
            area = (x[:-1] * y[1:] - x[1:] * y[:-1]).sum() / 2
            assert (area > 0) == (number == 0)
            areas[feature["properties"]["classification"]["name"]] += area
            holes += number > 0
    labels = np.stack([drawn.label(i) for i in range(len(drawn))])
    assert holes and list(areas.values()) == [(labels == index).sum() for index in range(len(spec.classes))]


def test_predictions(drawn, tmp_path):
    classes, palette = drawn.spec.classes, drawn.spec.palette
    for name in drawn.names:
        Image.fromarray(np.full((64, 96), 3, np.uint8)).save(tmp_path / f"{name}_label.png")
        Image.fromarray(np.zeros((64, 96, 3), np.uint8)).save(tmp_path / f"{name}_overlay.png")
    images = drawn.image_paths[0].parent
    read, entries = predictions_in(tmp_path, images, classes)
    assert [entry.name for entry in entries] == drawn.names
    assert export("labelme", (read, entries), classes, palette, tmp_path / "out", progress=False) == len(drawn)
    content = json.loads((tmp_path / f"out/{drawn.names[0]}.json").read_text())
    assert content["shapes"][0]["label"] == classes[3]
    assert (tmp_path / "out" / content["imagePath"]).resolve() == drawn.image_paths[0].resolve()
    with pytest.raises(MXNetSegError, match="is there already"):
        export("labelme", (read, entries), classes, palette, tmp_path / "out", progress=False)
    Image.fromarray(np.full((64, 96), 10, np.uint8)).save(tmp_path / f"{drawn.names[1]}_label.png")
    with pytest.raises(MXNetSegError, match=r"values 10 are none of the 10 classes"):
        export("labelme", (read, entries), classes, palette, tmp_path / "bad", progress=False)
    assert not list(tmp_path.glob("*bad*"))
    Image.fromarray(np.zeros((64, 90), np.uint8)).save(tmp_path / f"{drawn.names[1]}_label.png")
    with pytest.raises(MXNetSegError, match="90x64, but its image"):
        export("labelme", (read, entries), classes, palette, tmp_path / "bad", progress=False)
    Image.fromarray(np.zeros((64, 90), np.uint8)).save(tmp_path / "other_label.png")
    with pytest.raises(MXNetSegError, match="1 of 5 have no image"):
        predictions_in(tmp_path, images, classes)


def test_photographs_that_are_turned(tmp_path):
    """LabelMe turns what it opens; labels of raw pictures have to be turned for it, and predictions may be either."""
    exif = Image.Exif()
    exif[0x0112] = 6
    for name, mode in (("images/a.jpg", "RGB"), ("masks/a.png", "L")):
        (tmp_path / name).parent.mkdir()
        Image.new(mode, (30, 20)).save(tmp_path / name, **(dict(exif=exif) if mode == "RGB" else {}))
    raw = np.zeros((20, 30), np.uint8)
    raw[:5, 20:] = 1
    Image.fromarray(raw).save(tmp_path / "masks/a.png")
    facts = dict(images="images", masks="masks", classes=["a", "b"], exif="raw")
    dataset = open_dataset(DataConfig(name="folder", root=str(tmp_path), **facts), "all")
    labels = dict(labels=labels_of(dataset), predictions=predictions_in(tmp_path / "masks", tmp_path / "images", "ab"))
    for name, each in labels.items():
        export("labelme", each, "ab", [(0, 0, 0), (9, 9, 9)], tmp_path / name, progress=False)
        there = dict(images=tmp_path / "images", wishes=Wishes("ab", rest="ignore"))
        report = convert("labelme", tmp_path / name, tmp_path / f"{name} back", **there, progress=False)
        assert report["data"]["exif"] == "upright"
        assert (read_mask(tmp_path / f"{name} back/masks/a.png") == np.rot90(raw, -1)).all()


def test_predictions_of_images_of_one_stem(tmp_path):
    """They keep the images' endings, and folders."""
    for name in ("a.jpg", "a.png", "more/b.jpg", "b.jpg"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((2, 3, 3), np.uint8)).save(tmp_path / "photos" / name)
    (tmp_path / "out/more").mkdir(parents=True)
    for name in ("a.jpg", "a.png", "more/b", "b"):
        Image.fromarray(np.zeros((2, 3), np.uint8)).save(tmp_path / f"out/{name}_label.png")
    _, entries = predictions_in(tmp_path / "out", tmp_path / "photos", ["sky"])
    found = {entry.name: entry.image.relative_to(tmp_path / "photos").as_posix() for entry in entries}
    assert found == {"a.jpg": "a.jpg", "a.png": "a.png", "more/b": "more/b.jpg", "b": "b.jpg"}
