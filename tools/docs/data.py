"""docs/data.md: the sections about the data sets, from the table."""

import textwrap

from mxnetseg.config import DataConfig
from mxnetseg.data import get_spec, list_datasets
from mxnetseg.data.prepare import PREPARATIONS

BEGIN = "<!-- from here on made by python -m tools.docs -->"
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
    lines += ["", *_wrapped(f"Values in the masks: {classes}. Ignored: {spec.values_text(spec.ignore)}.")]
    return lines


def _wrapped(text: str):
    return textwrap.wrap(text, 118, break_long_words=False, break_on_hyphens=False)


def text(page: str) -> str:
    """The page with the sections of now."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n\n{sections()}\n\n{END}{rest.split(END)[1]}"
