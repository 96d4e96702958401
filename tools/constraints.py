"""Write constraints/: one version of each package, with its hashes, for each Python.

`make constraints` runs it. python3.8.txt is all that requirements.txt needs on Python 3.8, python3.8-dev.txt what
requirements-dev.txt adds. Versions that the files hold already are kept where the ranges still allow them; with
--upgrade the newest releases are taken. The files are whole, for `pip install --no-deps -r`: so MXNet stands beside
NumPy 2 on Python 3.13, which its own word, NumPy < 2, would rule out.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import tomllib

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "constraints"
PYTHONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13")
PLATFORM = "x86_64-manylinux_2_28"  # MXNet's wheels are for x86-64
MXNET = "mxnet==1.9.1"
HEADER = """\
# For Python {python} on x86-64 Linux, from the ranges of {source}, by `make constraints`:
# pip install --no-deps -r constraints/{name}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--upgrade", action="store_true", help="take the newest releases that the ranges allow")
    parser.add_argument("pythons", nargs="*", default=PYTHONS, metavar="3.X", help="for these alone")
    args = parser.parse_args()
    for python in args.pythons:
        write(python, args.upgrade)


def write(python: str, upgrade: bool) -> None:
    """The two files of one Python."""
    names = {"requirements.txt": f"python{python}.txt", "requirements-dev.txt": f"python{python}-dev.txt"}
    kept = "" if upgrade else "".join(_read(FOLDER / name) for name in names.values())
    with tempfile.TemporaryDirectory() as scratch:
        use, both, lock = (Path(scratch, name) for name in ("use.txt", "both.txt", "pylock.toml"))
        use.write_text(kept, encoding="utf-8")
        _compile(python, use, ROOT / "requirements.txt")
        both.write_text(kept, encoding="utf-8")
        _compile(python, both, ROOT / "requirements.txt", ROOT / "requirements-dev.txt", "-c", use)
        mxnet = Path(scratch, "mxnet.txt")
        mxnet.write_text(MXNET, encoding="utf-8")
        _compile(python, lock, both, mxnet, "--no-deps")  # the same versions, with the files there are for this Python
        packages = tomllib.loads(lock.read_text(encoding="utf-8"))["packages"]
        used = {line.partition("==")[0] for line in _read(use).splitlines()} | {MXNET.partition("==")[0]}
    FOLDER.mkdir(exist_ok=True)
    for source, name in names.items():
        lines = [_lines(package) for package in packages if (package["name"] in used) == (source == "requirements.txt")]
        text = HEADER.format(python=python, source=source, name=name) + "".join(sorted(lines))
        (FOLDER / name).write_text(text, encoding="utf-8")
        print(f"constraints/{name}: {len(lines)} packages")


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _compile(python: str, target: Path, *arguments) -> None:
    fixed = ["--python-version", python, "--python-platform", PLATFORM, "--no-build", "--no-header", "--no-annotate"]
    subprocess.run([sys.executable, "-m", "uv", "pip", "compile", "-q", *fixed, "-o", target, *arguments], check=True)


def _lines(package) -> str:
    hashes = sorted(f"sha256:{file['hashes']['sha256']}" for file in package["wheels"])
    return (
        " \\\n".join([f"{package['name']}=={package['version']}", *(f"    --hash={digest}" for digest in hashes)])
        + "\n"
    )


if __name__ == "__main__":
    main()
