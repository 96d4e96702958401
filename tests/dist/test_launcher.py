"""What the launcher gives its processes."""

import os
import subprocess
import sys

import pytest

from mxnetseg import startup
from mxnetseg.cli import main
from mxnetseg.dist import children
from mxnetseg.dist.hosts import Host, start_there

from .launched import CLONE, SCRIPT

SAY = "import os; os.write(1, (os.environ['OMP_NUM_THREADS'] + '\\n').encode())"


@pytest.mark.parametrize("said", [None, "3"])
def test_processes_share_the_cores(said):
    """Unless it is said how many threads each takes; what this package takes for itself is no such word."""
    env = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    env.update({"OMP_NUM_THREADS": said} if said else {}, PYTHONPATH=str(CLONE))
    count = max(2, startup.cores())
    command = [sys.executable, "-c", SCRIPT, str(count), "20000", "-c", SAY]
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    assert [line.split()[-1] for line in done.stdout.decode().splitlines()] == [said or "1"] * count


def test_other_hosts_take_their_own_cores(monkeypatch):
    lines = []
    monkeypatch.setattr(children, "start", lambda command, *_, **__: lines.append(command[-1]))
    monkeypatch.setattr(startup, "given", lambda: {"OMP_PLACES": "cores", "WANDB_API_KEY": "secret"})
    start_there(["train"], [Host("a", "a")], 29600, "ssh")
    assert "OMP_PLACES=cores" in lines[0]
    assert "OMP_NUM_THREADS" not in lines[0] and "secret" not in lines[0]


def test_ssh_that_fails_without_a_word(tmp_path, capfd):
    (tmp_path / "hosts.txt").write_text("somewhere\n")
    where = ["-H", str(tmp_path / "hosts.txt"), "--ssh", "sh -c 'exit 255'"]
    command = ["launch", *where, "--", "train", "--model", "fcn"]
    assert main(command) == 255
    assert capfd.readouterr().err == "launch: rank 0 on somewhere ended with status 255\n"


@pytest.mark.parametrize("ssh, reason", [("/nonexistent", "No such file"), ("sh -c 'exit", "No closing quotation")])
def test_ssh_that_is_no_command(tmp_path, capfd, ssh, reason):
    (tmp_path / "hosts.txt").write_text("somewhere\n")
    assert main(["launch", "-H", str(tmp_path / "hosts.txt"), "--ssh", ssh, "--", "train", "--model", "fcn"]) == 2
    assert f"--ssh {ssh}: " in (err := capfd.readouterr().err) and reason in err and "give a command that runs" in err


def test_mistakes_are_told_once(capfd):
    with pytest.raises(SystemExit):
        main(["launch", "-n", "4", "--", "train", "--modle", "fcn"])
    assert capfd.readouterr().err.count("error: ") == 1
