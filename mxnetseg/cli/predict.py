"""mxnetseg predict"""

from pathlib import Path
from typing import Dict, List

from ..errors import MXNetSegError
from ..names import counted, lookup_all
from ..saving import check_free, write_file
from . import options

HELP = "Predict class maps of images, and draw them; probabilities, polygons and more."
# those of results.FORMS and OUTLINES, which take time to import; a test compares them
FORMS = {
    "label": "class indices",
    "color": "class colours",
    "overlay": "colours on the image, with a legend",
    "panel": "image, prediction and overlay side by side",
    "cutout": "the image where it shows --classes, transparent elsewhere",
    "probabilities": "of all classes, float16 in .npz",
    "confidence": "the greatest of them, as 16 bits",
    "entropy": "how undecided the network is, as 16 bits",
    "polygons": "outlines of regions",
    "rle": "COCO's run lengths",
}
OUTLINES = ("geojson", "coco", "labelme")
DEFAULT = ("label", "overlay")
Targets = Dict[str, Dict[str, Path]]  # name -> form -> file to write
REMEDIES = "name another place, or say --overwrite or --skip-existing"


def add_arguments(parser) -> None:
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="image files, or folders of them")
    what = "the images of all folders below, too; --out gets the same folders"
    parser.add_argument("--recursive", action="store_true", help=what)
    options.add(parser, "--checkpoint", required=True)
    parser.add_argument("--out", default="runs/predict", metavar="DIR", help="folder for the results (runs/predict)")
    parser.add_argument(
        "--save",
        nargs="+",
        action="extend",
        type=str.lower,
        choices=FORMS,
        metavar="FORM",
        help="; ".join(f"{form}: {what}" for form, what in FORMS.items()) + f" ({' '.join(DEFAULT)})",
    )
    group = parser.add_mutually_exclusive_group()
    options.add(group, "--overwrite")
    what = "leave out images whose results are there; for going on where a run was stopped"
    group.add_argument("--skip-existing", action="store_true", help=what)
    options.add(parser, "--ctx")
    what = "refuse files that declare more pixels (67 million: 8192x8192)"
    parser.add_argument("--max-pixels", type=int, metavar="N", help=what)
    what = "huge TIFF files, read and written by windows, which --crop and --stride set; goes on where it was stopped"
    parser.add_argument("--tiles", action="store_true", help=f"{what} (docs/tiles.md)")
    _add_look(parser.add_argument_group("what is saved"))
    options.add_inference(parser)
    options.add_dtype(parser)
    what = "folder of the data set it was trained on, for int8; datasets/<name> when left out"
    parser.add_argument("--root", metavar="DIR", help=what)
    options.add(parser, "--quiet")


def _add_look(group) -> None:
    what = "show, cut out, outline these classes alone, e.g. road car; label files hold all"
    group.add_argument("--classes", nargs="+", metavar="NAME", help=what)
    what = "of the class colours, 0 (the image alone) to 1 (the colours alone) (0.55)"
    group.add_argument("--opacity", type=float, metavar="X", help=what)
    what = "no legend; an overlay then has the image's own size"
    group.add_argument("--no-legend", action="store_true", default=None, help=what)
    what = "label files hold class indices, or the values of the data set's own masks (index)"
    group.add_argument("--labels-as", choices=("index", "dataset"), help=what)
    what = f"format of polygons: {', '.join(OUTLINES)} (geojson)"
    group.add_argument("--polygons", choices=OUTLINES, metavar="FORMAT", help=what)
    what = "pixels by which polygons may be off, for fewer corners; 0: exact (1)"
    group.add_argument("--tolerance", type=float, metavar="PIXELS", help=what)


def run(args) -> int:
    from ..config import Recipe, override_recipe
    from ..context import parse_contexts
    from ..engine import checkpoint
    from ..engine.ledger import Ledger, maker_of
    from ..predictor import Predictor
    from ..progress import progress_bar
    from ..results import FORMS, encode, ending
    from .pictures import find_pictures

    if len(args.ctx or ()) > 1:
        raise MXNetSegError(f"--ctx {' '.join(args.ctx)}: predict runs on one context; name one")
    forms = list(dict.fromkeys(args.save or DEFAULT))
    _check_look(args, forms)
    if args.tiles:
        from . import tiles

        return tiles.run(args)
    out = Path(args.out)
    images = find_pictures(args.images, out, args.recursive)
    targets = _targets(args, forms, images)
    paths = (path for files in targets.values() for path in files.values())
    check_free(paths, args.overwrite or args.skip_existing, REMEDIES)
    found = checkpoint.read(options.find_checkpoint(args.checkpoint))
    recipe = override_recipe(found.record.recipe or Recipe(), options.inference_overrides(args))
    calibration = options.calibration(args, options.data_at(recipe, args.root))
    maker, ledger = maker_of(found, recipe.eval, args.dtype, calibration), Ledger(out)
    there = _there(targets) if args.skip_existing else []
    looks = _looks(args, targets)
    unknown = ledger.check(there, maker, looks)
    targets = _without(targets, there)
    if not targets:
        print(f"nothing to do: what {counted(len(images), 'image')} would give is in {out} already{_of(unknown)}")
        return 0
    predictor = Predictor(found, parse_contexts(args.ctx)[0], recipe.eval, args.dtype, calibration, **_limit(args))
    look, failed = _look(args, found, predictor), []
    for name, files in progress_bar(targets.items(), unit="img", shown=not args.quiet):
        try:
            if not images[name].is_file():  # a link to nowhere; a pipe, which reading would wait for
                raise MXNetSegError(f"{images[name]}: is no file, nor a link to one")
            certain = any(FORMS[form].certain for form in files)
            result = predictor.result(images[name], certain)._replace(name=name)
        except MXNetSegError as err:  # the others can be predicted all the same
            failed.append(str(err))
            continue
        for form, path in files.items():
            write_file(path, encode(form, result, look), sync=False)
        ledger.note(images[name], files.values(), maker, {path: looks[path] for path in files.values()})
    skipped = len(images) - len(targets)
    print(
        f"{counted(len(targets) - len(failed), 'prediction')} in {out}: "
        + ", ".join(f"*_{form}{ending(form, args.polygons or OUTLINES[0])}" for form in forms)
        + (f"; {skipped} were there already{_of(unknown)}" if skipped else "")
    )
    return options.tell_broken(failed, "image")


