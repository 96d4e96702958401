"""mxnetseg data"""

import os
import shlex
import sys
from collections import defaultdict
from pathlib import Path

from ..commands import command, typed
from ..errors import MXNetSegError
from ..names import counted
from . import add_import, data_convert, data_export, data_split, data_stats, options
from .data_source import add_source, add_workers, source

HELP = "List, show, prepare, check, browse, draw, convert, export, split and count data sets."
OTHERS = {"convert": data_convert, "export": data_export, "split": data_split, "stats": data_stats}


def add_arguments(parser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    add_import(actions.add_parser("list", help="the data sets that are known by name"))

    show = actions.add_parser("show", help="classes, label values and folders of a data set")
    add_source(show)

    prepare = actions.add_parser("prepare", help="make what the table expects from what was downloaded")
    prepare.add_argument("name", metavar="NAME", help="a data set of `data list`")
    prepare.add_argument("--from", dest="source", required=True, metavar="DIR", help="folder of the unpacked downloads")
    prepare.add_argument("--to", dest="target", metavar="DIR", help="folder to make; datasets/<name> when left out")
    add_workers(prepare)
    options.add(prepare, "--quiet")

    check = actions.add_parser("check", help="read every image and mask, and say what is wrong")
    add_source(check)
    check.add_argument("--split", nargs="+", metavar="NAME", help="the official splits that are there when left out")
    add_workers(check)
    options.add(check, "--json", "--quiet")

    browse = actions.add_parser("browse", help="draw samples as they are and as training sees them")
    add_source(browse)
    browse.add_argument("--split", metavar="NAME", help="the training split when left out")
    browse.add_argument("--out", metavar="FILE", help="PNG to write; browse_<name>.png when left out")
    browse.add_argument("--samples", type=int, default=6, metavar="N", help="rows, spread over the split (6)")
    browse.add_argument("--seed", type=int, default=0, help="other seeds, other crops (0)")

    draw = actions.add_parser("draw", help="draw street scenes with labels, the data set `streets`")
    draw.add_argument("root", metavar="DIR", help="folder to draw into; must be new or empty")
    draw.add_argument("--train", type=int, default=300, metavar="N", help="training scenes (300)")
    draw.add_argument("--val", type=int, default=60, metavar="N", help="validation scenes (60)")
    draw.add_argument("--size", type=int, nargs=2, default=(128, 192), metavar=("H", "W"), help="in pixels (128 192)")
    draw.add_argument("--seed", type=int, default=0, help="other seeds give other scenes (0)")
    options.add(draw, "--quiet")

    for name, module in OTHERS.items():
        module.add_arguments(actions.add_parser(name, help=module.HELP))


def run(args) -> int:
    actions = dict(list=_list, show=_show, prepare=_prepare, check=_check, browse=_browse, draw=_draw)
    return OTHERS[args.action].run(args) if args.action in OTHERS else actions[args.action](args)


def _list(args) -> int:
    from tabulate import tabulate

    from ..data import list_datasets
    from ..data.spec import TABLE

    rows = []
    for problem in TABLE.load_all():
        print(f"warning: {problem}", file=sys.stderr)
    for name in list_datasets():
        spec = TABLE.get(name)
        if spec is None and name != "folder":
            continue  # of a broken plugin, which was named
        title, count = (spec.title, spec.num_classes) if spec else ("your own images and masks, see docs/data.md", "")
        rows.append([name, count, typed(title), spec.license if spec else ""])
    print(tabulate(rows, headers=["name", "classes", "", "licence"]))
    return 0


def _show(args) -> int:
    from tabulate import tabulate

    from ..data import get_spec

    data = source(args)
    spec = get_spec(data)
    raw = defaultdict(list)
    for value, index in spec.raw_values().items():
        raw[index].append(spec.value_text(value))
    rows = [
        [index, name, ", ".join(raw[index]) or "-", "#{:02x}{:02x}{:02x}".format(*colour)]
        for index, (name, colour) in enumerate(zip(spec.classes, spec.palette))
    ]
    print(f"{spec.name}: {typed(spec.title)}")
    print(tabulate(rows, headers=["index", "class", "in the mask", "colour"], disable_numparse=True))
    ignored = ", ".join(map(spec.value_text, spec.ignore)) or "none"
    print(f"ignored {'colours' if spec.colours else 'label values'}: {ignored}")
    for number, layout in enumerate(spec.describe()):
        print("or:" if number else "layout:", *layout, sep="\n  ")
    for title, text in (("get", spec.download), ("from", spec.homepage), ("note", spec.note)):
        if text:
            print(f"{title}: {typed(text)}")
    return 0


def _prepare(args) -> int:
    from ..config import DataConfig
    from ..data import get_spec
    from ..data.prepare import prepare
    from ..data.workers import check_workers

    workers = check_workers(args.workers, "--workers")
    name = args.name if args.name == "folder" else get_spec(DataConfig(name=args.name)).name
    target = args.target or str(Path("datasets") / name)
    written, kept = prepare(name, args.source, target, workers, progress=not args.quiet)
    print(f"{name}: {written} files written to {target}" + (f", {kept} were there" if kept else ""))
    print(f"next: {command(f'data check {name} --root {shlex.quote(target)}')}")
    return 0


def _check(args) -> int:
    from ..config import load_recipe
    from ..data.check import check
    from ..data.diagnosis.gate import weights_of
    from ..data.workers import check_workers

    data, workers = source(args), check_workers(args.workers, "--workers")
    weights = weights_of(load_recipe(args.config).loss) if args.config else None
    report = check(data, args.split, workers, progress=not args.quiet, weights=weights)
    for split, found in report["splits"].items():
        _print_split(split, found)
    for note in report["notes"]:
        print(f"note: {typed(note)}")
    for problem in report["problems"]:
        print(f"error: {typed(problem)}", file=sys.stderr)
    options.write_json(args, report)
    print(counted(len(report["problems"]), "problem") if report["problems"] else "all can be read, no problems")
    return 1 if report["problems"] else 0


def _print_split(split: str, found: dict) -> None:
    from tabulate import tabulate

    sizes = [f"{size} ({count})" if len(found["sizes"]) > 1 else size for size, count in found["sizes"].items()]
    listed = ", ".join(sizes[:4]) + (f" and {len(sizes) - 4} more sizes" if len(sizes) > 4 else "")
    print(f"{split}: {counted(found['images'], 'image')}, {listed}")
    if not found["labelled"]:
        print("  no public labels\n")
        return
    rows = [[name, row["share"], row["images"]] for name, row in found["classes"].items()]
    rows.append(["(ignored)", found["ignored"]["share"], ""])
    most = max(1e-9, *(share for _, share, _ in rows))
    table = [
        [name, f"{100 * share:.2f}" if share or not images else "-", images, "#" * round(20 * share / most)]
        for name, share, images in rows
    ]
    headers, align = ["class", "pixels %", "images", ""], ("left", "right", "right", "left")
    print(tabulate(table, headers=headers, disable_numparse=True, colalign=align), "\n")


def _browse(args) -> int:
    from ..data.browse import contact_sheet
    from ..visual import save_png

    if args.samples < 1:
        raise MXNetSegError("--samples has to be 1 or more")
    data = source(args)
    out = Path(args.out or f"browse_{data.name}.png")
    if out.suffix.lower() != ".png":
        raise MXNetSegError(f"--out {out}: the sheet is a PNG; name a file that ends with .png")
    save_png(out, contact_sheet(data, args.split, args.samples, args.seed))
    print(out)
    return 0


def _draw(args) -> int:
    from ..data.streets import draw_streets

    if os.path.isdir(args.root) and os.listdir(args.root):
        raise MXNetSegError(f"{args.root} is not empty; name a new folder")
    scenes = {"train": args.train, "val": args.val}
    draw_streets(args.root, scenes, tuple(args.size), args.seed, progress=not args.quiet)
    print(f"{args.train} + {args.val} scenes in {args.root}")
    return 0
