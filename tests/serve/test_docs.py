"""What docs/serve.md tells clients to do, done."""

import json
import shlex
import shutil
import subprocess

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.docs.markdown import blocks

HOME = "http://127.0.0.1:8080"


def test_examples(address, predictor, image, tmp_path, capsys):
    here = address()
    cv2.imwrite(str(tmp_path / "street.jpg"), image[..., ::-1])
    expected = predictor(tmp_path / "street.jpg")
    if not shutil.which("curl"):
        pytest.skip("there is no curl")
    lines = [line for block in blocks("docs/serve.md") if block.language == "sh" for line in block.text.splitlines()]
    asked = [line.replace(HOME, here) for line in lines if line.startswith("curl ")]
    assert len(asked) == 6
    for number, line in enumerate(asked):
        done = subprocess.run([*shlex.split(line), "--silent", "--fail"], stdout=subprocess.PIPE, timeout=60)
        assert done.returncode == 0, line
        if number < 2:
            np.testing.assert_array_equal(np.asarray(Image.open("classes.png")), expected)
            (tmp_path / "classes.png").unlink()
    assert json.loads(done.stdout)["classes"][0]["name"] == "class 0"
    assert json.loads((tmp_path / "regions.json").read_text())["type"] == "FeatureCollection"
    assert Image.open("overlay.png").size == (64, 48)

    (block,) = (block for block in blocks("docs/serve.md") if block.language == "python" and block.mark == "run")
    exec(compile(block.text.replace(HOME, here), block.where, "exec"), {})
    counts = np.bincount(expected.ravel(), minlength=len(predictor.classes))
    assert capsys.readouterr().out == f"{dict(zip(predictor.classes, counts.tolist()))}\n"


def test_every_reason_is_listed():
    """The page's table holds each reason that the code has."""
    import re

    from tests.docs.markdown import ROOT, read

    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "mxnetseg" / "serve").glob("*.py"))
    reasons = set(re.findall(r'(?:Refusal|_raw|_response)\(\s*\d{3},\s*"(\w+)"', code))
    page = read("docs/serve.md")
    assert len(reasons) > 15 and [one for one in reasons if f"`{one}`" not in page and one != "client_gone"] == []
