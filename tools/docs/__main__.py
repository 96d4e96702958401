"""Write what is made from the code in docs/: whole pages, or the parts of one between two marks.

python -m tools.docs                   all but parity, which takes minutes   (or: make docs-tables)
python -m tools.docs parity models     these
python -m tools.docs --check           write nothing; exit status 1 where one is not current
"""

import argparse
import importlib
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"
SLOW = ("parity",)
# the page -> the module whose text() takes what it says now and gives what it should say
PAGES = {
    "commands": "tools.docs.commands",
    "config": "tools.docs.config",
    "data": "tools.docs.data",
    "models": "tools.docs.models",
    "parity": "tools.docs.parity",
    "performance": "tools.bench.summary",
}


def texts(name: str):
    """What a page says, and what it should say."""
    now = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    return now, importlib.import_module(PAGES[name]).text(now)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pages", nargs="*", metavar="PAGE", help=f"of {', '.join(PAGES)}")
    parser.add_argument("--check", action="store_true", help="write nothing; exit status 1 where one is not current")
    args = parser.parse_args()
    unknown = [name for name in args.pages if name not in PAGES]
    if unknown:
        parser.error(f"{unknown[0]}: there are {', '.join(PAGES)}")
    old = []
    for name in args.pages or [name for name in PAGES if name not in SLOW]:
        now, wanted = texts(name)
        if now != wanted:
            old.append(name)
            if not args.check:
                (DOCS / f"{name}.md").write_text(wanted, encoding="utf-8")
    print(f"{'not current' if args.check else 'written anew'}: {', '.join(old) or 'none'}")
    return int(args.check and bool(old))


if __name__ == "__main__":
    sys.exit(main())
