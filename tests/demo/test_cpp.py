"""demo/cpp: a program that has MXNet's C API alone gives the network's class map."""

import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mxnetseg import Predictor
from mxnetseg.export import to_mxnet

from ..deploy.networks import build
from ..export.test_plain import picture

FOLDER = Path(__file__).resolve().parents[2] / "demo" / "cpp"


@pytest.mark.skipif(not (shutil.which("make") and shutil.which("g++")), reason="needs make and a C++ compiler")
@pytest.mark.skipif(sys.platform != "linux", reason="the Makefile is for Linux")
def test_the_program_is_built_and_run(tmp_path):
    net = build("fcn", backbone="mobilenet_v2_0_25")
    to_mxnet(net, "street", output="class_map", with_preprocessing=True)
    image = picture(40, 56)
    cv2.imwrite("image.ppm", image[..., ::-1])
    shutil.copytree(FOLDER, "cpp", ignore=shutil.ignore_patterns("segment"))
    subprocess.run(["make", "-C", "cpp", f"PYTHON={sys.executable}"], check=True, stdout=subprocess.DEVNULL)
    refused = subprocess.run(["make", "-C", "cpp", "PYTHON=false"], stderr=subprocess.PIPE, text=True)
    assert refused.returncode and "false has no MXNet: say make PYTHON=" in refused.stderr
    run(0, "street", "image.ppm", "classes.pgm")
    expected = Predictor(net, config=None)(image)
    assert len(np.unique(expected)) > 2
    assert (cv2.imread("classes.pgm", cv2.IMREAD_UNCHANGED) == expected).mean() > 0.999

    colours = image.tobytes()
    for header in (b"P6\n# Created by GIMP\n56 40\n255\n", b"P6# 1 2\n #\n56 # wide\n# 7\n40\n#\n#\n255\n"):
        Path("commented.ppm").write_bytes(header + colours)
        run(0, "street", "commented.ppm", "commented.pgm")
        assert Path("commented.pgm").read_bytes() == Path("classes.pgm").read_bytes()
    for wrong in (b"65535\n" + colours * 2, b"255\n" + colours[1:], b"# 255\n", b"255"):
        Path("wrong.ppm").write_bytes(b"P6 56 40 " + wrong)
        assert "wrong.ppm is no binary PPM file of 8 bits" in run(1, "street", "wrong.ppm", "wrong.pgm")

    assert "nowhere-symbol.json can't be read" in run(1, "nowhere", "image.ppm", "classes.pgm")
    assert "street-symbol.json is no binary PPM" in run(1, "street", "street-symbol.json", "classes.pgm")
    Path("street-0000.params").write_bytes(b"nothing")
    assert "Check failed" in run(1, "street", "image.ppm", "classes.pgm")


def run(status, *arguments):
    """What it says on standard error."""
    done = subprocess.run(["cpp/segment", *arguments], stderr=subprocess.PIPE, text=True)
    assert done.returncode == status, done.stderr
    return done.stderr
