"""The table at the top of docs/performance.md, taken from the tables that the suite has written below it.

`python -m tools.docs performance` writes it, and `python -m tools.bench --write` does so too.
"""

import re
from pathlib import Path
from typing import Dict, List

PAGE = Path(__file__).resolve().parents[2] / "docs" / "performance.md"
BEGIN, END = "<!-- made by python -m tools.docs -->", "<!-- end of the summary -->"
HEADERS = (
    "network, size",
    "float32",
    "bfloat16",
    "int8",
    "float32 time / PyTorch's best",
    "float32 time / OpenVINO's",
)


def measured(text: str) -> Dict[str, Dict[str, str]]:
    """Network and size -> images per second of our optimized network by type, and the ratios of the first table."""
    inference = text.split("### Inference\n")[1].split("\n### ")[0]
    ratios = {row["network, size"]: row for row in table(inference.split("\n#### ")[0])}
    found = {}
    for part in inference.split("\n#### ")[1:]:
        title = part.splitlines()[0].strip()
        speeds = {row["contender"]: row["images/s"] for row in table(part)}
        found[title] = {
            "float32": speeds.get("MXNetSeg f32 (mxnetseg.deploy)", ""),
            "bfloat16": speeds.get("MXNetSeg bf16 (mxnetseg.deploy)", ""),
            "int8": speeds.get("MXNetSeg int8 (mxnetseg.deploy)", ""),
            HEADERS[4]: ratios[title]["f32 / PyTorch's best"],
            HEADERS[5]: ratios[title]["f32 / OpenVINO f32"],
        }
    return found


def table(text: str) -> List[Dict[str, str]]:
    """The rows of the first table in `text`."""
    lines = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE).group(0).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [dict(zip(cells[0], row)) for row in cells[2:]]


def text(page: str) -> str:
    """The page with a summary of what it says now; as it is, if it has no place for one."""
    if BEGIN not in page:
        return page
    rows = [HEADERS, ["---"] * len(HEADERS)]
    rows += [(f"`{title}`", *(row[name] for name in HEADERS[1:])) for title, row in measured(page).items()]
    lines = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n\n{lines}\n\n{END}{rest.split(END)[1]}"
