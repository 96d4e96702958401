"""mxnetseg data"""

import argparse
import os
import sys

from ..errors import MXNetSegError
from .options import add_quiet

HELP = "List, show, check and draw data sets."


def add_arguments(parser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="the data sets that are known by name")

    show = actions.add_parser("show", help="classes, label values and folders of a data set")
    _add_source(show)

    check = actions.add_parser("check", help="read every image and mask, and say what is wrong")
    _add_source(check)
    check.add_argument("--split", nargs="+", metavar="NAME", help="train and val when left out")
    add_quiet(check)

    draw = actions.add_parser("draw", help="draw street scenes with labels, the data set `streets`")
    draw.add_argument("root", metavar="DIR", help="folder to draw into; must be new or empty")
    draw.add_argument("--train", type=int, default=300, metavar="N", help="training scenes (300)")
    draw.add_argument("--val", type=int, default=60, metavar="N", help="validation scenes (60)")
    draw.add_argument("--size", type=int, nargs=2, default=(128, 192), metavar=("H", "W"), help="in pixels (128 192)")
    draw.add_argument("--seed", type=int, default=0, help="other seeds give other scenes (0)")
    add_quiet(draw)


def _add_source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="a data set of `data list`")
    parser.add_argument("--config", metavar="FILE", help="the data set of this recipe (your own folders)")
    parser.add_argument("--root", metavar="DIR", help="its folder; datasets/<name> when left out")


def run(args) -> int:
    return {"list": _list, "show": _show, "check": _check, "draw": _draw}[args.action](args)


def _list(args) -> int:
    from tabulate import tabulate

    from ..data.spec import TABLE, list_datasets

    rows = []
    for name in list_datasets():
        spec = TABLE.get(name)
        title, count = (spec.title, spec.num_classes) if spec else ("your own images and masks, see docs/data.md", "")
        rows.append([name, count, title, spec.license if spec else ""])
    print(tabulate(rows, headers=["name", "classes", "", "licence"]))
    return 0


def _config(args):
    from ..config import DataConfig, load_recipe

    if bool(args.name) == bool(args.config):
        raise MXNetSegError("name a data set or --config FILE, one of the two; `mxnetseg data list` lists them")
    data = load_recipe(args.config).data if args.config else DataConfig(name=args.name)
    return data.model_copy(update={"root": args.root}) if args.root else data


def _show(args) -> int:
    from tabulate import tabulate

    from ..data import get_spec

    data = _config(args)
    spec = get_spec(data)
    raw = {}
    for value, index in spec.raw_values().items():
        raw.setdefault(index, []).append(str(value))
    rows = [
        [index, name, ", ".join(raw.get(index, ["-"])), "#{:02x}{:02x}{:02x}".format(*colour)]
        for index, (name, colour) in enumerate(zip(spec.classes, spec.palette))
    ]
    print(f"{spec.name}: {spec.title}")
    print(tabulate(rows, headers=["index", "class", "in the mask", "colour"], disable_numparse=True))
    print(f"ignored label values: {', '.join(map(str, spec.ignore)) or 'none'}")
    print(f"images: {spec.images}/*{spec.image_suffix}.*   masks: {spec.masks}/*{spec.mask_suffix}{spec.mask_ending}")
    for line in spec.describe():
        print(f"  {line}")
    for title, text in (("get", spec.download), ("from", spec.homepage), ("note", spec.note)):
        if text:
            print(f"{title}: {text}")
    return 0


def _check(args) -> int:
    import numpy as np
    from tabulate import tabulate
    from tqdm import tqdm

    from ..data import open_dataset

    data = _config(args)
    problems = []
    for split in args.split or (data.train_split, data.val_split):
        dataset = open_dataset(data, split)
        counts = np.zeros(256, np.int64)
        sizes = set()
        for index in tqdm(range(len(dataset)), desc=split, unit="img", disable=args.quiet, leave=False):
            try:
                sample = dataset.load(index)
            except MXNetSegError as err:
                problems.append(str(err))
                continue
            counts += np.bincount(sample.label.ravel(), minlength=256)
            sizes.add(sample.label.shape)
        total = max(int(counts.sum()), 1)
        rows = [[name, f"{100 * n / total:.2f}"] for name, n in zip(dataset.classes, counts)]
        rows.append(["(ignored)", f"{100 * counts[255] / total:.2f}"])
        listed = ", ".join(f"{w}x{h}" for h, w in sorted(sizes)[:4]) + (" ..." if len(sizes) > 4 else "")
        print(f"{split}: {len(dataset)} images, {listed}")
        print(tabulate(rows, headers=["class", "pixels %"], disable_numparse=True, colalign=("left", "right")), "\n")
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    print(f"{len(problems)} problems" if problems else "all can be read")
    return 1 if problems else 0


def _draw(args) -> int:
    from ..data.streets import draw_streets

    if os.path.isdir(args.root) and os.listdir(args.root):
        raise MXNetSegError(f"{args.root} is not empty; name a new folder")
    draw_streets(
        args.root, {"train": args.train, "val": args.val}, tuple(args.size), args.seed, progress=not args.quiet
    )
    print(f"{args.train} + {args.val} scenes in {args.root}")
    return 0
