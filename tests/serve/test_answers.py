"""Every form of answer, against what the predictor itself says."""

import io
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from mxnetseg import visual
from mxnetseg.annotations.shapes import Polygon
from mxnetseg.serve import schema
from mxnetseg.serve.answers import Answer, Wish, choose, encode
from mxnetseg.serve.refusal import Refusal
from mxnetseg.serve.worker import Prediction

from .conftest import CLASSES, refused


def pixels(answer):
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def test_class_map_overlay_and_certainty(client, predictor, image, body):
    ask, expected = client(), predictor(image)
    assert len(np.unique(expected)) > 2
    np.testing.assert_array_equal(pixels(ask.post("/predict", content=body)), expected)
    np.testing.assert_array_equal(pixels(ask.post("/predict", files={"any name": ("a.png", body)})), expected)
    np.testing.assert_array_equal(pixels(ask.post("/invocations", content=body)), expected)

    overlay = pixels(ask.post("/predict?answer=overlay&opacity=0.25", content=body))
    np.testing.assert_array_equal(overlay, visual.overlay(image, expected, predictor.palette, 0.25))
    assert pixels(ask.post("/predict?answer=overlay&legend=true", content=body)).shape[0] > image.shape[0]

    certainty = pixels(ask.post("/predict?answer=certainty", content=body))
    np.testing.assert_array_equal(certainty[..., 0], expected)
    np.testing.assert_array_equal(certainty[..., 1], np.rint(predictor.confidence(image) * 255))


def test_polygons_fill_to_the_class_map(client, predictor, image, body):
    ask, expected = client(), predictor(image)
    answer = ask.post("/predict", content=body, headers={"Accept": "application/json"})
    found = answer.json()
    assert answer.headers["content-type"] == "application/json"
    assert (found["type"], found["width"], found["height"]) == ("FeatureCollection", 64, 48)
    drawn = np.full(expected.shape, 255, np.uint8)
    for one in found["features"]:
        rings = [np.array(ring, float) for ring in one["geometry"]["coordinates"]]
        patches = [Polygon(ring[:-1]).patch(*expected.shape) for ring in rings]
        inside = np.zeros(expected.shape, bool)
        for patch in patches:
            inside[patch.window] ^= patch.inside
        drawn[inside] = predictor.classes.index(one["properties"]["classification"]["name"])
    np.testing.assert_array_equal(drawn, expected)
    assert [one["pixels"] for one in found["classes"]] == np.bincount(expected.ravel(), minlength=CLASSES).tolist()
    colour = "#{:02x}{:02x}{:02x}".format(*predictor.palette[1])
    pixels = int((expected == 1).sum())
    assert found["classes"][1] == {"index": 1, "name": "class 1", "color": colour, "pixels": pixels}

    query = "/predict?answer=polygons&least=20&classes=CLASS 1&classes=class 2"
    fewer = ask.post(query, content=body).json()["features"]
    names = {one["properties"]["classification"]["name"] for one in fewer}
    assert 0 < len(fewer) < len(found["features"]) and names == {"class 1", "class 2"}


def test_some_classes(client, predictor, image, body):
    ask, shown = client(), predictor(image) == 2
    cutout = pixels(ask.post("/predict?answer=cutout&classes=class 2", content=body))
    np.testing.assert_array_equal(cutout[..., 3] > 0, shown)
    colours = pixels(ask.post("/predict?answer=color&classes=class 2", content=body))
    np.testing.assert_array_equal(colours.any(2), shown)
    assert "classes=road" in refused(ask.post("/predict?answer=cutout", content=body), 422, "invalid_option")
    assert "class 2" in refused(ask.post("/predict?classes=clas 2", content=body), 422, "invalid_option")


def test_npz(client, predictor, image, body):
    ask = client()
    plain = np.load(io.BytesIO(ask.post("/predict?answer=npz", content=body).content))
    assert set(plain) == {"class_map", "palette", "classes"} and plain["classes"].tolist() == predictor.classes
    answer = ask.post("/predict?confidence=1", content=body, headers={"Accept": "application/x-npz"})
    full = np.load(io.BytesIO(answer.content))
    np.testing.assert_array_equal(full["class_map"], predictor(image))
    np.testing.assert_array_equal(full["confidence"], predictor.confidence(image).astype(np.float16))


