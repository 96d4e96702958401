"""Each format with its traps, made here: names, order, holes, kinds of shapes, images."""

import base64
import re
import socket

import numpy as np
import pytest

from mxnetseg.annotations.convert import convert
from mxnetseg.annotations.names import Wishes
from mxnetseg.annotations.picture import Kinds
from mxnetseg.config import DataConfig
from mxnetseg.data import open_dataset
from mxnetseg.data.masks import read_mask
from mxnetseg.errors import MXNetSegError

from .files import SIZE, coco, cvat, flat, labelme, picture, png, shape, square, thing, voc


@pytest.fixture
def made(tmp_path):
    """Convert what is in "from", and give the mask of a.jpg and the report."""

    def run(kind, **options):
        wishes = Wishes(**{key: options.pop(key) for key in Wishes._fields if key in options})
        kinds = Kinds(**{key: options.pop(key) for key in ("boxes", "line_width", "skip") if key in options})
        to = tmp_path / f"to{len(list(tmp_path.glob('to*')))}"
        name = options.pop("mask", "a")
        before = sorted(tmp_path.rglob("*"))
        try:
            report = convert(kind, tmp_path / "from", to, wishes=wishes, kinds=kinds, progress=False, **options)
        except MXNetSegError:
            assert sorted(tmp_path.rglob("*")) == before  # nothing half-written
            raise
        return read_mask(next(to.glob(f"masks/**/{name}.png"))), report

    (tmp_path / "from").mkdir()
    return run


@pytest.fixture
def source(tmp_path):
    return tmp_path / "from"


def test_labelme(made, source):
    holes = [shape("hole", square(2, 2, 4, 4), group_id=3), shape("hole", square(50, 50, 60, 60), group_id=3)]
    shapes = [
        shape("road", square(0, 0, 10, 10), group_id=3),
        shape("car", square(6, 6, 12, 12)),
        shape("road", square(20, 0, 22, 2), group_id=3),  # of the first one's object
        *holes,
        shape("disc", [[20, 10], [20, 15]], "circle"),
        shape("blob", [[24.2, 16.9], [26.0, 18.0]], "mask", mask=png(np.array([[0, 1, 255], [1, 0, 0], [0, 0, 1]]))),
        shape("__ignore__", square(28, 0, 30, 20)),
        shape("_background_", square(0, 8, 2, 10)),
    ]
    labelme(source / "a.json", shapes)
    mask, report = made("labelme", hole="hole")
    assert list(report["classes"]) == ["background", "blob", "car", "disc", "road"]
    assert (mask[2:4, 2:4] == 0).all() and mask[1, 1] == mask[0, 21] == 4  # the hole, and both parts of the object
    assert mask[7, 7] == 2 and report["hidden"] > 0  # later ones on top
    assert mask[9, 0] == 0 and (mask[:, 28:] == 255).all()
    assert np.argwhere(mask == 1).tolist() == [[16, 25], [16, 26], [17, 24], [18, 26]]
    assert 70 < (mask == 3).sum() < 85
    assert made("labelme", hole="hole", overlap="first")[0][7, 7] == 4
    assert made("labelme", hole="hole", overlap="small")[0][7, 7] == 2
    with pytest.raises(MXNetSegError, match="overlap on"):
        made("labelme", hole="hole", overlap="refuse")


def test_a_name_that_happens_to_speak_of_a_split(made, source):
    for name in ("train_station", "bus"):
        labelme(source / f"{name}.json", [shape("car", square(0, 0, 9, 9))])
    report = made("labelme", mask="bus")[1]
    assert report["splits"] == {"all": 1, "train": 1}
    assert re.match(
        r"1 of 2 images .*train_station\.jpg\); the others are in all\.txt alone: .*bus", report["notes"][-1]
    )


def test_one_image_is_annotated_once(made, source):
    labelme(source / "a.json", [shape("car", square(0, 0, 9, 9))])
    labelme(source / "b.json", [shape("dog", square(0, 0, 9, 9))], imagePath="a.jpg")
    with pytest.raises(MXNetSegError, match=r"a\.json and .*b\.json annotate one image, .*a\.jpg"):
        made("labelme")


def test_accents_as_macos_writes_them_and_capitals(made, source):
    picture(source / "a\u0308.jpg")
    labelme(
        source / "x.json", [shape("Car", square(0, 0, 9, 9)), shape("car ", square(9, 9, 12, 12))], imagePath="\xe4.jpg"
    )
    mask, report = made("labelme", mask="x")
    assert mask[0, 0] == 1 and report["notes"][-1].startswith("classes of almost the same name: Car, car;")


