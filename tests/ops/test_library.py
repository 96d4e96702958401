"""The operator library as a file: built once and whole, kept where nobody else can write, and done without else."""

import errno
import os
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest

from mxnetseg import ops
from mxnetseg.ops import build, cache, compilers, library

from .helpers import finish, run

# says what the library's content is to be; counts how often something was linked
COMPILER = """
[ "$1" = --version ] && exit 0
for word; do [ "$last" = -o ] && out=$word; last=$word; done
case $out in *.so) sleep ${LINK_SECONDS:-0}; echo linked >> "$0.count";; esac
echo "$COMPILED" > "$out"
"""
RELEASE = "[ $1 = --version ] && echo release 12.4 && exit 0"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home and a folder for temporary files, and a compiler that takes no time."""
    for name in ("home", "tmp"):
        (tmp_path / name).mkdir()
    (tmp_path / "cxx").write_text(COMPILER)
    monkeypatch.setenv("CXX", f"sh {tmp_path / 'cxx'}")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MXNETSEG_CACHE", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    return tmp_path / "home"


def cpu_library(**options):
    return build.build(cuda=False, **options).path


def links(home):
    return (home.parent / "cxx.count").read_text().count("linked")


def give_away(path, **options):
    if os.geteuid() != 0:
        pytest.skip("only root can give files to others")
    os.chown(path, 12345, -1, **options)


def refused(home, caplog, *words):
    """The home is not used, which is said with the remedy, but another folder; with MXNETSEG_CACHE: none."""
    caplog.clear()
    path = cpu_library()
    assert path.parent == home.parent / "tmp" / f"mxnetseg-{os.geteuid()}" / "ops" and path.exists()
    (message,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    for word in (*words, str(path.parent), "name a folder of your own in MXNETSEG_CACHE"):
        assert word in message
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MXNETSEG_CACHE", str(home / ".cache" / "mxnetseg"))
        with pytest.raises(compilers.BuildError, match="there is no place for the operator library") as caught:
            cpu_library()
        assert all(word in str(caught.value) for word in words)


# ---- built once, and whole


def test_it_is_built_once_and_readable_by_others(home):
    before = os.umask(0)
    try:
        path = cpu_library()
        assert cpu_library() == path and links(home) == 1
    finally:
        os.umask(before)
    assert path.parent == home / ".cache" / "mxnetseg" / "ops"
    modes = {file.suffix: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert modes[".so"] == 0o755 and modes[".sha256"] == 0o644 and not path.parent.stat().st_mode & 0o022
    assert sorted(modes) == [".lock", ".log", ".sha256", ".so"]
    assert cpu_library(force=True) == path and links(home) == 2


def test_what_is_built_needs_no_compiler(home, monkeypatch):
    path = cpu_library()
    monkeypatch.setenv("CXX", "/nonexistent")
    assert cpu_library() == path and build.find(cuda=False) == build.Library(path, cuda=False, built=True)
    path.unlink()
    with pytest.raises(compilers.BuildError, match="CXX=/nonexistent does not run; set CXX to"):
        cpu_library()


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "without a digest"])
def test_a_damaged_library_is_built_anew(home, damage, monkeypatch, caplog):
    monkeypatch.setenv("COMPILED", "a library")
    path = cpu_library()
    whole = path.read_bytes()
    if damage == "without a digest":
        path.with_suffix(".sha256").unlink()
    else:
        path.write_bytes({"cut": whole[:-3], "changed": b"A" + whole[1:], "empty": b""}[damage])
    assert not build.find(cuda=False).built
    assert cpu_library().read_bytes() == whole and links(home) == 2
    assert "cut short or changed" in caplog.text


def test_builders_that_start_together(home, monkeypatch):
    monkeypatch.setenv("LINK_SECONDS", "0.2")
    with ThreadPoolExecutor(4) as pool:
        paths = set(pool.map(lambda _: cpu_library(), range(4)))
    assert len(paths) == 1 and links(home) == 1


def test_a_killed_builder_leaves_nothing(home):
    """It is killed while it links; the next one builds, and tidies up."""
    process = run("from mxnetseg.ops import build; build.build(cuda=False)", LINK_SECONDS="60", HOME=str(home))
    folder = home / ".cache" / "mxnetseg" / "ops"
    while not list(folder.glob(".build-*/*.o")):
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert list(folder.glob(".build-*")) and not list(folder.glob("*.so"))
    assert cache.is_whole(cpu_library()) and not list(folder.glob(".build-*"))


def test_a_full_disk(home, monkeypatch, caplog):
    """Whoever finds no room, a compiler or we, nothing half-written is left; another disk is tried."""

    def full(source, target):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache.os, "replace", full)
    with pytest.raises(compilers.BuildError, match="No space left on device.; free some space; .*another folder"):
        cpu_library()
    assert not list(home.rglob("*.so")) and not list(home.rglob(".build-*"))
    monkeypatch.undo()
    (home.parent / "cxx").write_text("[ $1 = --version ] || { echo 'x.o: No space left on device'; exit 1; }")
    monkeypatch.setenv("CXX", f"sh {home.parent / 'cxx'}")
    monkeypatch.setenv("MXNETSEG_CACHE", str(home))
    with pytest.raises(compilers.BuildError, match="free some space"):
        cpu_library()


def test_links_are_not_followed(home):
    path = cpu_library()
    victim = home / "victim"
    victim.write_text("precious")
    for suffix in (".log", ".sha256", ".so"):
        path.with_suffix(suffix).unlink()
        path.with_suffix(suffix).symlink_to(victim)
    with pytest.raises(cache.Unusable):  # a linked library is no library
        cache.is_whole(path)
    for suffix in (".sha256", ".so"):
        path.with_suffix(suffix).unlink()
    assert cpu_library() == path and not path.with_suffix(".log").is_symlink()
    path.with_suffix(".lock").unlink()
    path.with_suffix(".lock").symlink_to(victim)
    with pytest.raises(cache.Unusable), cache.locked(path.with_suffix(".lock")):
        pass
    assert victim.read_text() == "precious"


KINDS = {
    "a symbolic link": lambda path: path.symlink_to(path.with_name("victim")),
    "a folder": Path.mkdir,
    "a pipe": os.mkfifo,
}


@pytest.mark.parametrize("suffix", [".so", ".sha256", ".lock", ".log"])
@pytest.mark.parametrize("kind", list(KINDS))
def test_what_is_no_file_is_named(home, monkeypatch, caplog, suffix, kind):
    """It is neither followed nor waited for, and told before anything is compiled; another folder is taken."""
    path = cpu_library()
    wrong = path.with_suffix(suffix)
    wrong.unlink()
    KINDS[kind](wrong)
    if suffix in (".lock", ".log"):
        path.unlink()  # else there is no need of them
    if suffix == ".log" and kind != "a folder":
        assert cpu_library() == path and wrong.is_file() and not wrong.is_symlink()  # it is replaced
        return
    message = f"{wrong} is {kind}, where a file of the operator library belongs: remove it, or name a folder of"
    refused(home, caplog, message)
    assert links(home) == 2
    monkeypatch.setenv("MXNETSEG_CACHE", str(home / ".cache" / "mxnetseg"))
    if suffix in (".so", ".sha256"):
        with pytest.raises(compilers.BuildError, match=re.escape(message)):
            build.find(cuda=False)
    if kind == "a folder":
        with pytest.raises(compilers.BuildError, match=re.escape(message)):
            cpu_library(force=True)
        assert links(home) == 2


def test_a_file_that_cannot_be_opened_is_named(home, monkeypatch):
    path = cpu_library()
    real = os.open

    def refuse(file, *arguments):
        if Path(file) == path.with_suffix(".sha256"):
            raise PermissionError(errno.EACCES, "Permission denied", str(file))
        return real(file, *arguments)

    monkeypatch.setenv("MXNETSEG_CACHE", str(home / ".cache" / "mxnetseg"))
    monkeypatch.setattr(cache.os, "open", refuse)
    words = "{}.sha256 can't be {} (Permission denied); check the permissions of the folder; or name another folder"
    for what, action in (("read", build.find), ("written", build.build)):
        with pytest.raises(compilers.BuildError, match=re.escape(words.format(path.with_suffix(""), what))):
            action(cuda=False)


# ---- where nobody else can write


@pytest.mark.parametrize("name", [".cache", "ops", ".sha256", ".so"])
def test_what_belongs_to_others_is_refused(home, name, caplog):
    path = cpu_library()
    foreign = {".cache": home / ".cache", "ops": path.parent}.get(name) or path.with_suffix(name)
    give_away(foreign)
    refused(home, caplog, f"{foreign} belongs to another user (number 12345): remove it")


def test_a_foreign_link_to_the_folder_is_refused(home, caplog):
    cpu_library()
    (home / ".cache").rename(home / "real")
    (home / ".cache").symlink_to(home / "real")
    assert cpu_library().parent.parent.parent == home / ".cache"  # our own link
    give_away(home / ".cache", follow_symlinks=False)
    refused(home, caplog, f"{home / '.cache'} belongs to another user")


@pytest.mark.parametrize("name", [".cache", "ops", ".sha256", ".so"])
@pytest.mark.parametrize("mode", [0o002, 0o020])
def test_what_others_can_write_is_refused(home, name, mode, caplog, monkeypatch):
    path = cpu_library()
    file = {".cache": home / ".cache", "ops": path.parent}.get(name) or path.with_suffix(name)
    file.chmod(file.stat().st_mode | mode)
    if mode == 0o020:
        monkeypatch.setattr(cache, "_is_private_group", lambda number: True)
        assert cpu_library() == path  # the user's own group, with nobody else in it
        monkeypatch.setattr(cache, "_is_private_group", lambda number: False)
    refused(home, caplog, f"others can write to {file}: look what is in it, then `chmod go-w {file}`")


def test_folders_above_may_be_sticky(home, caplog):
    home.chmod(0o1777)
    path = cpu_library()
    assert path.parent.parent.parent.parent == home
    path.parent.chmod(0o1777)  # not the last one
    refused(home, caplog, f"others can write to {path.parent}")


def test_private_groups():
    assert not cache._is_private_group(54321)


def test_a_folder_mounted_noexec(home, monkeypatch, caplog):
    real = os.statvfs

    def statvfs(path):
        found = list(real(path))
        found[8] |= os.ST_NOEXEC if home in (path, *Path(path).parents) else 0
        return os.statvfs_result(found)

    monkeypatch.setattr(cache.os, "statvfs", statvfs)
    refused(home, caplog, "mounted noexec")


# ---- homes that are none


@pytest.mark.parametrize("which", ["unknown", "a file", "cannot be written"])
def test_without_a_home_temporary_files_hold_it(home, which, monkeypatch, caplog):
    if which == "unknown":  # HOME unset, and no entry for the user
        monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    else:
        monkeypatch.setenv("HOME", {"a file": __file__, "cannot be written": "/proc"}[which])
    path = cpu_library()
    assert path.parent == home.parent / "tmp" / f"mxnetseg-{os.geteuid()}" / "ops"
    assert cpu_library() == path and links(home) == 1
    if which != "unknown":
        reason = {"a file": f"{__file__} is no folder", "cannot be written": "/proc/.cache can't be written"}[which]
        assert reason in caplog.text and str(path.parent) in caplog.text


def test_a_cache_that_cannot_be_written(home, unloaded, monkeypatch):
    """Whoever named a folder gets that one or none."""
    link, named = home / "link", "name a folder of your own in MXNETSEG_CACHE"
    link.symlink_to("nowhere")
    for place, reason in (
        (__file__, f"{__file__} is no folder: {named}"),
        (f"{__file__}/below", f"{__file__} is no folder: {named}"),
        ("/dev/null", f"/dev/null is no folder: {named}"),
        (link, f"{link} is a symbolic link that leads nowhere: remove it, or {named}"),
        ("/proc", "/proc/ops can't be written (No such file or directory); check the disk and the folder; or name"),
    ):
        monkeypatch.setenv("MXNETSEG_CACHE", str(place))
        with pytest.raises(compilers.BuildError, match=re.escape(reason)):
            cpu_library()
        assert (library.status().state == "not usable") == (place != "/proc")


# ---- loading it, and doing without


@pytest.fixture
def unloaded(monkeypatch):
    """As in a process that has not asked for the library."""
    for name, value in (("_loaded", None), ("_functions", None), ("_problem", None), ("_said", 0)):
        monkeypatch.setattr(library, name, value)


def test_parallel_first_builds(first_builds):
    """Of the real one, by two processes."""
    folder, outputs = first_builds
    assert outputs == ["loaded\n"] * 2
    assert sorted(path.suffix for path in (folder / "ops").iterdir()) == [".lock", ".log", ".sha256", ".so"]


def test_status(operators):
    found = ops.status()
    assert found.state == "loaded" and found.problem is None and Path(found.path).exists()


def test_status_of_what_is_not_loaded(home, unloaded, monkeypatch):
    assert library.status().state == "not built"
    path = cpu_library()
    assert library.status() == library.Status("built", str(path))
    path.chmod(0o777)
    monkeypatch.setenv("MXNETSEG_CACHE", str(home / ".cache" / "mxnetseg"))
    found = library.status()
    assert found.state == "not usable" and f"others can write to {path}" in found.problem


def test_nothing_damaged_or_foreign_is_loaded(home, unloaded, monkeypatch, caplog):
    """A cut library would end the process (SIGBUS), a foreign one run as us: MXNet gets neither."""
    got = []
    monkeypatch.setattr("mxnetseg.ops.register.load_library", lambda path: got.append(Path(path).read_bytes()))
    monkeypatch.setenv("COMPILED", "whole")
    cpu_library().write_bytes(b"who")
    for _ in range(2):
        assert not ops.available()  # ctypes finds no ELF file in it
    assert got == [b"whole\n"]
    assert caplog.text.count("runs on MXNet's own operators") == 1 and "mxnetseg ops build --force" in caplog.text
    monkeypatch.setattr(library, "_problem", None)
    monkeypatch.setenv("MXNETSEG_CACHE", str(home / ".cache" / "mxnetseg"))
    cpu_library().chmod(0o777)
    assert not ops.available() and len(got) == 1


@pytest.mark.parametrize(
    "variable, value, state, reason",
    [
        ("CXX", "/nonexistent", "not usable", "CXX=/nonexistent does not run; set CXX to"),
        ("CXX", 'c++ -DX="', "not usable", 'CXX=c++ -DX=" is no command (No closing quotation): mend its quota'),
        ("CXX", "c++ \\", "not usable", "CXX=c++ \\ is no command (No escaped character): mend"),
        ("MXNETSEG_OPS", "0", "off", "MXNETSEG_OPS=0 switches the operator library off; unset it"),
        ("CXX", "sh broken.sh", "not usable", "building the operator library failed (exit status 3); what sh said"),
    ],
)
def test_why_it_is_done_without(home, unloaded, monkeypatch, caplog, variable, value, state, reason):
    Path("broken.sh").write_text('[ "$1" = --version ] && exit 0\necho no luck; exit 3\n')
    monkeypatch.setenv(variable, value)
    with caplog.at_level("INFO"):
        assert not ops.available(quiet=True) and not ops.available() and not ops.available()
    told = [record for record in caplog.records if "runs on MXNet's own operators" in record.getMessage()]
    assert [record.levelname for record in told] == ["INFO", "WARNING"]  # from who can do without, then from who can't
    assert reason in told[1].getMessage() and ops.status().state == state
    logs = list(home.rglob("*.log"))
    if "broken" in value:
        assert "no luck" in logs[0].read_text() and str(logs[0]) in told[1].getMessage()
    else:
        assert not logs


KEPT = """
import mxnetseg
import mxnet as mx
from mxnetseg import ops
before = {package: dict(vars(package)) for package in (mx.nd, mx.sym, mx.nd._internal, mx.sym._internal)}
ops.load()
for package, names in before.items():
    kind = "_backward_mxnetseg_" if package.__name__.endswith("_internal") else "mxnetseg_"
    after = vars(package)
    assert all(after[name] is one for name, one in names.items())
    new = set(after) - set(names)
    assert kind + "relu6" in new and all(name.startswith(kind) for name in new), new
