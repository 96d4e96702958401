"""The page on your own data, word for word in an empty folder, with fewer scenes and less training."""

import os
import subprocess
import sys

import pytest

from .markdown import ROOT, blocks

PAGE = "docs/your-data.md"
LESS = {"--train 48 --val 12": "--train 6 --val 2", "train.epochs=20": "train.epochs=1"}


@pytest.mark.slow
def test_every_command_works(tmp_path):
    program = tmp_path / "bin" / "mxnetseg"  # as an installed package has it
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m mxnetseg "$@"\n')
    program.chmod(0o755)
    folder = tmp_path / "empty"
    folder.mkdir()
    env = dict(os.environ, PATH=f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    for block in (block for block in blocks(PAGE) if block.language == "sh"):
        text = block.text
        for much, less in LESS.items():
            text = text.replace(much, less)
        done = subprocess.run(
            ["sh", "-ec", text], cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert done.returncode == 0, f"{block.where}: {text}\n{done.stdout}"
    assert len(list((folder / "my_scenes" / "seen").rglob("*.png"))) >= 2
    assert (folder / "my_scenes" / "browse.png").is_file()
