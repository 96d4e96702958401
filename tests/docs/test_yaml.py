"""YAML in the pages is a recipe, or a part of one."""

from unittest import mock

import pytest
import yaml

from mxnetseg.config import load_recipe
from mxnetseg.data.foreign import TRANSFORMS
from mxnetseg.errors import MXNetSegError

from .markdown import PAGES, ROOT, blocks


def as_recipe(text, folder):
    """The recipe that a block is: by itself, or laid over FCN's."""
    if not (folder / "configs").exists():
        (folder / "configs").symlink_to(ROOT / "configs")
    parts = yaml.safe_load(text)
    whole = "_base_" in parts or "data" in parts
    path = folder / "my_recipe.yaml"
    path.write_text(text if whole else f"_base_: configs/fcn.yaml\n{text}", encoding="utf-8")
    return load_recipe(path)


@pytest.mark.parametrize("page", PAGES)
@mock.patch.dict(TRANSFORMS, {"my_noise": None, "my_rotation": None})  # as the page registers them
def test_blocks_are_recipes(page, tmp_path):
    for block in blocks(page):
        if block.language == "yaml" and block.mark != "checked":
            try:
                as_recipe(block.text, tmp_path)
            except MXNetSegError as err:
                pytest.fail(f"{block.where}: {err}")


def test_a_wrong_key_is_found(tmp_path):
    with pytest.raises(MXNetSegError, match="momentun"):
        as_recipe("optimizer: {momentun: 0.9}\n", tmp_path)
