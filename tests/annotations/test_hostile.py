"""Damaged and hostile annotation files end in one clear error, soon and in little memory."""

import base64
import json
import tracemalloc
import zlib

import numpy as np
import pytest

from mxnetseg.annotations.convert import convert
from mxnetseg.annotations.picture import Kinds
from mxnetseg.errors import MXNetSegError

from .files import coco, cvat, flat, labelme, picture, png, shape, square, thing, voc

DEEP = "[" * 100_000
BILLION = (
    '<!DOCTYPE annotations [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefghi", "bcdefghij"))
    + "]><annotations><version>&j;</version></annotations>"
)
SQUARE = square(1, 1, 9, 9)
PACKED = "c26>00000000000000000000000000000U6"  # a rectangle in 20x30 pixels


def text(ending, content):
    return lambda folder: (picture(folder / "a.jpg"), (folder / f"a.{ending}").write_bytes(content))


def with_shape(points=SQUARE, kind="polygon", label="car", **more):
    return lambda folder: labelme(folder / "a.json", [shape(label, points, kind, **more)])


def with_annotation(segmentation, **more):
    return lambda folder: coco(folder / "a.json", [dict(dict(category_id=7, segmentation=segmentation), **more)])


def changed(make, **keys):
    def build(folder):
        make(folder)
        content = json.loads((folder / "a.json").read_text())
        (folder / "a.json").write_text(json.dumps({**content, **keys}))

    return build


def in_cvat(shapes, **more):
    return lambda folder: cvat(folder / "a.xml", shapes, **more)


def in_voc(objects, **more):
    return lambda folder: voc(folder / "a.xml", objects, **more)


def declares(side):
    """A PNG of a few bytes that declares to be that large, in base64."""
    content = bytearray(base64.b64decode(png(np.zeros((2, 2)))))
    content[16:24] = side.to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(bytes(content[12:29])).to_bytes(4, "big")
    return base64.b64encode(bytes(content)).decode()


def wide_image(folder):
    labelme(folder / "a.json", [shape("car", SQUARE)], imagePath="a.png", imageHeight=60000, imageWidth=60000)
    (folder / "a.png").write_bytes(base64.b64decode(declares(60000)))


