"""The tutorial, done as it says, on less: fewer and smaller scenes, two steps of training."""

import re
import shlex
import subprocess
import sys

import numpy as np
import pytest

from mxnetseg.visual import save_png

from .markdown import ROOT, blocks, read

PAGE = "docs/tutorial.md"
FEWER = "--set train.iterations=2 train.epochs=null train.val_every=1 train.batch_size=2"


@pytest.fixture
def clone(tmp_path):
    """What the tutorial finds in a clone, and the photographs that it asks for."""
    for name in ("configs", "demo", "eval.py", "mxnetseg", "train.py"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "weights").mkdir()
    for path in (ROOT / "weights" / "bisenet").glob("*.params"):
        (tmp_path / "weights" / "bisenet").mkdir(exist_ok=True)
        (tmp_path / "weights" / "bisenet" / path.name).symlink_to(path)
    rng = np.random.RandomState(0)
    for split, stem in (("train", "a"), ("train", "c"), ("val", "b")):
        save_png(tmp_path / "my_data" / "images" / split / f"{stem}.png", rng.randint(0, 256, (96, 128, 3), np.uint8))
        mask = np.repeat(rng.choice(np.array([0, 1, 2, 255], np.uint8), (96, 1)), 128, axis=1)
        save_png(tmp_path / "my_data" / "masks" / split / f"{stem}.png", mask)
    return tmp_path


def lighter(line):
    """The command, with less to do."""
    line = line.replace("--train 320", "--train 4 --val 2 --size 64 96")
    return f"{line} {FEWER}" if line.startswith("python train.py") else line


@pytest.mark.slow
def test_every_step_works(clone):
    names = iter(re.findall(r"[Ss]ave this as\s+`([\w.]+)`", read(PAGE)))
    trained = None
    for block in blocks(PAGE):
        if block.language == "yaml" and "_base_" in block.text:
            (clone / next(names)).write_text(block.text, encoding="utf-8")
        if block.language not in ("sh", "python") or "git clone" in block.text:
            continue
        text = block.text.replace("FILE", trained or "FILE")
        commands = [["python", "-c", text]] if block.language == "python" else map(split, text.splitlines())
        for command in commands:
            done = subprocess.run(
                [sys.executable, *command[1:]], cwd=clone, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
            assert done.returncode == 0, f"{block.where}: {' '.join(command)}\n{done.stdout}"
            found = re.search(r"^best +(\S+\.params)", done.stdout, re.MULTILINE)
            trained = found.group(1) if found else trained
    assert next(names, None) is None, "a recipe that the tutorial names was not given"
    assert len(list((clone / "runs" / "seen").glob("*_panel.png"))) == 2
    assert (clone / "streets.png").is_file() and (clone / "photos.png").is_file()


def split(line):
    words = shlex.split(lighter(line), comments=True)
    assert words[0] == "python", line
    return words