def test_names(made, source):
    labelme(source / "a.json", [shape("Car", square(0, 0, 9, 9)), shape("tree", square(9, 0, 20, 9))])
    mask, report = made("labelme", classes=["sky", "tree", "car"])
    assert mask[0, 0] == 2 and mask[0, 9] == 1 and mask[15, 0] == 255 and report["rest"]["name"] == "ignored"
    assert list(report["classes"]) == ["sky", "tree", "car"]
    with pytest.raises(
        MXNetSegError, match=r"none of the classes cars, sky: 'Car' \(near: cars\), 'tree'; --rename Car="
    ):
        made("labelme", classes=["cars", "sky"])
    mask, _ = made("labelme", classes=["cars", "sky"], rename={"Car": "cars", "tree": "ignore"}, rest="sky")
    assert mask[0, 0] == 0 and mask[0, 9] == 255 and mask[15, 0] == 1
    mask, report = made("labelme", drop=["tree"], rest="Car")
    assert set(np.unique(mask)) == {0} and list(report["classes"]) == ["Car"]
    mask, report = made("labelme", rename={"tree": "Car"}, rest="ignore")
    assert list(report["classes"]) == ["Car"] and mask[0, 9] == 0 and mask[15, 0] == 255
    with pytest.raises(MXNetSegError, match="--rename tre: no annotation has this label; did you mean tree"):
        made("labelme", rename={"tre": "x"})
    with pytest.raises(MXNetSegError, match="--rest ski: none of the classes"):
        made("labelme", classes=["sky", "tree", "car"], rest="ski")
    (source / "names.txt").write_text("tree\n\nCar\n")
    assert list(made("labelme", classes=[str(source / "names.txt")])[1]["classes"]) == ["tree", "Car"]
    recipe = source / "recipe.yaml"
    recipe.write_text("data: {images: i, masks: m, classes: [tree, Car], palette: [[1, 2, 3], [4, 5, 6]]}\n")
    assert made("labelme", classes=[str(recipe)])[1]["data"]["palette"] == [[1, 2, 3], [4, 5, 6]]


def test_labelme_brings_images(made, source, tmp_path):
    held = base64.b64encode(picture(tmp_path / "x.png").read_bytes()).decode()
    labelme(source / "a.json", [shape("car", square(0, 0, 9, 9))], imagePath="..\\gone\\a.png", imageData=held)
    _, report = made("labelme")
    assert (tmp_path / "to0/images/a.png").read_bytes() == (tmp_path / "x.png").read_bytes()
    labelme(source / "a.json", [shape("car", square(0, 0, 9, 9))], imagePath="..\\gone\\a.png")
    with pytest.raises(MXNetSegError, match=r"no image ..\\gone\\a.png below"):
        made("labelme")
    picture(tmp_path / "photos/gone/a.png")
    made("labelme", images=tmp_path / "photos")
    picture(tmp_path / "photos/gone/a.png", (20, 31))
    with pytest.raises(MXNetSegError, match="annotated as 30x20, but its image is 31x20"):
        made("labelme", images=tmp_path / "photos")


def test_images_without_annotations_are_told(made, source, tmp_path):
    picture(source / "train/b.png"), (source / "val").mkdir()
    labelme(source / "val/a.json", [])
    labelme(source / "val/c.json", [shape("car", square(0, 0, 9, 9))])
    report = convert("labelme", source, tmp_path / "kept", keep_empty=True, progress=False)
    assert report["splits"] == {"val": 2, "train": 1}
    assert (read_mask(tmp_path / "kept/masks/train/b.png") == 0).all()
    report = convert("labelme", source, tmp_path / "left", progress=False)
    assert report["images"] == 2 and (tmp_path / "left/val.txt").read_text() == "images/a.jpg\nimages/c.jpg\n"
    assert any("left out (--keep-empty keeps them): 1 image that" in note for note in report["notes"])
    assert any("annotated with nothing: 1 image:" in note for note in report["notes"])


def test_kinds_without_an_area(made, source):
    shapes = [
        shape("sign", [[9, 1], [2, 5]], "rectangle"),
        shape("wire", [[0, 10], [30, 10]], "linestrip"),
        shape("dot", [[5, 5]], "point"),
    ]
    labelme(source / "a.json", shapes)
    with pytest.raises(MXNetSegError) as error:
        made("labelme")
    assert all(word in str(error.value) for word in ("--boxes", "--line-width", "--skip point", "shape 0 (sign)"))
    mask, report = made("labelme", boxes=True, line_width=2, skip=["point"])
    assert (mask == 1).sum() == 28 and (mask[9:11] == 2).all() and (mask == 2).sum() == 60
    assert any("left out: 1 shape of the kind 'point'" in note for note in report["notes"])


