"""mxnetseg data convert"""

import shlex
from pathlib import Path

from ..commands import command
from ..errors import MXNetSegError
from ..names import counted
from . import options
from .data_source import add_workers, check_free

HELP = "annotations of LabelMe, COCO, CVAT, VOC's XML, or masks of colours, as masks (docs/annotations.md)"
FORMATS = ("coco", "colors", "cvat", "labelme", "voc-xml")  # annotations.convert.FORMATS, which to import takes a while


def add_arguments(parser) -> None:
    parser.add_argument("format", metavar="FORMAT", choices=FORMATS, help="who wrote the annotations")
    parser.add_argument("--from", dest="source", required=True, metavar="DIR", help="folder of the annotations")
    parser.add_argument(
        "--to", dest="target", required=True, metavar="DIR", help="folder to make; must be new or empty"
    )
    parser.add_argument("--images", metavar="DIR", help="folder of the images; that of the annotations when left out")
    what = "annotation files below --from; all *.json, or *.xml, when left out"
    parser.add_argument("--annotations", default="", metavar="PATTERN", help=what)
    what = "colors: which colour is which class; a recipe with data.colors, or lines such as 128 64 128 road"
    parser.add_argument("--colors", metavar="FILE", help=what)
    names = parser.add_argument_group("names")
    what = "classes in label order; or a recipe (.yaml) or a list (.txt) that has them; the labels when left out"
    names.add_argument("--classes", nargs="+", default=[], metavar="NAME", help=what)
    what = "labels that are other classes, or ignore: unlabelled"
    names.add_argument("--rename", nargs="+", action="extend", default=[], metavar="LABEL=CLASS", help=what)
    what = "labels whose objects are left out"
    names.add_argument("--drop", nargs="+", action="extend", default=[], metavar="LABEL", help=what)
    what = "class of what nothing covers, or ignore; background when left out, or ignore where --classes has none"
    names.add_argument("--rest", metavar="NAME", help=what)
    shapes = parser.add_argument_group("shapes")
    what = "what is seen where objects overlap: last, first, small, or refuse: an error; the format's own when left out"
    shapes.add_argument("--overlap", choices=("last", "first", "small", "refuse"), metavar="WHICH", help=what)
    what = "COCO's crowds: of their class (class), unlabelled (ignore), or left out (drop)"
    shapes.add_argument("--crowd", choices=("class", "ignore", "drop"), default="class", metavar="HOW", help=what)
    shapes.add_argument("--boxes", action="store_true", help="draw boxes as filled rectangles: coarse masks")
    shapes.add_argument(
        "--line-width", type=float, metavar="PIXELS", help="draw lines that wide; refused when left out"
    )
    what = "kinds of shapes to leave out: box, line, point, cuboid, skeleton, ..."
    shapes.add_argument("--skip", nargs="+", action="extend", default=[], metavar="KIND", help=what)
    what = "label of shapes that are cut out of the objects with their group_id (LabelMe, CVAT)"
    shapes.add_argument("--hole", metavar="LABEL", help=what)
    what = "images without annotations become masks of the rest alone; left out otherwise"
    parser.add_argument("--keep-empty", action="store_true", help=what)
    parser.add_argument("--max-pixels", type=int, metavar="N", help="larger images are refused (8192 x 8192)")
    what = "which way round images were annotated that EXIF turns, where sizes don't tell: upright or raw"
    parser.add_argument("--exif", choices=("upright", "raw"), metavar="WAY", help=what)
    add_workers(parser)
    options.add(parser, "--json", "--quiet")


def run(args) -> int:
    from ..annotations.convert import convert
    from ..annotations.names import Wishes
    from ..annotations.picture import Kinds
    from ..config.schema import MAX_PIXELS
    from ..data.workers import check_workers

    check_free(args.json)
    if bool(args.colors) != (args.format == "colors"):
        raise MXNetSegError(
            "--colors FILE says which colour is which class, for `data convert colors` alone, which needs it"
        )
    if args.line_width is not None and not 0 < args.line_width <= 10_000:
        raise MXNetSegError(f"--line-width {args.line_width:g}: a width in pixels, above 0")
    report = convert(
        args.format,
        args.source,
        args.target,
        images=args.images,
        annotations=args.annotations,
        wishes=Wishes(args.classes, _pairs(args.rename), args.drop, args.rest),
        kinds=Kinds(args.boxes, args.line_width, args.skip),
        hole=args.hole,
        colors_file=args.colors,
        overlap=args.overlap,
        crowd=args.crowd,
        keep_empty=args.keep_empty,
        exif=args.exif,
        max_pixels=args.max_pixels or MAX_PIXELS,
        workers=check_workers(args.workers, "--workers"),
        progress=not args.quiet,
    )
    options.write_json(args, report)
    _print(report)
    recipe = Path(args.target) / "data.yaml"
    print(f"{recipe}, for a recipe:\n\n{recipe.read_text(encoding='utf-8')}")
    splits = " ".join(shlex.quote(split) for split in report["splits"])
    print(f"next: {command(f'data check --config {shlex.quote(str(recipe))} --split {splits}')}")
    if list(report["splits"]) == ["all"]:
        print(f"then: {command(f'data split --config {shlex.quote(str(recipe))} --val 0.2')}")
    return 0


def _print(report: dict) -> None:
    from tabulate import tabulate

    rows = [[name, f"{100 * row['share']:.2f}", row["images"]] for name, row in report["classes"].items()]
    align = ("left", "right", "right")
    print(tabulate(rows, headers=["class", "pixels %", "images"], disable_numparse=True, colalign=align))
    splits = ", ".join(f"{split} {count}" for split, count in report["splits"].items())
    print(f"{counted(report['images'], 'image')} ({splits})")
    print(f"{100 * report['rest']['share']:.2f} % of the pixels are covered by nothing: {report['rest']['name']}")
    if report["hidden"]:
        print(f"note: on {counted(report['hidden'], 'pixel')} an object lies on one of another class")
    for note in report["notes"]:
        print(f"note: {note}")


def _pairs(texts) -> dict:
    pairs = {}
    for text in texts:
        label, equals, name = text.rpartition("=")
        if not equals or not label or not name or label in pairs:
            raise MXNetSegError(f"--rename {text}: write it as LABEL=CLASS, every label once")
        pairs[label] = name
    return pairs
