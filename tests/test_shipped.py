"""Recipes and the committed network are found from any folder, in a clone and where the package is installed."""

from pathlib import Path

from mxnetseg import shipped
from mxnetseg.cli.options import find_checkpoint
from mxnetseg.config import find_recipe, load_recipe

ROOT = Path(__file__).resolve().parent.parent
FOLDER, NETWORK = shipped.CAMVID.rsplit("/", 1)


def test_in_a_clone():
    assert shipped.clone() == ROOT
    assert find_checkpoint(NETWORK) == find_checkpoint(shipped.CAMVID) == ROOT / shipped.CAMVID
    assert shipped.here_or_shipped(shipped.CAMVID) == ROOT / shipped.CAMVID
    assert shipped.here_or_shipped("weights/none.params") == Path("weights/none.params")
    assert load_recipe("configs/camvid/bisenet_mobilenet_v2.yaml") == load_recipe("camvid/bisenet_mobilenet_v2")


def test_what_is_in_the_working_directory_comes_first():
    Path(FOLDER).mkdir(parents=True)
    mine = Path(FOLDER, NETWORK)
    mine.touch()
    assert find_checkpoint(str(mine)) == find_checkpoint(NETWORK) == mine
    Path("configs").mkdir()
    Path("configs/fcn.yaml").write_text("model: {name: bisenet}")
    assert find_recipe("fcn") == Path("configs/fcn.yaml") and load_recipe("fcn").model.name == "bisenet"


def test_where_the_package_is_installed(tmp_path, monkeypatch):
    package = tmp_path / "site-packages" / "mxnetseg"
    (package / "configs").mkdir(parents=True)
    (package / "configs" / "only.yaml").write_text("model: {name: fcn}")
    (package.parent / "configs").mkdir()  # somebody else's
    (package.parent / "configs" / "theirs.yaml").touch()
    monkeypatch.setattr(shipped, "_PACKAGE", package)
    assert shipped.clone() is None
    assert load_recipe("only").model.name == load_recipe("configs/only.yaml").model.name == "fcn"
    (package / FOLDER).mkdir(parents=True)
    (package / FOLDER / NETWORK).touch()
    assert find_checkpoint(NETWORK) == package / FOLDER / NETWORK