def test_coco(made, source):
    pytest.importorskip("pycocotools")
    ring = flat([*square(0, 0, 10, 10), [0, 0], *square(2, 2, 4, 4), [2, 2]])
    everywhere = dict(size=list(SIZE), counts=[300, 300])
    annotations = [
        dict(category_id=7, segmentation=[ring, flat(square(20, 0, 25, 5))]),
        dict(category_id=8, segmentation=everywhere, iscrowd=1),
        dict(category_id=8, segmentation=[flat(square(0, 0, 2, 2))]),
    ]
    coco(source / "x/instances.json", annotations, names=("cat", "dog", "cow"))
    mask, report = made("coco")
    assert list(report["classes"]) == ["background", "cat", "dog", "cow"]
    assert mask[0, 0] == 2 and mask[5, 5] == 1 and mask[0, 22] == 1 and mask[3, 3] == 0  # small ones on top, hole left
    assert (mask[:, 25:] == 2).all()
    assert (made("coco", crowd="ignore")[0][:, 25:] == 255).all()
    assert (made("coco", crowd="drop")[0][:, 25:] == 0).all()
    assert made("coco", overlap="first")[0][0, 0] == 1


def test_coco_by_name_never_by_number(made, source):
    one, two = [dict(category_id=7, segmentation=[flat(square(0, 0, 5, 5))])], flat(square(5, 0, 9, 5))
    coco(source / "train/a.json", one, names=("cat", "dog"))
    coco(source / "valid/b.json", [dict(category_id=7, segmentation=[two])], names=("dog", "cat"), images=("b.jpg",))
    report = convert("coco", source, source.parent / "out", progress=False)
    assert report["splits"] == {"train": 1, "val": 1} and list(report["classes"]) == ["background", "cat", "dog"]
    assert read_mask(source.parent / "out/masks/train/a.png")[0, 0] == 1
    assert read_mask(source.parent / "out/masks/valid/b.png")[0, 5] == 2


def test_coco_refuses(made, source):
    good = dict(category_id=7, segmentation=[flat(square(0, 0, 5, 5))])
    for annotation, message in (
        (dict(good, category_id=9), "category_id 9"),
        (dict(good, image_id="70"), "image_id '70'"),
        (dict(good, segmentation=[], bbox=[1, 1, 4, 4]), "--boxes"),
        (dict(good, segmentation=[[1, 2, 3, 4]]), "three corners"),
        (dict(good, segmentation=[[0.1, 0.1, 0.4, 0.1, 0.4, 0.4]]), "are their coordinates in pixels"),
    ):
        coco(source / "a.json", [annotation])
        with pytest.raises(MXNetSegError, match=message):
            made("coco")
    coco(source / "a.json", [dict(good, segmentation=[], bbox=[1, 1, 4, 4])])
    assert (made("coco", boxes=True)[0] == 1).sum() == 16
    (source / "a.jpg").unlink()
    with pytest.raises(MXNetSegError, match="1 image that annotations name: not below"):
        made("coco")
    picture(source / "one/a.jpg"), picture(source / "two/a.jpg")
    with pytest.raises(MXNetSegError, match="could be"):
        made("coco")


def test_cvat(made, source):
    shapes = """
      <polygon label="car" points="0.00,0.00;10.00,0.00;10.00,10.00;0.00,10.00" occluded="0" z_order="2"></polygon>
      <polygon label="road" points="0,0;30,0;30,20;0,20" z_order="1"><attribute name="a">1</attribute></polygon>
      <mask label="car" rle="1, 3, 2" left="20" top="5" width="3" height="2" z_order="2"></mask>
      <ellipse label="car" cx="15" cy="15" rx="3" ry="2" z_order="2"></ellipse>
      <polygon label="car" points="20,10;30,10;30,20;20,20" z_order="3" outside="1"></polygon>
      <tag label="night"></tag>"""
    cvat(source / "annotations.xml", shapes)
    mask, report = made("cvat")
    assert list(report["classes"]) == ["background", "road", "car"] and mask[0, 0] == 2 and mask[19, 29] == 1
    assert np.argwhere(mask[:, 20:] == 2).tolist() == [[5, 1], [5, 2], [6, 0]]
    assert (mask[13:17, 12:18] == 2).sum() > 14
    cvat(source / "annotations.xml", '<box label="car" xtl="1" ytl="2" xbr="5" ybr="4"/><cuboid label="car"/>')
    with pytest.raises(MXNetSegError, match="'box'.*\n.*--skip cuboid"):
        made("cvat")
    assert (made("cvat", boxes=True, skip=["cuboid"])[0] == 2).sum() == 8


