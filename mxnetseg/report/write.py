"""A report's folder: checked before the work, written whole or not at all."""

import json
from pathlib import Path
from typing import Any, Dict, List

from ..errors import MXNetSegError
from ..optional import check_installed
from ..saving import check_free, write_files
from .numbers import numbers_of
from .page import report_page
from .plots import plots_of
from .results import ARRAYS, NUMBERS, PICTURES, Results, pack
from .tables import tables_of

__all__ = ["PAGE", "check_report", "write_report"]

PAGE = "report.html"
PLOTS = ("classes", "confusion", "borders", "sizes", "reliability", "coverage")
TABLES = ("classes.csv", "images.csv", "confusion.csv")


def check_report(folder: Path, overwrite: bool = False) -> None:
    """Tell before the work what would keep `write_report` from writing there.

    Raises
    ------
    MXNetSegError
        A package is missing, or a report is there and `overwrite` is not set.
    SaveError
        The folder can't be made, or not be written to.
    """
    for module in ("jinja2", "matplotlib"):
        check_installed(module, "a report", "'mxnetseg[report]'")
    if folder.exists() and not folder.is_dir():
        raise MXNetSegError(f"{folder} is a file; a report is a folder, so name another place")
    plots = [f"plots/{name}.{kind}" for name in PLOTS for kind in ("svg", "png")]
    names = [PAGE, NUMBERS, ARRAYS, PICTURES, *TABLES, *plots]
    check_free([folder / name for name in names], overwrite)


def write_report(results: Results, folder: Path) -> Path:
    """Write page, numbers, tables, plots and what they are made of; gives the page's path.

    All files are whole on the disk before the first gets its name; the page comes last.

    Raises
    ------
    SaveError
    """
    numbers = numbers_of(results)
    plots = {plot.name: plot.files() for plot in plots_of(numbers)}
    files: Dict[str, List[Any]] = dict(pack(results))
    files.update(tables_of(numbers))
    files.update({f"plots/{name}.{kind}": [file] for name, kinds in plots.items() for kind, file in kinds.items()})
    files[NUMBERS] = [(json.dumps(numbers, indent=1, allow_nan=False) + "\n").encode()]
    files[PAGE] = [report_page(results, numbers, {name: kinds["svg"] for name, kinds in plots.items()})]
    write_files({folder / name: chunks for name, chunks in files.items()})
    return folder / PAGE
