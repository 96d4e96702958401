"""What pytest finds by itself."""

from fnmatch import fnmatch
from pathlib import Path

HERE = Path(__file__).parent


def test_no_folder_of_tests_is_left_out(pytestconfig):
    """As pytest leaves out folders that are called dist or build, unless it is told otherwise."""
    parts = {part for path in HERE.rglob("test_*.py") for part in path.relative_to(HERE).parts}
    assert "dist" in parts
    assert not [part for part in parts for left_out in pytestconfig.getini("norecursedirs") if fnmatch(part, left_out)]
