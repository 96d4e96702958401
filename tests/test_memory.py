"""The limit on the tests' own memory: what passes it is named."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TESTS = """
import subprocess
import sys
import pytest
import tests.memory

tests.memory.LIMIT = tests.memory.peak() + (64 << 20)
TAKE = "b'x' * (200 << 20)"

def test_small():
    pass

{mark}
def test_large(tmp_path):
    {large}

def test_after():
    pass
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from Linux")
@pytest.mark.parametrize(
    "mark, large, outcome",
    [
        ("", "exec(TAKE)", "3 passed, 1 error"),
        ("", "subprocess.run([sys.executable, '-c', TAKE], check=True)", "3 passed, 1 error"),
        ("", "b'x' * (1 << 20)", "3 passed"),
        ("@pytest.mark.slow", "exec(TAKE)", "3 passed"),
    ],
    ids=["itself", "another process", "little", "slow"],
)
def test_the_limit_names_who_passes_it(mark, large, outcome, tmp_path):
    (tmp_path / "test_it.py").write_text(TESTS.format(mark=mark, large=large))
    command = [sys.executable, "-m", "pytest", "-p", "tests.memory", "-p", "no:cacheprovider", "-p", "no:xdist"]
    command += ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path), str(tmp_path)]
    told = subprocess.run(command, cwd=str(ROOT), stdout=subprocess.PIPE).stdout.decode()
    assert f"= {outcome} in " in told, told
    assert ("ERROR at teardown of test_large" in told and "mark it slow" in told) == ("error" in outcome)
