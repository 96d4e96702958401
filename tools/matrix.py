"""The quick half of the tests on every Python there is, with the oldest and the newest NumPy that each can have.

python tools/matrix.py                                 (or: make test-matrix)
python tools/matrix.py --python 3.13 --numpy newest -- tests/config tests/data
python tools/matrix.py --python 3.12 --whole           (all that `make test` runs)

Pythons are looked for on the path and in ~/.pyenv. Each pair has a virtual environment and a log below .venv-matrix/,
which are made once and used again (--fresh makes them anew). Packages are taken from the index, as new as
requirements.txt and the pair allow. Prints a table; the status is 1 where something failed.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".venv-matrix"
MXNET = "mxnet==1.9.1"

# The first NumPy that has wheels for a Python, and that we support
OLDEST = {8: "1.22.*", 9: "1.22.*", 10: "1.22.*", 11: "1.23.*", 12: "1.26.*", 13: "2.1.*"}
NUMPY = {"oldest": lambda minor: f"numpy=={OLDEST[minor]}", "newest": lambda minor: "numpy<3"}

# Of requirements-dev.txt: what the code is checked with, and no test is run with
CHECKERS = re.compile(r"ruff|mypy|types-.*|import-linter|grimp|pytest-xdist")

# Half of the time and a sixth of the tests: long trainings, every crash point, and variants of networks whose
# expected outputs (the goldens) are in the other half. The pages are the same for every Python.
SLOWER_HALF = (
    *(f"engine/test_{name}.py" for name in ("crashes", "dryrun", "mutated_checkpoints", "trainer")),
    *("backbones/test_backbones.py", "models/test_families.py", "models/test_segmentor.py"),
    *("docs", "tools", "test_memory.py", "test_requirements.py"),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", nargs="+", metavar="3.X", help="these only")
    parser.add_argument("--numpy", nargs="+", metavar="V", default=list(NUMPY), help="oldest, newest, or versions")
    parser.add_argument("--fresh", action="store_true", help="make the virtual environments anew")
    parser.add_argument("--whole", action="store_true", help="all that `make test` runs, not the quick half")
    parser.add_argument("tests", nargs="*", help="files, folders and options for pytest, after --; not the quick half")
    args = parser.parse_args()
    rows = []
    for minor, python in pythons().items():
        if args.python and f"3.{minor}" not in args.python:
            continue
        for numpy in args.numpy:
            rows.append(cell(minor, python, numpy, args))
            print("| " + " | ".join(rows[-1].values()) + " |", flush=True)
    print("\n| " + " | ".join(rows[0]) + " |\n" + "| --- " * len(rows[0]) + "|" if rows else "no Python found")
    for row in rows:
        print("| " + " | ".join(row.values()) + " |")
    return 0 if rows and all(row["failed"] == "0" for row in rows) else 1


def pythons() -> dict:
    """Minor version -> program, oldest first."""
    found = {}
    for minor in OLDEST:
        candidates = [shutil.which(f"python3.{minor}")]
        candidates += sorted(Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python"))
        for program in filter(None, candidates):
            if _output(program, "-c", "import sys; print(sys.version_info[1])") == str(minor):
                found[minor] = str(program)
                break
    return found


def cell(minor: int, python: str, numpy: str, args) -> dict:
    """Install and test one pair; the row of the table, as texts."""
    folder = FOLDER / f"3.{minor}-{numpy}"
    program = folder / "bin" / "python"
    if args.fresh:
        shutil.rmtree(folder, ignore_errors=True)
    began = time.time()
    try:
        if not (folder / "installed").exists():
            install(python, folder, NUMPY[numpy](minor) if numpy in NUMPY else f"numpy=={numpy}")
        quick = [] if args.whole or args.tests else [f"--ignore=tests/{path}" for path in SLOWER_HALF]
        counts = run_tests(program, folder / "log.txt", args.tests or quick)
    except subprocess.CalledProcessError as err:
        counts = {"passed": "-", "failed": f"not installed: {' '.join(map(str, err.cmd[:6]))} ...", "skipped": "-"}
    version = "import sys, numpy; print(sys.version.split()[0], numpy.__version__)"
    versions = (_output(program, "-c", version) or f"3.{minor} {numpy}").split()
    return {"Python": versions[0], "NumPy": versions[1], **counts, "minutes": f"{(time.time() - began) / 60:.0f}"}


def install(python: str, folder: Path, numpy: str) -> None:
    """A virtual environment with all that the tests need; raises CalledProcessError where it can't be had.

    MXNet says that it wants NumPy < 2, so it comes last and without asking, and what else it wants is ours to name.
    """
    subprocess.run([python, "-m", "venv", "--clear", str(folder)], check=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    wanted = [line for line in _requirements("requirements.txt") if _name(line) not in ("mxnet", "numpy")]
    wanted += [line for line in _requirements("requirements-dev.txt") if not CHECKERS.fullmatch(_name(line))]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", MXNET], check=True)
    script = "import importlib.metadata as m; print(*m.requires('mxnet'), sep='\\n')"
    wanted += [line for line in _output(pip[0], "-c", script).splitlines() if _name(line) != "numpy"]
    subprocess.run([*pip, "install", "--quiet", "--prefer-binary", numpy, *wanted], check=True)
    (folder / "installed").touch()


def run_tests(program: Path, log: Path, tests) -> dict:
    """Counts of what passed, failed and was skipped."""
    command = [str(program), "-m", "pytest", "-q", "-m", "not slow", "-rfEs", "-p", "no:cacheprovider", *tests]
    with log.open("w", encoding="utf-8") as file:
        status = subprocess.run(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, env=os.environ).returncode
    last = log.read_text(encoding="utf-8").strip().rpartition("\n")[2]
    number = {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed|skipped|error)", last)}
    failed = number.get("failed", 0) + number.get("error", 0) or (1 if status else 0)
    return {"passed": str(number.get("passed", 0)), "failed": str(failed), "skipped": str(number.get("skipped", 0))}


def _requirements(name: str) -> list:
    lines = (line.partition("#")[0].strip() for line in (ROOT / name).read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


def _name(requirement: str) -> str:
    return re.match(r"[\w.-]+", requirement).group().lower()


def _output(program, *arguments: str) -> str:
    done = subprocess.run([str(program), *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
