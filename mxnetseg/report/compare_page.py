"""Two or three reports side by side: the page, and its files."""

import json
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

from ..errors import MXNetSegError
from ..optional import check_installed
from ..saving import check_free, write_files
from .compare import LETTERS, check_comparable, comparison
from .page import Ranking, budgeted, render
from .results import Results
from .tables import write_table

__all__ = ["COMPARED", "check_compared", "write_comparison"]

PAGE = "compare.html"
COMPARED = (PAGE, "compare.json", "compare.csv")


def check_compared(folder: Path, overwrite: bool = False) -> None:
    """Tell before the work what would keep `write_comparison` from writing there. Raises as `check_report`."""
    check_installed("jinja2", "a comparison", "'mxnetseg[report]'")
    if folder.exists() and not folder.is_dir():
        raise MXNetSegError(f"{folder} is a file; a comparison is a folder, so name another place")
    check_free([folder / name for name in COMPARED], overwrite)


def write_comparison(reports: Sequence[Tuple[Path, Results]], folder: Path) -> Path:
    """Write a comparison of two or three reports; gives the page's path.

    Raises
    ------
    MXNetSegError
        They are of different images or classes.
    SaveError
    """
    check_comparable(reports)
    numbers = comparison(reports)
    letters = LETTERS[: len(reports)]
    columns = [*(f"miou_{letter}" for letter in letters), *(f"{letter}_minus_A" for letter in letters[1:])]
    rows = [[row["name"], *row["miou"], *row["differences"]] for row in numbers["images"]]
    files: Dict[str, List[Any]] = {
        "compare.csv": [write_table(["name", *columns], rows)],
        "compare.json": [(json.dumps(numbers, indent=1, allow_nan=False) + "\n").encode()],
        PAGE: [_page([results for _, results in reports], numbers)],
    }
    write_files({folder / name: chunks for name, chunks in files.items()})
    return folder / PAGE


def _page(results: Sequence[Results], numbers: Dict[str, Any]) -> bytes:
    letters = LETTERS[: len(results)]
    pictures = {
        number: (*first[:2], *(each.pictures[number][part] for part in (2, 3) for each in results))
        for number, first in results[0].pictures.items()
        if all(number in each.pictures for each in results)
    }
    rankings = [
        ranking
        for place, letter in enumerate(letters[1:])
        for ranking in (
            _ranking(numbers, place, f"{letter} got worse than A", 1),
            _ranking(numbers, place, f"{letter} got better than A", -1),
        )
    ]
    one = results[0]
    per_class = [row["differences"][0]["value"] for row in numbers["per_class"]]
    return render(
        "compare.html",
        budgeted(rankings, pictures),
        rankings,
        changed=any(each["items"] for each in rankings),
        parts_shown=["image", "truth", *letters, *(f"errors of {letter}" for letter in letters)],
        names=one.names,
        classes=one.classes,
        n=numbers,
        heading=f"{' and '.join(letters)} on {one.about.get('data')} {one.about.get('split')}",
        palette=one.palette,
        class_order=_ascending(per_class),
        image_order=_ascending([row["differences"][0] for row in numbers["images"]]),
    )


def _ranking(numbers: Dict[str, Any], place: int, label: str, sign: int) -> Ranking:
    changes = [row["differences"][place] for row in numbers["images"]]
    items = []
    for number in _ascending([None if change is None else sign * change for change in changes]):
        change, miou = changes[number], numbers["images"][number]["miou"]
        if change is not None and sign * change < 0:
            items.append((number, f"mIoU {100 * miou[0]:.1f} to {100 * miou[place + 1]:.1f} ({100 * change:+.1f})"))
    return {"label": label, "items": items}


def _ascending(values: Sequence[Any]) -> List[int]:
    """Places in rising order of the values, those without one last."""
    return sorted(range(len(values)), key=lambda place: (values[place] is None, values[place] or 0, place))
