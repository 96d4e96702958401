"""The learning-rate range test: what it says, and what it leaves."""

import math
from pathlib import Path
from unittest import mock

import mxnet as mx
import numpy as np
import pytest

from mxnetseg import registry
from mxnetseg.config import load_recipe
from mxnetseg.engine.find_lr import Tried, _smoothed, find_lr, suggested
from mxnetseg.errors import MXNetSegError

from . import tiny


def test_the_suggestion_is_where_the_loss_falls_fastest():
    tried = []
    for index in range(100):
        lr = 10 ** (index / 20 - 5)
        loss = 2 - 1 / (1 + math.exp(-6 * (math.log10(lr) + 3))) + max(0, math.log10(lr) + 1)  # steepest at 1e-3
        tried.append(Tried(lr, loss, loss))
    assert suggested(tried) == pytest.approx(1e-3, rel=0.2)
    assert suggested([Tried(each.lr, 2, 2) for each in tried]) is None
    assert suggested(tried[:5]) is None
    smooth = []
    for loss in (3.0, 1.0, 2.0):
        smooth.append(Tried(0.1, loss, _smoothed(smooth, loss)))
    weights = 0.9 ** np.arange(3)[::-1]
    assert smooth[-1].smooth == pytest.approx(np.average([3, 1, 2], weights=weights))


def test_it_leaves_a_table_alone(tmp_path):
    with mock.patch.dict(registry.BACKBONES), mock.patch("mxnetseg.engine.find_lr.installed", lambda _: False):
        tiny.register()
        tiny.draw(tmp_path / "streets")
        Path("recipe.yaml").write_text(tiny.RECIPE % (tmp_path / "streets"), encoding="utf-8")
        recipe, before = load_recipe("recipe.yaml"), set(tmp_path.rglob("*"))
        tried = find_lr(recipe, mx.cpu(), Path("lr.csv"), 30, progress=False)
        assert set(tmp_path.rglob("*")) - before == {tmp_path / "lr.csv"}
        rows = Path("lr.csv").read_text().splitlines()
        assert rows[0] == "lr,loss,smooth" and len(rows) == len(tried) + 1 > 15
        assert tried[0].lr == pytest.approx(1e-6) and tried[1].lr == pytest.approx(1e-6 * 10 ** (6 / 29))
        assert [each.loss for each in find_lr(recipe, mx.cpu(), Path("again.csv"), 30, progress=False)] == [
            each.loss for each in tried
        ]
        with pytest.raises(MXNetSegError, match="lr.csv"):
            find_lr(recipe, mx.cpu(), Path("lr.csv"), 30, progress=False)
