"""mxnetseg runs"""

import time
from pathlib import Path

from ..errors import MXNetSegError
from ..saving import check_free
from . import options

HELP = "List runs: how good they are, how far, what differs between their recipes; draw their curves."
FORMATS = (".png", ".svg", ".pdf")
MOST = 6  # keys that are shown of a run


def add_arguments(parser) -> None:
    parser.add_argument(
        "folders", nargs="*", metavar="DIR", help="folders of runs, or folders that hold some; runs when left out"
    )
    what = "draw the training loss and the validation mIoU of all of them into this .png, .svg or .pdf"
    parser.add_argument("--plot", metavar="FILE", help=what)
    options.add(parser, "--json", "--overwrite")


def run(args) -> int:
    from ..engine.overview import find_runs, overview

    plot = Path(args.plot) if args.plot else None
    if plot:
        from ..optional import check_installed

        if plot.suffix.lower() not in FORMATS:
            raise MXNetSegError(f"--plot {plot}: name a file that ends in {', '.join(FORMATS)}")
        check_installed("matplotlib", "--plot")
        check_free([plot], args.overwrite)
    options.check_json(args)
    rows = overview(find_runs([Path(folder) for folder in args.folders or ["runs"]]))
    print(_table(rows))
    if plot:
        from ..visual import plot_runs

        curves = {str(row.folder): row.folder / "metrics.csv" for row in rows if not row.problem}
        plot_runs({name: path for name, path in curves.items() if path.exists()}, plot)
    options.write_json(args, [row.to_dict() for row in rows])
    return 0


def _table(rows) -> str:
    from tabulate import tabulate

    readable = [row for row in rows if not row.problem]
    content = [
        [
            row.folder,
            _percent(row.best),
            _percent(row.last),
            f"{row.iteration:,} of {row.iterations:,}" if row.iterations else f"{row.iteration:,}",
            time.strftime("%Y-%m-%d %H:%M", time.localtime(row.when)),
            _differs(row.differs),
        ]
        for row in readable
    ]
    headers = ["run", "best", "last", "iterations", "saved", "differs in"]
    align = ("left", "right", "right", "right", "left", "left")
    lines = [tabulate(content, headers=headers, colalign=align, disable_numparse=True)] if readable else []
    lines += [f"{row.folder}: {row.problem}" for row in rows if row.problem]
    return "\n".join(lines)


def _percent(miou) -> str:
    return "-" if miou is None else f"{100 * miou:.2f}"


def _differs(keys) -> str:
    told = [f"{key}={'-' if value is None else value}" for key, value in keys.items()]
    more = f" and {len(told) - MOST} more" if len(told) > MOST else ""
    return " ".join(told[:MOST]) + more
