"""mxnetseg data stats"""

from ..names import counted
from . import options
from .data_source import add_source, add_workers, check_free, source

HELP = "count pixels by class, mean and deviation, sizes; suggest class weights"


def add_arguments(parser) -> None:
    add_source(parser)
    parser.add_argument("--split", metavar="NAME", help="the training split when left out")
    what = "which of the suggested weights the YAML has: median_frequency or inverse_log (median_frequency)"
    choices = ("median_frequency", "inverse_log")
    parser.add_argument("--weights", choices=choices, default=choices[0], metavar="KIND", help=what)
    parser.add_argument("--plot", metavar="FILE", help="draw it all into this PNG (needs matplotlib)")
    parser.add_argument("--yaml", metavar="FILE", help="write the YAML to this file, too")
    add_workers(parser)
    options.add(parser, "--json", "--quiet")


def run(args) -> int:
    from ..data import open_dataset
    from ..data.stats import plot, snippet, stats
    from ..data.workers import check_workers
    from ..optional import check_installed
    from ..saving import write_file

    check_free(args.json, args.plot, args.yaml)
    if args.plot:
        check_installed("matplotlib", "--plot")
    data = source(args)
    dataset = open_dataset(data, args.split or data.train_split)
    report = stats(dataset, check_workers(args.workers, "--workers"), progress=not args.quiet)
    _print(report)
    text = snippet(report, args.weights)
    print(f"for a recipe:\n\n{text}", end="")
    options.write_json(args, report)
    if args.yaml:
        write_file(args.yaml, text.encode())
    if args.plot:
        plot(report, args.plot)
    return 0


def _print(report: dict) -> None:
    from tabulate import tabulate

    weights = report["class_weights"]
    rows = [
        [
            name,
            row["pixels"],
            f"{100 * row['share']:.2f}",
            row["images"],
            f"{weights['median_frequency'][index]:.4g}",
            f"{weights['inverse_log'][index]:.4g}",
        ]
        for index, (name, row) in enumerate(report["classes"].items())
    ]
    rows.append(["(ignored)", report["ignored"]["pixels"], f"{100 * report['ignored']['share']:.2f}", "", "", ""])
    headers = ["class", "pixels", "%", "images", "median frequency", "inverse log"]
    print(tabulate(rows, headers=headers, disable_numparse=True, colalign=("left", *["right"] * 5)))
    sizes = [f"{size} ({count})" for size, count in report["sizes"].items()]
    more = f" and {len(sizes) - 4} more sizes" if len(sizes) > 4 else ""
    print(f"{report['split']}: {counted(report['images'], 'image')}, {', '.join(sizes[:4])}{more}")
    print(f"mean {report['mean']}, std {report['std']}\n")
