"""Pages that lead through a task, done as they say, on less: fewer and smaller scenes, two steps of training."""

import re
import shlex
import subprocess
import sys

import numpy as np
import pytest

from mxnetseg.visual import save_png

from .markdown import ROOT, blocks, read

# what is there in the end: files, and how many
LEFT = {
    "docs/tutorial.md": {"runs/seen/*_panel.png": 2, "streets.png": 1, "photos.png": 1},
    "docs/finetune.md": {"my_seen/*_panel.png": 2, "runs/*/log.txt": 2},
}
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
    line = re.sub("--train (320|24 --val 12)", "--train 4 --val 2 --size 64 96", line)
    if not line.startswith("python train.py"):
        return line
    return f"{line} {FEWER}{' model.unfreeze_at=1' if '--from' in line else ''}"


@pytest.mark.slow
@pytest.mark.parametrize("page", LEFT)
def test_every_step_works(clone, page):
    names = iter(re.findall(r"[Ss]ave this as\s+`([\w.]+)`", read(page)))
    trained = None
    for block in blocks(page):
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
    assert next(names, None) is None, "a recipe that the page names was not given"
    assert {pattern: len(list(clone.glob(pattern))) for pattern in LEFT[page]} == LEFT[page]


def split(line):
    words = shlex.split(lighter(line), comments=True)
    assert words[0] == "python", line
    return words
