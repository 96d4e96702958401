"""Shares, groups and rare classes of `data split`."""

import numpy as np
import pytest

from mxnetseg.data.split import groups_by, split_groups
from mxnetseg.errors import MXNetSegError

SHARES = {"train": 0.7, "val": 0.2, "test": 0.1}


def test_shares_are_kept_and_nothing_is_lost():
    names = [f"{n:03d}.jpg" for n in range(200)]
    parts = split_groups(names, SHARES).parts
    assert {part: len(numbers) for part, numbers in parts.items()} == {"train": 140, "val": 40, "test": 20}
    assert sorted(sum(parts.values(), [])) == list(range(200))
    assert all(numbers == sorted(numbers) for numbers in parts.values())


def test_the_same_names_give_the_same_parts():
    names = [f"{n:03d}.jpg" for n in range(60)]
    parts = split_groups(names, SHARES).parts
    assert parts == split_groups(names, SHARES).parts != split_groups(names, SHARES, seed=1).parts
    turned = split_groups(names[::-1], SHARES).parts
    assert {part: sorted(59 - n for n in numbers) for part, numbers in turned.items()} == parts
    assert parts["test"] == [7, 19, 27, 31, 54, 56]  # on every machine, in every version


def test_groups_stay_together():
    names = [f"seq{n % 13:02d}/{n:04d}.jpg" for n in range(260)]
    groups = groups_by(names, r"(seq\d+)/")
    parts = split_groups(groups, SHARES).parts
    of = [{groups[n] for n in numbers} for numbers in parts.values()]
    assert sum(map(len, of)) == len(set.union(*of)) == 13
    assert [len(group) for group in of] == [9, 3, 1]
    assert groups_by(["a_1", "b_22"], r"^[a-z]") == ["a", "b"] and groups_by(["a_1"], None) == ["a_1"]


def test_rare_classes_are_in_every_part():
    rng = np.random.default_rng(0)
    shown = rng.random((100, 6)) < np.array([1, 0.6, 0.3, 0.1, 0, 0])
    shown[[3, 50, 97], 4] = True  # as many images as parts
    shown[[8, 9], 5] = True
    groups = [str(n) for n in range(100)]
    found = split_groups(groups, SHARES, shown=shown)
    assert {part: len(numbers) for part, numbers in found.parts.items()} == {"train": 70, "val": 20, "test": 10}
    assert found.missing == {"train": [], "val": [], "test": [5]}
    for column in (1, 2, 3):
        share = [shown[numbers, column].sum() / shown[:, column].sum() for numbers in found.parts.values()]
        assert np.abs(np.array(share) - list(SHARES.values())).max() < 0.08
    plain = split_groups(groups, SHARES)
    assert any(not shown[numbers][:, 4].any() for numbers in plain.parts.values())  # so it was needed


def test_groups_whose_classes_depend_on_each_other():
    shown = np.zeros((10, 4), bool)
    shown[:, 0] = True
    shown[[0, 1], 1] = shown[0, 2] = shown[1, 3] = True  # 2 and 3, which one image shows, would take both of class 1
    found = split_groups([str(n) for n in range(10)], {"train": 0.8, "val": 0.2}, shown=shown)
    assert len(found.missing["train"]) + len(found.missing["val"]) == 2
    assert 1 not in found.missing["train"] + found.missing["val"]


def test_what_can_not_be_shared_out():
    with pytest.raises(MXNetSegError, match="2 groups can't be shared out to train, val, test"):
        split_groups(["a", "b", "a"], SHARES)
    with pytest.raises(MXNetSegError, match="val would get none"):
        split_groups(["a", "b"], {"train": 0.99, "val": 0.01})
    with pytest.raises(MXNetSegError, match="not a regular expression"):
        groups_by(["a"], "(")
    with pytest.raises(MXNetSegError, match="finds nothing in 1 of 2 names, such as b2"):
        groups_by(["a1", "b2"], "a")