@pytest.mark.parametrize(
    "accept, answer",
    [
        (None, "label"),
        ("*/*", "label"),
        ("text/html, application/json;q=0.9, image/png;q=0.8", "polygons"),
        ("image/png, application/json", "label"),
        ("application/json;q=0, application/octet-stream", "npz"),
        ("application/json;q=x, image/*", "label"),
        ("application/json;q=nan, application/json;q=-inf, application/x-npz;q=0.1, text/html;q=inf", "npz"),
        ("image/png;q=0, application/json;q=0.0, */*;q=0.1, application/octet-stream;q=0.05", "npz"),
    ],
)
def test_accept(accept, answer):
    assert choose(None, accept)[0] is Answer(answer)
    assert choose(Answer.overlay, accept) == (Answer.overlay, "image/png")
    for nothing in ("text/html", "application/json;q=0", ";;;,,"):
        with pytest.raises(Refusal):
            choose(None, nothing)


def test_photographs_are_turned_upright(client, predictor, image):
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(image).save(file, "PNG", exif=exif)
    expected = predictor(np.rot90(image, -1))
    np.testing.assert_array_equal(pixels(client().post("/predict", content=file.getvalue())), expected)


def test_what_the_model_is(client, predictor):
    ask = client(facts={"digest": "abc"})
    about = ask.get("/model").json()
    assert about["palette"] == predictor.palette.tolist() and about["digest"] == "abc"
    assert about["model"]["name"] == "bisenet" and about["limits"]["requests"] == 64
    assert [one["name"] for one in about["classes"]] == predictor.classes
    assert ask.get("/ping").status_code == 200


def test_openapi_has_examples_and_all_refusals(client):
    said = client(token="x" * 20).get("/openapi.json").json()
    assert set(said["paths"]) == {"/predict", "/invocations", "/model", "/healthz", "/ping", "/metrics"}
    predict = said["paths"]["/predict"]["post"]
    assert set(predict["requestBody"]["content"]) == {"image/*", "application/octet-stream", "multipart/form-data"}
    assert {"200", "401", "413", "415", "422", "429", "503", "504"} <= set(predict["responses"])
    for status, response in predict["responses"].items():
        example = response["content"]["application/json"]["example"]
        assert status == "200" or example["error"]["status"] == int(status)
    assert predict["security"] and "HTTPValidationError" not in json.dumps(said)
    options = {one["name"]: one["schema"] for one in predict["parameters"]}
    assert set(options) == {"answer", "classes", "opacity", "legend", "tolerance", "least", "confidence"}


def test_the_example_of_polygons_is_what_comes(predictor):
    """The map of the example, encoded: rings may start at any corner."""
    example = schema.PREDICTION[200]["content"]["application/geo+json"]["example"]
    class_map = np.zeros((10, 10), np.uint8)
    class_map[2:4, 2:4] = 1
    of_two = SimpleNamespace(classes=["road", "car"], palette=np.array([[128, 64, 128], [0, 0, 142]], np.uint8))
    wish = Wish(Answer.polygons, "application/geo+json")
    found = json.loads(encode(wish, class_map, Prediction(class_map, None), of_two, math.inf).content)

    def turned(ring):
        start = ring.index(min(ring))
        return ring[start:-1] + ring[: start + 1]

    for one in found["features"]:
        one["geometry"]["coordinates"] = [turned(ring) for ring in one["geometry"]["coordinates"]]
    assert found == example


def test_metrics_count(client, body):
    ask = client()
    ask.post("/predict", content=body)
    ask.get("/nowhere/in/particular")
    text = ask.get("/metrics").text
    assert 'mxnetseg_requests_total{path="/predict",status="200"} 1.0' in text
    assert 'mxnetseg_requests_total{path="other",status="404"} 1.0' in text and "nowhere" not in text
    assert "mxnetseg_batch_size_count 1.0" in text and "mxnetseg_ready 1.0" in text
    assert refused(ask.get("/nowhere"), 404, "not_found")