def test_voc(made, source):
    corners = "".join(f"<x{n}>{x}</x{n}><y{n}>{y}</y{n}>" for n, (x, y) in enumerate(square(0, 10, 10, 20), 1))
    points = "".join(f"<pt><x>{x}</x><y>{y}</y></pt>" for x, y in square(20, 10, 30, 20))
    objects = thing("dog", 0, 0, 9, 9, f"<polygon>{corners}</polygon>")
    objects += thing("cat", 0, 0, 9, 9, f"<polygon>{points}</polygon>")
    voc(source / "a.xml", objects + thing("cow", 1, 1, 3, 2), filename="C:\\photos\\a.jpg")
    with pytest.raises(MXNetSegError, match="object 2.*--boxes"):
        made("voc-xml")
    (source / "ImageSets/Main").mkdir(parents=True)
    (source / "ImageSets/Main/val.txt").write_text("a  1\n")
    mask, report = made("voc-xml", boxes=True)
    assert list(report["classes"]) == ["background", "cat", "cow", "dog"] and report["splits"] == {"val": 1}
    assert (mask[10:, :10] == 3).all() and (mask[10:, 20:] == 1).all()
    assert np.argwhere(mask == 2).tolist() == [[y, x] for y in range(2) for x in range(3)]  # both corners belong to it
    voc(source / "a.xml", objects, size=(20, 40))
    with pytest.raises(MXNetSegError, match="annotated as 40x20"):
        made("voc-xml")


def test_colors(made, source):
    from PIL import Image

    colours = np.array([[128, 64, 128], [0, 0, 142], [0, 0, 0]], np.uint8)
    for split in ("train", "val"):
        picture(source / f"images/{split}/a.jpg"), (source / f"masks/{split}").mkdir(parents=True)
        values = np.arange(20)[:, None] % 3 + np.zeros((20, 30), int)
        Image.fromarray(colours[values]).save(source / f"masks/{split}/a.png")
    (source / "colors.txt").write_text("r g b name\n128 64 128\tthe road\n# old\n0,0,142,car\n0 0 0 void\n")
    with pytest.raises(MXNetSegError, match="--colors FILE"):
        made("colors")
    mask, report = made("colors", colors_file=source / "colors.txt", rename={"void": "ignore"})
    assert report["splits"] == {"train": 1, "val": 1} and report["rest"]["share"] == 0 and not report["hidden"]
    assert list(report["classes"]) == ["the road", "car"] and mask[:6, 0].tolist() == [0, 1, 255, 0, 1, 255]
    assert report["data"]["palette"] == [[128, 64, 128], [0, 0, 142]] and not report["notes"]
    recipe = source / "recipe.yaml"
    recipe.write_text("data: {lists: x, colors: {car: [0, 0, 142], road: [128, 64, 128]}}\n")
    with pytest.raises(MXNetSegError, match=r"not in the table: \[0, 0, 0\] \(180 pixels\)"):
        made("colors", colors_file=recipe)
    for line in ("0 0 300 x", "1 2 3", "1 2 3 a\n1 2 3 b", "1 2 3 a\n3 2 1 a", "", "# nothing"):
        (source / "colors.txt").write_text(f"name r g b\n{line}\n")
        with pytest.raises(MXNetSegError, match="such as '128 64 128 road'"):
            made("colors", colors_file=source / "colors.txt")


def test_turned_photographs(made, source):
    """Stored as 30x20, shown as 20x30."""
    from PIL import Image

    def photograph(name, orientation, size=(30, 20)):
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.new("RGB", size).save(source / name, exif=exif)

    corner = [shape("car", square(0, 0, 2, 9))]
    labelme(source / "a.json", corner, imageHeight=30, imageWidth=20)
    photograph("a.jpg", 6)
    mask, report = made("labelme")
    assert mask.shape == (30, 20) and report["data"]["exif"] == "upright"
    assert open_dataset(DataConfig(**report["data"]), "all").load(0).image.shape == (30, 20, 3)
    labelme(source / "b.json", corner, imageHeight=20, imageWidth=30)
    photograph("b.jpg", 6)
    with pytest.raises(MXNetSegError, match="a.json was annotated as viewers show it.*but .*b.json as it is stored"):
        made("labelme")
    photograph("b.jpg", 3)  # upside down: its size tells nothing
    with pytest.raises(MXNetSegError, match="b.json: viewers show its image turned .*--exif upright"):
        made("labelme")
    assert made("labelme", exif="upright")[1]["data"]["exif"] == "upright"
    (source / "a.json").unlink(), (source / "a.jpg").rename(source / "z.jpg")
    _, report = made("labelme", exif="raw", mask="b")
    assert report["data"]["exif"] == "raw"
    photograph("b.jpg", 6, (40, 20))
    with pytest.raises(MXNetSegError, match="annotated as 30x20, but its image is 40x20"):
        made("labelme", exif="raw")