def _of(unknown: List[Path]) -> str:
    return f" ({counted(len(unknown), 'file')} of a checkpoint that is not known)" if unknown else ""


def _targets(args, forms: List[str], images: Dict[str, Path]) -> Targets:
    from ..results import ending

    endings = {form: ending(form, args.polygons or OUTLINES[0]) for form in forms}
    return {name: {form: Path(args.out) / f"{name}_{form}{endings[form]}" for form in forms} for name in images}


def _looks(args, targets: Targets) -> Dict[Path, str]:
    """File -> the options that change what is drawn into it, but for those that say what is so anyway."""
    from .. import visual
    from ..results import FORMS, TOLERANCE

    usual = {"opacity": visual.OPACITY, "labels_as": "index", "polygons": OUTLINES[0], "tolerance": TOLERANCE}

    def look(form: str) -> str:
        names = {option: option[2:].replace("-", "_") for option in FORMS[form].options}
        given = {option: getattr(args, name) for option, name in names.items()}
        told = {option: value for option, value in given.items() if value not in (None, usual.get(names[option]))}
        words = [
            [option, *([] if value is True else value if isinstance(value, list) else [value])]
            for option, value in told.items()
        ]
        return " ".join(str(word) for each in words for word in each)

    drawn = {form: look(form) for files in targets.values() for form in files}
    return {path: drawn[form] for files in targets.values() for form, path in files.items()}


def _there(targets: Targets) -> List[Path]:
    """The files that are there; they are whole, see saving.py."""
    return [path for files in targets.values() for path in files.values() if path.is_file()]


def _without(targets: Targets, paths: List[Path]) -> Targets:
    done = set(paths)
    left = {name: {form: p for form, p in files.items() if p not in done} for name, files in targets.items()}
    return {name: files for name, files in left.items() if files}


def _check_look(args, forms: List[str]) -> None:
    """Raise MXNetSegError for an option that would have no effect, or whose value is wrong."""
    from ..results import FORMS, check
    from .demos import check_opacity

    for option in ("--opacity", "--no-legend", "--classes", "--labels-as", "--polygons", "--tolerance"):
        heeding = [form for form, facts in FORMS.items() if option in facts.options]
        if getattr(args, option[2:].replace("-", "_")) is not None and not {*heeding} & {*forms}:
            raise MXNetSegError(f"{option} has no effect without --save {' or '.join(heeding)}; leave it out")
    if args.opacity is not None:
        check_opacity(args.opacity)
    if args.tolerance is not None:
        options.check_tolerance(args.tolerance)
    check(forms, bool(args.classes))


def _look(args, found, predictor):
    """What the options say of the results."""
    from .. import visual
    from ..results import TOLERANCE, Look

    known = {name: index for index, name in enumerate(predictor.classes)}
    return Look(
        predictor.classes,
        predictor.palette,
        lookup_all("class", args.classes, known) if args.classes else None,
        visual.OPACITY if args.opacity is None else args.opacity,
        not args.no_legend,
        _values(found) if args.labels_as == "dataset" else None,
        args.polygons or OUTLINES[0],
        TOLERANCE if args.tolerance is None else args.tolerance,
        Path(args.out),
    )


def _values(found):
    """What the masks of the data set hold that a checkpoint was trained on."""
    from ..data import get_spec
    from ..results import label_values

    record, option = found.record, "--labels-as dataset"
    if record.recipe is None:
        raise MXNetSegError(f"{option}: checkpoint {found.path} does not say what it was trained on; leave it out")
    spec = get_spec(record.recipe.data)
    if list(spec.classes) != record.feeding.classes:
        raise MXNetSegError(
            f"{option}: {spec.name} has other classes than checkpoint {found.path} was trained on; leave it out"
        )
    return label_values(spec, option)


def _limit(args):
    return {} if args.max_pixels is None else {"max_pixels": args.max_pixels}