assert mx.nd.mxnetseg_relu6(mx.nd.array([-1, 3, 9])).asnumpy().tolist() == [0, 3, 6]
"""


def test_other_operators_keep_their_functions():
    finish(run(KEPT))


WITHOUT = """
import logging, sys
logging.basicConfig(level=logging.INFO)
import numpy as np
from mxnetseg import ops
from mxnetseg.ops.blend import add_view, resize_axis
from mxnetseg.ops.upsample import serves_taps
from mxnetseg.ops.winograd import serves_winograd
from mxnet import nd
total = np.zeros((3, 20, 30), np.float32)
logits = np.arange(3 * 4 * 5).reshape(3, 4, 5) % 7
add_view(total, logits, resize_axis(32, 20, False), resize_axis(40, 30, False), align_corners=True, softmax=True)
x = nd.array(logits[None], dtype="float32")
rng = np.random.RandomState(0)
maps = [nd.array(rng.standard_normal(shape)) for shape in ((1, 4, 5, 3), (1, 4, 5, 18), (1, 4, 5, 9))]
attention = ops.deform_attention(nd, maps[0], maps[0], maps[0], *maps[1:], heads=1, scale=0.5)
unfolded = ops.deform_unfold(nd, *(nd.transpose(a, (0, 3, 1, 2)) for a in maps[:2]))
classes = ops.upsample_argmax(nd, x, height=9, width=11, align_corners=True)
np.savez(sys.argv[1], total, attention.asnumpy(), unfolded.asnumpy(), classes.asnumpy())
print(ops.status().state, serves_taps(), serves_winograd())
"""


def test_results_without_it(operators, tmp_path):
    """MXNETSEG_OPS=0: the same numbers, but for the operators that there are none for."""
    results = []
    for switch, said in (("0", "off False False\n"), ("1", "loaded True True\n")):
        path = str(tmp_path / f"{switch}.npz")
        out, _ = finish(run(f"import sys; sys.argv.append({path!r})\n{WITHOUT}", MXNETSEG_OPS=switch))
        assert out == said
        results.append(np.load(path).values())
    for without, with_it in zip(*results):
        np.testing.assert_allclose(without, with_it, rtol=1e-5, atol=1e-5)


def test_cuda_without_nvcc(home, monkeypatch):
    monkeypatch.setattr(build, "find_nvcc", lambda: None)
    with pytest.raises(compilers.BuildError, match="needs nvcc"):
        build.build(cuda=True)


def test_an_mxnet_for_cuda(home, monkeypatch, caplog):
    """The CUDA half is taken where it is built, tried once where it is not, and done without then."""
    monkeypatch.setattr(build, "_mxnet_has_cuda", lambda: True)
    monkeypatch.setattr(compilers.gpus, "toolkit_problem", lambda *facts: None)  # whatever card this machine has
    nvcc = home.parent / "nvcc"
    monkeypatch.setattr(build, "find_nvcc", lambda: str(nvcc))
    for broken in (True, False):
        work = "echo broken; exit 1" if broken else COMPILER
        nvcc.write_text(f"#!/bin/sh\n[ $1 = --list-gpu-arch ] && echo compute_80 && exit 0\n{RELEASE}\n{work}")
        nvcc.chmod(0o755)
        for force in (not broken, False):
            assert build.build(force=force).cuda is not broken
    assert caplog.text.count("the operators will run on the CPU only") == 1
    monkeypatch.setattr(build, "find_nvcc", lambda: None)
    assert build.build().cuda and build.find().cuda


def test_gpus_without_cuda_kernels_get_the_composition(operators, monkeypatch, caplog):
    monkeypatch.setattr(mx.context, "num_gpus", lambda: 1)
    monkeypatch.setattr(library, "_warned_of_gpu", False)
    if library.status().cuda:
        pytest.skip("the library has CUDA kernels")
    names = ("q", "k", "v", "offset", "position")
    with caplog.at_level("WARNING"):
        for _ in range(2):
            symbol = ops.deform_attention(mx.sym, *map(mx.sym.var, names), heads=2, scale=1)
    assert "mxnetseg_deform" not in symbol.tojson()
    assert [record.getMessage().count("no CUDA kernels") for record in caplog.records] == [1]


def test_another_lib_api_in_sight_is_not_mixed_in(operators):
    """Horovod makes what libmxnet.so has visible to all."""
    code = "import ctypes, mxnetseg, mxnet; ctypes.CDLL(mxnet.libinfo.find_lib_path()[0], ctypes.RTLD_GLOBAL)"
    finish(run(code + "\nfrom mxnetseg.ops import library; assert library.available()"))


def test_the_command(first_builds, monkeypatch, capsys):
    from mxnetseg.cli import main

    monkeypatch.setenv("MXNETSEG_CACHE", str(first_builds[0]))
    assert main(["ops", "build"]) == 0
    assert str(first_builds[0]) in capsys.readouterr().out
    assert main(["ops", "status"]) == 0
    assert "(CPU" in capsys.readouterr().out