LABELME = {
    "no JSON": text("json", b"{"),
    "empty": text("json", b""),
    "bytes": text("json", bytes(range(256))),
    "deep": text("json", DEEP.encode()),
    "deep in place": text("json", b'{"imagePath": "a.jpg", "shapes": ' + DEEP.encode()),
    "half a pair of surrogates": text("json", b'{"imagePath": "\\ud800", "shapes": []}'),
    "another file": text("json", b'{"images": []}'),
    "a list": text("json", b"[]"),
    "shapes is text": changed(with_shape(), shapes="many"),
    "no label": with_shape(label=" "),
    "label is a number": changed(with_shape(), shapes=[dict(label=3, points=SQUARE)]),
    "two points": with_shape([[1, 1], [2, 2]]),
    "no points": with_shape([]),
    "point of three": with_shape([[1, 2, 3]] * 3),
    "NaN": with_shape([[1, float("nan")], *SQUARE]),
    "infinity": with_shape([[1, float("inf")], *SQUARE]),
    "far": with_shape([[1, 1e300], *SQUARE]),
    "text for a number": with_shape([["one", 1], *SQUARE]),
    "negative height": changed(with_shape(), imageHeight=-20),
    "huge height": changed(with_shape(), imageHeight=10**9),
    "huge number": changed(with_shape(), imageHeight=10**400),
    "sizes swapped": changed(with_shape(), imageHeight=30, imageWidth=20),
    "image path of many folders": changed(with_shape(), imagePath="../" * 50 + "etc/passwd"),
    "image path that no file can have": changed(with_shape(), imagePath="a" * 5000 + ".jpg"),
    "image path with a zero": changed(with_shape(), imagePath="a\0.jpg"),
    "image path is empty": changed(with_shape(), imagePath=""),
    "imageData is no base64": changed(with_shape(), imagePath="gone.jpg", imageData="\u00e4\u00f6"),
    "imageData is no image": changed(with_shape(), imagePath="gone.jpg", imageData="aGFsbG8="),
    "mask is no PNG": with_shape(SQUARE[:2], "mask", mask="aGFsbG8="),
    "no mask": with_shape(SQUARE[:2], "mask"),
    "mask larger than its place": with_shape([[1, 1], [2, 2]], "mask", mask=png(np.ones((200, 200)))),
    "mask that declares 30000x30000": with_shape([[0, 0], [29999, 29999]], "mask", mask=declares(30000)),
    "half a mask": with_shape([[0, 0], [19, 19]], "mask", mask=png(np.eye(20))[:96]),
    "a shape of another kind": with_shape(kind="banana"),
    "image of 60000x60000": wide_image,
}
COCO = {
    "no JSON": text("json", b"nope"),
    "deep": text("json", b'{"images": ' + DEEP.encode()),
    "captions": text("json", b'{"images": [], "annotations": [{"image_id": 1, "caption": "a cat"}], "categories": []}'),
    "no categories": changed(with_annotation([]), categories=[]),
    "categories twice": changed(with_annotation([]), categories=[dict(id=7, name="a"), dict(id=7, name="b")]),
    "no name": changed(with_annotation([]), categories=[dict(id=7, name=" ")]),
    "images twice": changed(
        with_annotation([]), images=[dict(id=70, file_name=n, height=20, width=30) for n in ("a.jpg", "b.jpg")]
    ),
    "image of no size": changed(with_annotation([]), images=[dict(id=70, file_name="a.jpg", height=0, width=0)]),
    "odd polygon": with_annotation([[1, 2, 3, 4, 5, 6, 7]]),
    "short polygon": with_annotation([[1, 2]]),
    "empty polygon": with_annotation([[]]),
    "NaN": with_annotation([[float("nan")] * 6]),
    "far": with_annotation([[0, 0, 1e9, 0, 1e9, 1e9]]),
    "run lengths of another size": with_annotation(dict(size=[30, 20], counts=[600])),
    "run lengths of 10^9 pixels": with_annotation(dict(size=[10**9, 10**9], counts=[10**18])),
    "run lengths of 10^10 pixels": with_annotation(dict(size=[10**5, 10**5], counts="11")),
    "negative run lengths": with_annotation(dict(size=[20, 30], counts=[-600, 1200])),
    "run lengths too long": with_annotation(dict(size=[20, 30], counts=[0, 10**9])),
    "run lengths too short": with_annotation(dict(size=[20, 30], counts=[5])),
    "no packed run lengths": with_annotation(dict(size=[20, 30], counts="\u20ac")),
    "damaged packed run lengths": with_annotation(dict(size=[20, 30], counts="O" * 40)),
    "no packed run lengths at all": with_annotation(dict(size=[20, 30], counts="")),
    "packed run lengths that are cut": with_annotation(dict(size=[20, 30], counts=PACKED[:-3])),
    "size of text": with_annotation(dict(size=["a", "b"], counts=[600])),
    "segmentation is a number": with_annotation(7),
    "crowd is text": with_annotation([flat(SQUARE)], iscrowd="yes"),
}
CVAT = {
    "no XML": text("xml", b"<annotations"),
    "empty": text("xml", b""),
    "entities": text("xml", BILLION.encode()),
    "an external entity": text(
        "xml", b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotations>&x;</annotations>'
    ),
    "encoding unknown": text("xml", b"<?xml version='1.0' encoding='nope'?><annotations/>"),
    "deep": text("xml", b"<annotations><version>1.1</version>" + b"<a>" * 200_000),
    "VOC's": in_voc(""),
    "version": in_cvat("", version="2.0"),
    "a video": text("xml", b"<annotations><version>1.1</version><track/></annotations>"),
    "points of text": in_cvat('<polygon label="car" points="a,b;c,d;e,f"/>'),
    "NaN": in_cvat('<polygon label="car" points="nan,1;2,2;3,3"/>'),
    "no points": in_cvat('<polygon label="car"/>'),
    "two points": in_cvat('<polygon label="car" points="1,1;2,2"/>'),
    "no label": in_cvat('<polygon points="1,1;2,2;3,1"/>'),
    "run lengths too short": in_cvat('<mask label="car" rle="1" left="0" top="0" width="3" height="2"/>'),
    "run lengths of halves": in_cvat('<mask label="car" rle="0.5, 5.5" left="0" top="0" width="3" height="2"/>'),
    "run lengths of 10^9": in_cvat(
        '<mask label="car" rle="1000000000" left="0" top="0" width="100000" height="10000"/>'
    ),
    "negative width": in_cvat('<mask label="car" rle="6" left="0" top="0" width="-3" height="-2"/>'),
    "subset is a path": in_cvat("", image='name="a.jpg" subset="../../x"'),
    "layer of text": in_cvat('<polygon label="car" points="1,1;2,2;3,1" z_order="top"/>'),
}
VOC = {
    "no XML": text("xml", b"<annotation>"),
    "entities": text("xml", BILLION.replace("annotations", "annotation").encode()),
    "another root": text("xml", b"<html/>"),
    "no name": in_voc(thing(" ", 1, 1, 5, 5)),
    "neither box nor polygon": in_voc("<object><name>car</name></object>"),
    "box the wrong way": in_voc(thing("car", 5, 5, 1, 1)),
    "box of text": in_voc(thing("car", 1, 1, "x", 5)),
    "polygon of two corners": in_voc(thing("car", 1, 1, 5, 5, "<polygon><x1>1</x1><y1>1</y1></polygon>")),
    "corner without y": in_voc(thing("car", 1, 1, 5, 5, "<polygon><x1>1</x1></polygon>")),
    "size of text": in_voc(thing("car", 1, 1, 5, 5), size=("a", "b")),
    "size of 10^9": in_voc(thing("car", 1, 1, 5, 5), size=(10**9, 10**9)),
}
CASES = [
    pytest.param(kind, build, id=f"{kind}: {name}")
    for kind, cases in (("labelme", LABELME), ("coco", COCO), ("cvat", CVAT), ("voc-xml", VOC))
    for name, build in cases.items()
]


@pytest.mark.parametrize("kind, build", CASES)
def test_one_clear_error(kind, build, tmp_path):
    folder = tmp_path / "from"
    folder.mkdir()
    build(folder)
    tracemalloc.start()
    try:
        with pytest.raises(MXNetSegError) as error:
            convert(kind, folder, tmp_path / "to", kinds=Kinds(boxes=True), progress=False)
        assert tracemalloc.get_traced_memory()[1] < 100e6
    finally:
        tracemalloc.stop()
    message = str(error.value)
    assert str(folder) in message and len(message) < 1000
    assert [path.name for path in tmp_path.iterdir()] == ["from"]
