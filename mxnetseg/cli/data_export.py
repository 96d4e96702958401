"""mxnetseg data export"""

import shlex

from ..commands import command
from ..errors import MXNetSegError
from ..names import counted
from . import options
from .data_source import add_source, add_workers, source

HELP = "labels or predictions as annotations of COCO, LabelMe or GeoJSON (docs/annotations.md)"


def add_arguments(parser) -> None:
    add_source(parser)
    parser.add_argument("--split", metavar="NAME", help="the validation split when left out")
    formats = ("coco", "labelme", "geojson")
    parser.add_argument(
        "--to", dest="format", required=True, choices=formats, metavar="FORMAT", help="who is to read it"
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to make; must be new or empty")
    what = "class maps that were predicted, instead of the labels: a folder of `predict`, or label/ of `eval`"
    parser.add_argument("--predictions", metavar="DIR", help=what)
    what = "folder of the images that were predicted; those of the split when left out"
    parser.add_argument("--images", metavar="DIR", help=what)
    what = "coco: polygons, one object for every region; run lengths, one for every class, when left out"
    parser.add_argument("--polygons", action="store_true", help=what)
    what = "pixels by which polygons may be off, for fewer corners (0: exact)"
    parser.add_argument("--tolerance", type=float, default=0.0, metavar="PIXELS", help=what)
    add_workers(parser)
    options.add(parser, "--quiet")


def run(args) -> int:
    from ..annotations.export import export, labels_of, predictions_in
    from ..data import get_spec, open_dataset
    from ..data.workers import check_workers

    options.check_tolerance(args.tolerance)
    if args.images and not args.predictions:
        raise MXNetSegError("--images is for --predictions; the images of a data set are where it says")
    data = source(args)
    spec = get_spec(data)
    split = args.split or data.val_split
    if args.predictions:
        folder = args.images or _folder(open_dataset(data, split, labelled=False))
        labels = predictions_in(args.predictions, folder, spec.classes, data.max_pixels)
    else:
        labels = labels_of(open_dataset(data, split))
    objects = export(
        args.format,
        labels,
        spec.classes,
        spec.palette,
        args.out,
        name=split.replace("/", "_"),
        tolerance=args.tolerance,
        polygons=args.polygons,
        workers=check_workers(args.workers, "--workers"),
        progress=not args.quiet,
    )
    print(f"{counted(objects, 'object')} in {counted(len(labels[1]), 'image')}, as {args.format}, in {args.out}")
    if args.format != "geojson":
        back = f"data convert {args.format} --from {shlex.quote(args.out)} --to DIR --images DIR --rest ignore"
        print(f"the way back: {command(back)}")
    return 0


def _folder(dataset) -> str:
    import os

    return os.path.commonpath([path.parent for path in dataset.image_paths])
