"""What `data stats` counts, against NumPy on all pixels at once."""

import numpy as np
import pytest
import yaml

from mxnetseg.cli import main
from mxnetseg.config import DataConfig, load_recipe
from mxnetseg.data import open_dataset
from mxnetseg.data.stats import class_weights, plot, snippet, stats


@pytest.fixture(scope="module")
def val(streets):
    return open_dataset(DataConfig(name="streets", root=str(streets)), "val")


def test_counts(val):
    report = stats(val, progress=False)
    samples = [val.load(index) for index in range(len(val))]
    pixels = np.concatenate([sample.image.reshape(-1, 3) for sample in samples]).astype(np.float64)
    labels = np.stack([sample.label for sample in samples])
    assert np.allclose(report["mean"], pixels.mean(0), atol=1e-4)
    assert np.allclose(report["std"], pixels.std(0), atol=1e-4)
    assert [row["pixels"] for row in report["classes"].values()] == [(labels == c).sum() for c in range(10)]
    assert [row["images"] for row in report["classes"].values()] == [(labels == c).any((1, 2)).sum() for c in range(10)]
    assert report["sizes"] == {"96x64": 4} and report["ignored"]["pixels"] == (labels == 255).sum()
    assert np.isclose(
        sum(row["share"] for row in report["classes"].values()) + report["ignored"]["share"], 1, atol=1e-5
    )


def test_class_weights():
    # 2 images of 100 pixels; classes: half of all, a tenth of the image that shows it, never
    weights = class_weights(np.array([[50, 10, 0], [50, 0, 0]]), np.array([100, 100]))
    assert np.allclose(weights["median_frequency"], [0.3 / 0.5, 0.3 / 0.1, 1])
    assert np.allclose(weights["inverse_log"], [1 / np.log(1.02 + 100 / 110), 1 / np.log(1.02 + 10 / 110), 1])


def test_the_yaml_is_a_part_of_a_recipe(val, tmp_path):
    report = stats(val, progress=False)
    for kind in report["class_weights"]:
        text = snippet(report, kind)
        assert yaml.safe_load(text)["loss"]["class_weights"] == report["class_weights"][kind]
        (tmp_path / "recipe.yaml").write_text(text)
        assert list(load_recipe(tmp_path / "recipe.yaml").data.mean) == report["mean"]


def test_command(streets, tmp_path, capsys):
    files = [str(tmp_path / name) for name in ("stats.json", "stats.yaml")]
    line = ["data", "stats", "streets", "--root", str(streets), "--split", "val", "--quiet", "--workers", "0"]
    line += ["--json", files[0], "--yaml", files[1]]
    assert main(line) == 0
    assert "median frequency" in capsys.readouterr().out
    assert main(line) == 2 and "is there already" in capsys.readouterr().err


@pytest.mark.slow
def test_plot(val, tmp_path):
    pytest.importorskip("matplotlib")
    plot(stats(val, progress=False), tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes()[:4] == b"\x89PNG"
