"""Finished cells in a file to go on from."""

import numpy as np
import pytest

from mxnetseg.errors import MXNetSegError
from mxnetseg.tiles.store import Store
from mxnetseg.tiles.windows import Cell

WORK = {"picture": "a", "scales": [1.0], "flip": False}


def cell(row, column, sure=True):
    rng = np.random.RandomState(10 * row + column)
    label = rng.randint(0, 20, (30, 40)).astype(np.uint8)
    return Cell((row, column), label, rng.randint(0, 65536, (30, 40)).astype(np.uint16) if sure else None)


def same(store, one):
    kept = store.cell(one.place)
    np.testing.assert_array_equal(kept.label, one.label)
    assert (kept.confidence is None) == (one.confidence is None)
    np.testing.assert_array_equal(kept.confidence, one.confidence)


def test_cells_are_there_when_it_is_opened_again(tmp_path):
    path = tmp_path / "deep" / ".a.tiles"
    cells = [cell(0, 0), cell(0, 1, sure=False), cell(3, 2)]
    with Store(path, WORK) as store:
        for one in cells[:2]:
            store.add(one)
        same(store, cells[0])
    with Store(path, dict(reversed(list(WORK.items())))) as store:
        store.add(cells[2])
        assert len(store) == 3 and (0, 1) in store and (1, 0) not in store
    with Store(path, WORK) as store:
        for one in cells:
            same(store, one)
        store.remove()
    assert not path.exists()


@pytest.mark.parametrize("damage", ["cut", "torn", "flipped"])
def test_what_is_not_whole_is_done_again(tmp_path, damage):
    """As a process that was killed while it wrote, or a power failure, leaves it."""
    path = tmp_path / ".a.tiles"
    with Store(path, WORK) as store:
        store.add(cell(0, 0))
        size = path.stat().st_size
        store.add(cell(0, 1))
    content = bytearray(path.read_bytes())
    if damage == "cut":
        content = content[: size + 9]
    elif damage == "torn":
        content[-500:] = bytes(500)
    else:
        content[-1] ^= 1
    path.write_bytes(content)
    with Store(path, WORK) as store:
        assert len(store) == 1 and path.stat().st_size == size
        store.add(cell(0, 1))
    with Store(path, WORK) as store:
        same(store, cell(0, 0))
        same(store, cell(0, 1))


@pytest.mark.parametrize("cut", [1, 10, 40])
def test_a_file_without_its_first_lines_begins_anew(tmp_path, cut):
    path = tmp_path / ".a.tiles"
    with Store(path, WORK) as store:
        store.add(cell(0, 0))
    path.write_bytes(path.read_bytes()[:cut])
    with Store(path, WORK) as store:
        assert len(store) == 0
        store.add(cell(0, 1))
    with Store(path, WORK) as store:
        assert len(store) == 1


def test_other_work_is_not_gone_on_with(tmp_path):
    path = tmp_path / ".a.tiles"
    with Store(path, WORK) as store:
        store.add(cell(0, 0))
    with pytest.raises(MXNetSegError, match="another flip .false, now true.; do it as then, or say --overwrite"):
        Store(path, {**WORK, "flip": True})
    with Store(path, {**WORK, "flip": True}, anew=True) as store:
        assert len(store) == 0
    path.write_bytes(b"somebody's notes")
    with pytest.raises(MXNetSegError, match="nothing of mxnetseg's; move it"):
        Store(path, WORK, anew=True)
    assert path.read_bytes() == b"somebody's notes"


def test_what_nothing_was_finished_of_is_in_nobodys_way(tmp_path):
    path, other = tmp_path / ".a.tiles", {**WORK, "flip": True}
    with pytest.raises(ZeroDivisionError), Store(path, WORK):
        raise ZeroDivisionError
    assert not path.exists()
    with Store(path, WORK) as store:
        store.add(cell(0, 0))
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"\n", 20) + 1])  # killed before the first cell
    with Store(path, other) as store:
        assert len(store) == 0
        store.add(cell(1, 1))
    with Store(path, other) as store:
        assert len(store) == 1


def test_one_process_at_a_time(tmp_path):
    with Store(tmp_path / "a", WORK), pytest.raises(MXNetSegError, match="another process is writing it"):
        Store(tmp_path / "a", WORK)
