"""The forms in which predictions are kept, read again."""

import io
import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from mxnetseg.annotations.shapes import Polygon
from mxnetseg.cli import predict as command
from mxnetseg.config.schema import DataConfig
from mxnetseg.data import get_spec
from mxnetseg.errors import MXNetSegError
from mxnetseg.results import FORMS, LEAST_IOU, OUTLINES, Look, Result, check, encode, ending, label_values, media_type

CLASSES = ["road", "sky", "car"]
PALETTE = np.array([[128, 64, 128], [70, 130, 180], [0, 0, 142]], np.uint8)


def blobs(seed=0, height=60, width=80, grain=6.0):
    """Probabilities of three classes, in regions with holes."""
    noise = np.random.RandomState(seed).normal(size=(3, height, width)).astype(np.float32)
    smooth = np.stack([cv2.GaussianBlur(plane, (0, 0), grain) for plane in noise])
    logits = 4 * smooth / smooth.std()
    chances = np.exp(logits) / np.exp(logits).sum(0)
    picture = np.random.RandomState(seed + 1).randint(0, 256, (height, width, 3)).astype(np.uint8)
    return Result(picture, chances.argmax(0).astype(np.uint8), chances)


def read(content):
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    return picture if picture.ndim == 2 else picture[..., [2, 1, 0, 3][: picture.shape[2]]]


def test_the_command_offers_what_there_is():
    assert list(command.FORMS) == list(FORMS) and list(command.OUTLINES) == list(OUTLINES)


def test_numbers_come_back():
    result, look = blobs(), Look(CLASSES, PALETTE)
    with np.load(io.BytesIO(encode("probabilities", result, look))) as file:
        assert file["probabilities"].dtype == np.float16 and file["classes"].tolist() == CLASSES
        np.testing.assert_allclose(file["probabilities"], result.probabilities, atol=5e-4)
    with np.load(io.BytesIO(encode("probabilities", result, look._replace(chosen=[2, 0])))) as file:
        np.testing.assert_allclose(file["probabilities"], result.probabilities[[2, 0]], atol=5e-4)
        assert file["classes"].tolist() == ["car", "road"]
    chances = result.probabilities.astype(np.float64)
    confidence, entropy = (read(encode(form, result, look)) for form in ("confidence", "entropy"))
    assert confidence.dtype == entropy.dtype == np.uint16
    np.testing.assert_allclose(confidence / 65535, chances.max(0), atol=1e-5)
    np.testing.assert_allclose(entropy / 65535, -(chances * np.log(chances)).sum(0) / np.log(3), atol=1e-5)
    with pytest.raises(ValueError, match="probabilities"):
        encode("entropy", result._replace(probabilities=None), look)


def test_a_cutout_holds_the_chosen_classes_and_nothing_of_the_rest():
    result = blobs()
    cut = read(encode("cutout", result, Look(CLASSES, PALETTE, chosen=[0, 2])))
    inside = result.class_map != 1
    np.testing.assert_array_equal(cut[inside][:, :3], result.picture[inside])
    assert (cut[inside][:, 3] == 255).all() and not cut[~inside].any() and inside.any() and not inside.all()
    with pytest.raises(MXNetSegError, match="name them"):
        check(["label", "cutout"], False)


def drawn(kind, content, size):
    """Class index -> the pixels of its polygons, drawn by the rule of the format."""
    masks = {}

    def fill(name, rings):
        mask = masks.setdefault(CLASSES.index(name), np.zeros(size, bool))
        for number, ring in enumerate(rings):
            patch = Polygon(np.array(ring, float)).patch(*size)
            if number:
                mask[patch.window] &= ~patch.inside
            else:
                mask[patch.window] |= patch.inside

    if kind == "geojson":
        for feature in content["features"]:
            fill(feature["properties"]["classification"]["name"], feature["geometry"]["coordinates"])
    elif kind == "labelme":
        for shape in content["shapes"]:
            fill(shape["label"], [shape["points"]])
    else:
        names = {category["id"]: category["name"] for category in content["categories"]}
        for one in content["annotations"]:
            (ring,) = one["segmentation"]
            fill(names[one["category_id"]], [np.reshape(ring, (-1, 2))])
    return masks


@pytest.mark.parametrize("kind", OUTLINES)
@pytest.mark.parametrize("height, width, grain", [(24, 32, 0.8), (120, 160, 12)])
def test_polygons_enclose_the_mask_again(kind, height, width, grain):
    """Of every class, thin and small regions, and holes, included."""
    result = blobs(3, height, width, grain)
    content = json.loads(encode("polygons", result, Look(CLASSES, PALETTE, outlines=kind)))
    masks = drawn(kind, content, result.class_map.shape)
    assert sorted(masks) == np.unique(result.class_map).tolist()
    for index, mask in masks.items():
        truth = result.class_map == index
        assert (mask & truth).sum() / (mask | truth).sum() >= LEAST_IOU
    exact = encode("polygons", result, Look(CLASSES, PALETTE, outlines=kind, tolerance=0))
    assert len(exact) > len(json.dumps(content, separators=(",", ":")))
    for index, mask in drawn(kind, json.loads(exact), result.class_map.shape).items():
        np.testing.assert_array_equal(mask, result.class_map == index)


def test_chosen_classes_alone_are_outlined():
    result, look = blobs(), Look(CLASSES, PALETTE, chosen=[2], outlines="coco")
    for form in ("polygons", "rle"):
        content = json.loads(encode(form, result, look))
        assert {one["category_id"] for one in content["annotations"]} == {3}
        assert content["images"] == [dict(id=1, file_name="image", height=60, width=80)]
        assert [one["name"] for one in content["categories"]] == CLASSES


def test_run_lengths_are_exact():
    mask = pytest.importorskip("pycocotools.mask")
    result = blobs()
    content = json.loads(encode("rle", result, Look(CLASSES, PALETTE)))
    for one in content["annotations"]:
        np.testing.assert_array_equal(mask.decode(one["segmentation"]), result.class_map == one["category_id"] - 1)
    assert len(content["annotations"]) == 3


def test_label_files_with_the_data_sets_own_values():
    result = blobs()
    cityscapes = get_spec(DataConfig(name="cityscapes"))
    values = label_values(cityscapes, "--labels-as")
    label = read(encode("label", result, Look(CLASSES, PALETTE, values=values)))
    for index, raw in enumerate((7, 8, 11)):  # road, sidewalk, building in labelIds
        assert (label[result.class_map == index] == raw).all()
    of_three = replace(cityscapes, classes=CLASSES, label_map={458: 0, 9: 1, 300: 2})
    deep = label_values(of_three, "--labels-as")
    label = read(encode("label", result, Look(CLASSES, PALETTE, values=deep)))
    assert label.dtype == np.uint16 and np.unique(label).tolist() == [9, 300, 458]
    with pytest.raises(MXNetSegError, match="--labels-as: streets has no ids"):
        label_values(get_spec(DataConfig(name="streets")), "--labels-as")
    with pytest.raises(MXNetSegError, match="no value in the masks of cityscapes stands for class car"):
        label_values(replace(of_three, label_map={0: 0, 5: 1}), "--labels-as")


def test_endings_and_media_types():
    assert [ending("polygons", kind) for kind in OUTLINES] == [".geojson", ".json", ".json"]
    assert media_type("polygons") == "application/geo+json" and media_type("polygons", "coco") == "application/json"
    assert {ending(form) for form in FORMS} == {".png", ".npz", ".json", ".geojson"}
