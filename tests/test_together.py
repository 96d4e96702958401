"""`mxnetseg.processes`: many processes, from Python."""

import pytest

import mxnetseg
from mxnetseg.dist.roles import RANK
from tests.dist.launched import Launched

SCRIPT = """
import sys
import mxnetseg

with mxnetseg.processes(contexts="cpu") as peers:
    result = mxnetseg.train(sys.argv[1], run_dir="run", peers=peers)
    settings = {"flip": True} if sys.argv[2:] == ["settings"] and not peers.leads else None
    scores = mxnetseg.evaluate(result.best_path, settings=settings, peers=peers)
    print(f"rank {peers.rank} of {peers.size}: {scores.miou == result.best}", flush=True)
    if sys.argv[2:]:
        assert peers.leads, "only rank 0 is of use"
        peers.barrier()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "wrong, said",
    [
        ("", ""),
        ("assertion", "only rank 0 is of use"),
        ("settings", "the checkpoint, the settings or the images of rank 1 differ"),
    ],
)
def test_a_script_in_two_processes(recipe_file, tmp_path, wrong, said):
    (tmp_path / "script.py").write_text(SCRIPT)
    with Launched([tmp_path / "script.py", recipe_file, *wrong.split()], where=["-n", "2"]) as run:
        status, output = run.end(300)
    assert status == (2 if wrong else 0), output
    for rank in (0, 1):
        assert (f"rank {rank} of 2: True" in output) is (wrong != "settings")
    assert (f"rank 1 failed: {said}" in output) is bool(wrong)


def test_one_process():
    with mxnetseg.processes(contexts="cpu") as peers:
        assert (peers.rank, peers.size, peers.leads) == (0, 1, True)
        assert [str(context) for context in peers.contexts] == ["cpu(0)"]
    with pytest.raises(mxnetseg.MXNetSegError, match="dist='ssh': one of env"), mxnetseg.processes("ssh"):
        pass


def test_one_of_many_does_not_train_alone(monkeypatch):
    monkeypatch.setenv(RANK, "1")
    with pytest.raises(mxnetseg.MXNetSegError, match="peers=peers"):
        mxnetseg.train("fcn")
