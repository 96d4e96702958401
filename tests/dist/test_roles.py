"""Roles from the environments that starters of processes set."""

import os
import socket

import pytest

from mxnetseg.dist import addresses, sockets
from mxnetseg.dist.addresses import first_host, free_port, listen, parse_address, resolve
from mxnetseg.dist.hosts import Host, read_hosts
from mxnetseg.dist.roles import read_role
from mxnetseg.errors import MXNetSegError

OURS = {"MXNETSEG_RANK": "1", "MXNETSEG_SIZE": "4", "MXNETSEG_ROOT": "127.0.0.1:9000"}
TRACKER = {
    "DMLC_ROLE": "server",
    "DMLC_PS_ROOT_URI": "127.0.0.1",
    "DMLC_PS_ROOT_PORT": "9000",
    "DMLC_NUM_WORKER": "3",
    "DMLC_NUM_SERVER": "2",
}
SLURM = {"SLURM_PROCID": "2", "SLURM_NTASKS": "4", "SLURM_JOB_ID": "17", "SLURM_STEP_NODELIST": "127.0.0.1"}
MPI = {"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_LOCAL_SIZE": "2"}
HOROVOD = {"HOROVOD_RANK": "1", "HOROVOD_SIZE": "2"}


def test_alone():
    assert read_role(None, {"PATH": "/bin"}) is None


@pytest.mark.parametrize("how", [None, "env"])
def test_launched(how):
    role = read_role(how, OURS)
    assert (role.engine, role.rank, role.size, role.root, role.servers) == ("kvstore", 1, 4, ("127.0.0.1", 9000), 4)
    assert role.name == "rank 1"
    assert role.variables() == {
        "DMLC_ROLE": "worker",
        "DMLC_PS_ROOT_URI": "127.0.0.1",
        "DMLC_PS_ROOT_PORT": "9000",
        "DMLC_NUM_WORKER": "4",
        "DMLC_NUM_SERVER": "4",
        "DMLC_NODE_HOST": "127.0.0.1",
    }


def test_another_tracker():
    role = read_role("env", TRACKER)
    assert (role.kind, role.rank, role.size, role.servers, role.tracked) == ("server", None, 3, 2, True)
    assert role.variables() == {}  # they are set already


