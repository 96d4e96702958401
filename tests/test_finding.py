"""Checkpoints by their names, and what is said where there is none."""

from pathlib import Path

import pytest

from mxnetseg.errors import MXNetSegError
from mxnetseg.finding import find_checkpoint
from mxnetseg.shipped import CAMVID, shipped


def test_a_name_that_is_nowhere_is_answered_with_what_would_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MXNetSegError) as caught:
        find_checkpoint("xyz")
    said = str(caught.value)
    assert str(tmp_path) in said and "a file's path works" in said and str(shipped(CAMVID)) in said
    assert find_checkpoint(Path(CAMVID).name) == shipped(CAMVID)  # as it says
    with pytest.raises(MXNetSegError, match="did you mean .*_camvid.params"):
        find_checkpoint("swiftnet_efficientnet_lite0_camvidd.params")
