"""AMX is asked for where the processor has it, once, and never at the cost of a crash."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mxnetseg import amx

ROOT = Path(__file__).resolve().parents[1]
SAPPHIRE = "processor\t: 0\nmodel name\t: some Xeon\nflags\t\t: fpu avx512f amx_bf16 amx_tile amx_int8\n\n"
OLDER = "processor\t: 0\nmodel name\t: some Xeon\nflags\t\t: fpu avx512f avx512_vnni\n\n"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with this /proc/cpuinfo, whose kernel answers as told; gives the list of the calls to it."""
    for name in (amx.ISA, amx.SWITCH, "MXNETSEG_STARTUP"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv(name, "")  # so that what the code sets is undone after the test
        monkeypatch.delenv(name)

    def make(cpuinfo, permitted=True, system="linux", architecture="x86_64"):
        calls = []
        path = tmp_path / "cpuinfo"
        if cpuinfo is not None:
            path.write_text(cpuinfo, encoding="utf-8")
        monkeypatch.setattr(amx, "CPUINFO", path)
        monkeypatch.setattr(amx, "_permitted", None)
        monkeypatch.setattr(amx, "_request", lambda: calls.append(1) or permitted)
        monkeypatch.setattr(sys, "platform", system)
        monkeypatch.setattr(amx.platform, "machine", lambda: architecture)
        return calls

    return make


def test_a_processor_with_amx(machine):
    calls = machine(SAPPHIRE)
    amx.prepare()
    amx.prepare()
    assert len(calls) == 1 and os.environ[amx.ISA] == "AVX512_CORE_AMX"
    assert amx.status() == "used; oneDNN up to AVX512_CORE_AMX"


@pytest.mark.parametrize("cpuinfo", [OLDER, None, "", "flags"])
def test_a_processor_without(machine, cpuinfo):
    calls = machine(cpuinfo)
    amx.prepare()
    assert not calls and amx.ISA not in os.environ
    assert "not used: the processor has no amx_bf16" in amx.status()


@pytest.mark.parametrize("where", [dict(system="darwin"), dict(architecture="aarch64"), dict(system="win32")])
def test_another_system(machine, where):
    calls = machine(SAPPHIRE, **where)
    amx.prepare()
    assert not calls and amx.ISA not in os.environ
    assert "not Linux on x86-64" in amx.status()


def test_a_kernel_that_refuses(machine, monkeypatch):
    machine(SAPPHIRE, permitted=False)
    monkeypatch.setenv(amx.ISA, amx.AMX_ISA)  # inherited: the first AMX instruction would be the last
    amx.prepare()
    assert amx.ISA not in os.environ and "the kernel does not permit it" in amx.status()


@pytest.mark.parametrize("name", [amx.SWITCH, "MXNETSEG_STARTUP"])
def test_it_can_be_turned_off(machine, monkeypatch, name):
    calls = machine(SAPPHIRE)
    monkeypatch.setenv(name, "0")
    amx.prepare()
    assert not calls and amx.ISA not in os.environ
    assert f"not used: {name}=0" in amx.status()


def test_what_the_user_set_stays(machine, monkeypatch):
    machine(SAPPHIRE)
    monkeypatch.setenv(amx.ISA, "AVX512_CORE")
    amx.prepare()
    assert os.environ[amx.ISA] == "AVX512_CORE"
    assert "not used: DNNL_MAX_CPU_ISA=AVX512_CORE is set" in amx.status()


def test_the_kernel_is_asked_in_earnest_and_the_process_lives_on():
    """Whatever this machine answers."""
    code = (
        "from mxnetseg import amx; print(amx._request() in (True, False)); import mxnet; print(mxnet.nd.ones(3).sum())"
    )
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0 and done.stdout.startswith("True\n"), done.stderr