def test_slurm():
    role = read_role("slurm", SLURM)
    assert (role.rank, role.size, role.root[0], role.servers) == (2, 4, "127.0.0.1", 4)
    others = [read_role("slurm", {**SLURM, "SLURM_STEP_ID": str(step)}).root[1] for step in range(3)]
    assert len({port // 2 for port in others}) == 3  # steps of a job keep out of each other's way
    assert read_role("slurm", {**SLURM, "MXNETSEG_ROOT": "127.0.0.1:7"}).root == ("127.0.0.1", 7)


def test_mpi():
    role = read_role("mpi", MPI)
    assert (role.rank, role.size, role.root[0]) == (0, 2, "127.0.0.1")
    assert read_role("mpi", {"PMI_RANK": "1", "PMI_SIZE": "2", "MXNETSEG_ROOT": "127.0.0.1:7"}).rank == 1
    with pytest.raises(MXNetSegError, match="MXNETSEG_ROOT is not set.*-x MXNETSEG_ROOT=HOST:PORT"):
        read_role("mpi", {**MPI, "OMPI_COMM_WORLD_LOCAL_SIZE": "1"})
    with pytest.raises(MXNetSegError, match="OMPI_COMM_WORLD_RANK"):
        read_role("mpi", {})


def test_horovod():
    role = read_role("horovod", HOROVOD)
    assert (role.engine, role.rank, role.size, role.root) == ("horovod", 1, 2, None)


@pytest.mark.parametrize(
    "how, env",
    [("env", OURS), ("env", {**TRACKER, "DMLC_ROLE": "worker"})] + [("slurm", SLURM), ("horovod", HOROVOD)],
)
def test_what_lacks_is_named(how, env):
    for name in env:
        if name in ("DMLC_ROLE", "MXNETSEG_RANK"):  # says whose environment it is
            continue
        with pytest.raises(MXNetSegError, match=f"{name} is not set"):
            read_role(how, {key: value for key, value in env.items() if key != name})


@pytest.mark.parametrize("name, value", [("MXNETSEG_RANK", "one"), ("MXNETSEG_RANK", "4"), ("MXNETSEG_ROOT", "host")])
def test_nonsense(name, value):
    with pytest.raises(MXNetSegError, match="rank 4 of 4" if value == "4" else name):
        read_role("env", {**OURS, name: value})


def test_first_host():
    assert first_host("gpu[03-05,9],login") == "gpu03"
    assert first_host("login,gpu[03-05]") == "login"
    assert first_host("a[1,3]b") == "a1b"


def test_free_port():
    port = free_port()
    with listen(("127.0.0.1", port)), listen(("127.0.0.1", port + 1)):
        assert listen(("127.0.0.1", port)) is None
    assert parse_address(f"host:{port}", "--root") == ("host", port)


def test_hosts(tmp_path):
    path = tmp_path / "hosts.txt"
    path.write_text("# ours\n a \nb 10.0.0.2  # the fast network\n\nme@c\r\nme@d 10.0.0.4\n")
    assert read_hosts(str(path)) == [Host("a", "a"), Host("b", "10.0.0.2"), Host("me@c", "c"), Host("me@d", "10.0.0.4")]
    wrong = [("", "no host"), ("a\na 1.2.3.4", "twice"), ("a\nme@a", "twice"), ("a b c", "NAME ADDRESS")]
    wrong += [("-oProxy=x", "NAME"), ("a:22", "without a port"), ("a fe80::1", "an IPv4 address")]
    for text, what in wrong:
        path.write_text(text)
        with pytest.raises(MXNetSegError, match=what):
            read_hosts(str(path))


def test_own_name_that_is_local(monkeypatch):
    """As Debian writes it into /etc/hosts: other hosts would not find rank 0."""
    monkeypatch.setattr(socket, "gethostbyname", lambda host: "127.0.0.1" if host == "localhost" else "127.0.1.1")
    assert resolve("localhost") == "127.0.0.1" and resolve("127.0.1.1") == "127.0.1.1"
    monkeypatch.setattr(addresses, "own_address", lambda root: "10.0.0.7")
    assert resolve("gpu1") == "10.0.0.7"


def test_one_host_meets_at_unix_sockets(monkeypatch):
    """Each process at one of its own, of which all know the scheduler's; another run has others."""
    env = {**OURS, "MXNETSEG_ONE_HOST": "word", "MXNETSEG_SERVERS": "1"}
    role = read_role(None, env)
    first, second, other = (sockets.numbers(*of) for of in (("word", 0), ("word", 1), ("another", 0)))
    assert first.keys() == {"worker", "server", "scheduler"} and second.keys() == {"worker"}
    every = [*first.values(), *second.values(), *other.values()]
    assert len(set(every)) == 7 and all(2**16 < number < 2**31 for number in every)
    for kind in ("scheduler", "server", "worker"):
        variables = role.variables(kind)
        assert (variables["DMLC_LOCAL"], variables["DMLC_PS_ROOT_PORT"]) == ("1", str(first["scheduler"]))
        assert variables.get("PORT") == (None if kind == "worker" else str(first[kind]))
    for given in ("8080", None):
        monkeypatch.setenv("PORT", given) if given else monkeypatch.delenv("PORT")
        with role.meeting():
            assert os.environ["PORT"] == str(second["worker"])
        assert os.environ.get("PORT") == given
    # several servers, or another starter: over TCP
    assert "DMLC_LOCAL" not in read_role(None, {**env, "MXNETSEG_SERVERS": "2"}).variables()
    assert "DMLC_LOCAL" not in read_role("slurm", {**SLURM, **env}).variables()
