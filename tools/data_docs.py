"""Write the sections of docs/data.md that describe the data sets, from the table.

python tools/data_docs.py          writes them
python tools/data_docs.py --check  says whether they are current (exit status 1: not)
"""

import argparse
import sys
import textwrap
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mxnetseg.config import DataConfig
from mxnetseg.data import get_spec, list_datasets
from mxnetseg.data.prepare import PREPARATIONS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "data.md"
BEGIN = "<!-- from here on made by tools/data_docs.py -->"
END = "<!-- up to here -->"


def sections() -> str:
    """The overview and one section per data set."""
    specs = [get_spec(DataConfig(name=name)) for name in list_datasets() if name != "folder"]
    lines = ["| name | classes | splits | prepare |", "| --- | --- | --- | --- |"]
    for spec in specs:
        splits = ", ".join(f"{s} (no labels)" if s in spec.unlabelled else s for s in spec.splits)
        needed = "yes" if spec.name in PREPARATIONS else ""
        lines.append(f"| [{spec.name}](#{spec.name}) | {spec.num_classes} | {splits} | {needed} |")
    for spec in specs:
        lines += ["", *_section(spec)]
    return "\n".join(lines)


def _section(spec):
    lines = [f"### {spec.name}", ""]
    about = f"{spec.title}. License: {spec.license}."
    if spec.homepage:
        about += f" From <{spec.homepage}>: {spec.download}."
    if spec.note:
        about += f" {spec.note[0].upper()}{spec.note[1:]}."
    lines += _wrapped(about)
    for layout in spec.describe():
        lines += ["", "```text", *layout, "```"]
    inside = [f"`{folder}`" for folder in spec.inside]
    if inside:
        lines += ["", *_wrapped(f"Below the root, or below {', '.join(inside)} in it.")]
    preparation = PREPARATIONS.get(spec.name)
    if preparation:
        needs = "; ".join(f"`{need}`" if " " not in need else need for need in preparation.needs)
        made = f"`mxnetseg data prepare {spec.name} --from DOWNLOADS --to DIR` looks for {needs}: {preparation.makes}."
        lines += ["", *_wrapped(made)]
    raw = {}
    for value, index in sorted(spec.raw_values().items()):
        raw.setdefault(index, value)
    classes = ", ".join(f"{raw[index]} {name}" for index, name in enumerate(spec.classes))
    lines += ["", *_wrapped(f"Values in the masks: {classes}. Ignored: {_ranges(spec.ignore)}.")]
    return lines


def _wrapped(text: str):
    return textwrap.wrap(text, 118, break_long_words=False, break_on_hyphens=False)


def _ranges(values) -> str:
    parts = []
    for value in sorted(values):
        if parts and value == parts[-1][1] + 1:
            parts[-1][1] = value
        else:
            parts.append([value, value])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)


def page(text: str) -> str:
    """The page with the sections of now."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n{sections()}\n\n{END}{rest.split(END)[1]}"


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit status 1 when the page is not current"
    )
    args = parser.parse_args(argv)
    text = PAGE.read_text(encoding="utf-8")
    new = page(text)
    if args.check:
        print("current" if text == new else f"{PAGE} is not current; run tools/data_docs.py")
        return int(text != new)
    PAGE.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