def test_what_is_there_stays(made, source, tmp_path):
    labelme(source / "a.json", [shape("car", square(0, 0, 9, 9))])
    (tmp_path / "to0").mkdir()
    (tmp_path / "to0/mine").write_text("x")
    with pytest.raises(MXNetSegError, match="is there already"):
        convert("labelme", source, tmp_path / "to0", progress=False)
    assert [path.name for path in (tmp_path / "to0").iterdir()] == ["mine"]
    dead = tmp_path / f".new.{socket.gethostname()}.{2**22 + 1}.partial"  # of a process that was killed
    dead.mkdir()
    convert("labelme", source, tmp_path / "new", progress=False)
    assert not dead.exists() and (tmp_path / "new/masks/a.png").is_file()
    picture(source / "a.png")
    labelme(source / "b.json", [], imagePath="missing.jpg")
    with pytest.raises(MXNetSegError, match="no image missing.jpg"):
        convert("labelme", source, tmp_path / "newer", progress=False)
    assert not list(tmp_path.glob("*newer*"))


def test_a_limit_for_large_images(made, source):
    labelme(source / "a.json", [shape("car", square(0, 0, 9, 9))])
    with pytest.raises(MXNetSegError, match=r"a\.jpg.*30x20"):
        made("labelme", max_pixels=599)
    made("labelme", max_pixels=600)


def test_the_limit_is_that_of_masks_as_well(made, source):
    large, small = np.zeros((30, 40), np.uint8), np.ones((20, 30), np.uint8)
    labelme(source / "a.json", [shape("car", [[0, 0], [39, 29]], "mask", mask=png(large))])
    with pytest.raises(MXNetSegError, match=r"a\.json, shape 0 \(car\).*40x30.*limit"):
        made("labelme", max_pixels=600)
    (source / "a.json").unlink(), (source / "table.txt").write_text("0 0 0 ground\n1 1 1 car\n")
    (source / "a_mask.png").write_bytes(base64.b64decode(png(large)))
    with pytest.raises(MXNetSegError, match=r"looks like side by side.*a_mask\.png: its header says 40x30.*limit"):
        made("colors", colors_file=source / "table.txt", max_pixels=600)
    (source / "a_mask.png").write_bytes(base64.b64decode(png(small)))
    mask, report = made("colors", colors_file=source / "table.txt", max_pixels=600)
    assert (mask == 1).all() and report["images"] == 1


def test_damaged_files_are_told_together(made, source):
    for number in range(13):
        labelme(source / f"{number:02}.json", [shape("car", square(0, 0, 9, 9))])
        if number:
            (source / f"{number:02}.json").write_text("{")
    with pytest.raises(MXNetSegError) as caught:
        made("labelme")
    lines = str(caught.value).split("\n")
    assert lines[0] == "12 faults, and nothing is written:" and lines[-1] == "  and 2 more" and len(lines) == 12
    assert "01.json: a file of LabelMe can't be read" in lines[1] and "10.json" in lines[10]
    for number in range(13):  # readable now, but of other sizes than their images
        shapes = [shape("car", square(0, 0, 9, 9))]
        labelme(source / f"{number:02}.json", shapes, imageHeight=40 if number in (3, 5) else 20)
        picture(source / f"{number:02}.jpg")
    lines = "\n".join(str(pytest.raises(MXNetSegError, made, "labelme").value).split("\n")[:3])
    assert re.search(r"2 faults.*\n.*03\.json: annotated as 30x40.*\n.*05\.json: annotated as", lines)
    (source / "03.json").unlink(), (source / "05.json").unlink()
    assert made("labelme", mask="00")[1]["images"] == 11


def test_what_is_wrong_with_several_images_of_one_file(made, source):
    two, apart = flat(square(0, 0, 9, 9))[:4], dict(category_id=7, iscrowd=0)
    several = [dict(apart, image_id=70 + n, segmentation=[two]) for n in range(3)]
    coco(source / "a.json", several, images=("a.jpg", "b.jpg", "c.jpg"))
    with pytest.raises(MXNetSegError, match=r"3 faults(.|\n)*image a\.jpg(.|\n)*image b\.jpg(.|\n)*image c\.jpg"):
        made("coco")
