"""Whatever a file is, reading it ends in one clear error or the right answer, and in little memory."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.data.hostile import ANY, ERROR, Case, cases

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data" / "hostile"

# in a process of its own, whose memory is measured, and which may crash
READ = """
import json, resource, sys
from pathlib import Path
import numpy as np
from mxnetseg.data.files import read_image
from mxnetseg.data.masks import read_mask
from mxnetseg.errors import MXNetSegError
folder, key, out = sys.argv[1:]
start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = {}
for path in sorted(Path(folder).iterdir()):
    for name, read in (("image", read_image), ("mask", lambda path: read_mask(path, key))):
        try:
            array = read(path)
        except MXNetSegError as err:
            found[f"{path.name} {name}"] = str(err)
        else:
            np.save(f"{out}/{path.name} {name}.npy", array)
            found[f"{path.name} {name}"] = None
used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start
print(json.dumps({"found": found, "used": used / 1024}))
"""


def read_all(folder: Path, out: Path, key: str = "x") -> dict:
    out.mkdir()
    command = [sys.executable, "-c", READ, str(folder), key, str(out)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def problem(case: Case, what: str, error, out: Path, name: str) -> str:
    """What is wrong with an outcome; nothing if it is right."""
    wanted = getattr(case, what)
    if error is not None:
        must = case.must and not isinstance(wanted, str)
        return f"{name} {what}: {error}" if must or name not in error or "\n" in error else ""
    if isinstance(wanted, str):
        return f"{name} {what}: no error" if wanted == ERROR else ""
    array = np.load(out / f"{name} {what}.npy")
    same = array.shape == wanted.shape and (np.abs(array.astype(int) - wanted.astype(int)) <= (".jpg" in name)).all()
    return "" if same else f"{name} {what}: another answer"


def test_files_of_our_own_making(tmp_path):
    (tmp_path / "files").mkdir()
    made = cases()
    assert len(made) >= 142
    for name, case in made.items():
        (tmp_path / "files" / name).write_bytes(case.data)
    report = read_all(tmp_path / "files", tmp_path / "out")
    assert len(report["found"]) == 2 * len(made)
    problems = [
        problem(case, what, report["found"][f"{name} {what}"], tmp_path / "out", name)
        for name, case in made.items()
        for what in ("image", "mask")
    ]
    assert not any(problems), "\n".join(filter(None, problems))
    assert report["used"] < 400  # MB
    for wanted in (ERROR, ANY):
        assert sum(isinstance(case.image, str) and case.image == wanted for case in made.values()) > 10


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"no {SHARED}")
def test_files_that_once_took_gigabytes(tmp_path):
    report = read_all(SHARED, tmp_path / "out")
    assert report["used"] < 100
    found = {name: error for name, error in report["found"].items() if "README" not in name}
    read = sorted(name for name, error in found.items() if error is None)
    assert read == [f"{kind}_bomb.png {what}" for kind in ("iccp", "ztxt") for what in ("image", "mask")]
    assert all(error is None or name.split()[0] in error for name, error in found.items())
