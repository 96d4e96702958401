"""PyTorch checkpoints: damaged files, and files that are none, are refused."""

import os
import pickle
import random
import struct
import sys
import zipfile

import numpy as np
import pytest

from mxnetseg.convert import read_pth
from mxnetseg.errors import MXNetSegError

from .pth import BOTH, FILES, STATE, ramp, refused, same
from .writer import tensor, write_legacy, write_object, write_pth, write_zip


@pytest.mark.parametrize(
    "content, word",
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"\xef\xbb\xbf\n <html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS"),
        (b"Access denied\n", "a text"),
        (b"\x00\x01\x02" * 99, "not a checkpoint"),
        (b"\x93NUMPY\x01\x00v\x00", "not a checkpoint"),
        (b"\x1f\x8b\x08\x00abc", "gzip"),
        (b"./sys_info" + bytes(247) + b"ustar  \x00" + bytes(999), "0.1.10"),
        (b"PK\x03\x04" + bytes(100), "zip archive"),
        (b"\x80\x02}q\x00.", "torch.save did not write it"),
        (b"\x80", "torch.save did not write it"),
        (pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2) + pickle.dumps(1002, protocol=2), "unknown version"),
    ],
)
def test_other_files(tmp_path, content, word):
    (tmp_path / "x.pth").write_bytes(content)
    refused(tmp_path / "x.pth", word)


def test_not_a_file(tmp_path):
    refused(tmp_path, "folder")
    refused(tmp_path / "missing.pth", "No such file")
    refused(str(tmp_path / "nul\0"))
    if sys.platform != "win32":
        refused("/dev/zero", "not an ordinary file")
        os.mkfifo(tmp_path / "pipe")
        refused(tmp_path / "pipe", "not an ordinary file")


def test_other_archives(tmp_path):
    path = tmp_path / "x.pth"
    np.savez(path.with_suffix(".npz"), a=np.ones(2))
    refused(path.with_suffix(".npz"), "torch.save did not write it")
    write_zip(path, pickle.dumps({}), **{"constants.pkl": b""})
    refused(path, "TorchScript")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + b"N0" * 50_000 + b"N.")
    refused(path, "is compressed")
    write_object(path, {"w": tensor(ramp(4))})
    content = path.read_bytes()
    path.write_bytes(content.replace(b"archive/data/0", b"archive/data/1"))
    refused(path, "data/0 is missing")
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as archive:
        for _ in range(2):
            archive.writestr("archive/data/2", b"")
    refused(path, "data/0 is missing")


def test_overlapping_members(tmp_path):
    path = tmp_path / "x.pth"
    write_zip(path, pickle.dumps({}), {"0": ramp(900)})
    content = path.read_bytes()
    directory = content.index(b"PK\x01\x02")
    end = content.index(b"PK\x05\x06")
    many = content[directory:end] * 50
    count = struct.pack("<HH", 200, 200)
    tail = content[end : end + 8] + count + struct.pack("<II", len(many), directory) + content[end + 20 :]
    path.write_bytes(content[:directory] + many + tail)
    refused(path, "overlap")


def test_damaged_storage_is_found(tmp_path):
    write_pth(tmp_path / "x.pth", STATE)
    content = bytearray((tmp_path / "x.pth").read_bytes())
    content[content.index(ramp(2, 3).tobytes()) + 5] ^= 1
    (tmp_path / "x.pth").write_bytes(content)
    refused(tmp_path / "x.pth", "data/0", "CRC", "download it again")


@BOTH
def test_every_truncation(tmp_path, legacy):
    write_pth(tmp_path / "whole.pth", {"a": ramp(3), "b": np.arange(2)}, "state_dict", legacy)
    content = (tmp_path / "whole.pth").read_bytes()
    for length in range(len(content)):
        (tmp_path / "x.pth").write_bytes(content[:length])
        refused(tmp_path / "x.pth")


@pytest.mark.parametrize("name", sorted(path.name for path in FILES.glob("*.pth")))
def test_flipped_bytes(tmp_path, name):
    """Nothing but MXNetSegError escapes; where the zip format accepts a file, its arrays are right."""
    content = (FILES / name).read_bytes()
    expected = read_pth(FILES / name)
    rng = random.Random(name)
    accepted = 0
    for round_ in range(700):
        changed = bytearray(content)
        for _ in range(1 + round_ % 3):
            # a third of the changes near the end, where a zip archive has its directory
            low = len(content) * 2 // 3 if round_ % 3 == 2 else 0
            changed[rng.randrange(low, len(content))] = rng.randrange(256)
        if round_ % 7 == 0:
            at = rng.randrange(len(changed))
            del changed[at : at + rng.randrange(1, 40)]
        (tmp_path / "x.pth").write_bytes(changed)
        try:
            got = read_pth(tmp_path / "x.pth")
        except MXNetSegError:
            continue
        accepted += 1
        for array in got.values():
            assert type(array) is np.ndarray and array.tobytes() is not None
        if "legacy" not in name:
            same(got, expected)
    assert accepted < 700


@BOTH
def test_changed_pickles(tmp_path, legacy):
    """Past the checksums: opcodes and their arguments changed, moved and repeated."""
    write_object(tmp_path / "x.pth", {"model": {"a": tensor(ramp(2, 2)), "b": tensor(np.arange(3))}, "c": [1, "x"]})
    with zipfile.ZipFile(tmp_path / "x.pth") as archive:
        content = archive.read("archive/data.pkl")
    write = write_legacy if legacy else write_zip
    rng = random.Random(5)
    for round_ in range(2500):
        changed = bytearray(content)
        for _ in range(1 + round_ % 4):
            at, other = rng.randrange(len(content)), rng.randrange(len(content))
            if round_ % 3:
                changed[at] = rng.choice(content) if round_ % 3 == 1 else rng.randrange(256)
            else:
                changed[at:at] = content[other : other + rng.randrange(12)]
        write(tmp_path / "x.pth", bytes(changed), {"0": ramp(4), "1": np.arange(3)})
        try:
            for array in read_pth(tmp_path / "x.pth").values():
                assert array.nbytes <= 1 << 20 and array.tobytes() is not None
        except MXNetSegError:
            continue
