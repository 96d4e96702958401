"""mxnetseg predict"""

from pathlib import Path
from typing import Callable, Dict

from ..errors import MXNetSegError
from ..names import counted, lookup
from ..saving import check_free
from . import options

HELP = "Predict class maps of images, and draw them."
KINDS = ("label", "color", "overlay", "panel", "confidence")
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
        type=str.lower,
        choices=KINDS,
        default=["label", "overlay"],
        metavar="KIND",
        help="label: class indices; color: class colours; overlay: colours on the image, with a legend; "
        "panel: image, prediction and overlay side by side (label overlay)",
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
    group = parser.add_argument_group("drawing", "color, overlay and panel")
    what = "of the class colours, 0 (the image alone) to 1 (the colours alone) (0.55)"
    group.add_argument("--opacity", type=float, metavar="X", help=what)
    what = "no legend; an overlay then has the image's own size"
    group.add_argument("--no-legend", action="store_true", help=what)
    group.add_argument("--classes", nargs="+", metavar="NAME", help="draw these classes alone, e.g. road car")
    options.add_inference(parser)
    options.add_dtype(parser)
    what = "folder of the data set it was trained on, for int8; datasets/<name> when left out"
    parser.add_argument("--root", metavar="DIR", help=what)
    options.add(parser, "--quiet")


def run(args) -> int:
    from tqdm import tqdm

    from ..config import Recipe, override_recipe
    from ..context import parse_contexts
    from ..engine import checkpoint
    from ..predictor import Predictor
    from ..visual import save_png
    from .demos import check_opacity
    from .pictures import find_pictures

    if len(args.ctx or ()) > 1:
        raise MXNetSegError(f"--ctx {' '.join(args.ctx)}: predict runs on one context; name one")
    if args.opacity is not None:
        check_opacity(args.opacity)
    _check_used(args)
    if args.tiles:
        from . import tiles

        return tiles.run(args)
    out = Path(args.out)
    images = find_pictures(args.images, out, args.recursive)
    targets = _targets(args, images)
    if not targets:
        print(f"nothing to do: what {counted(len(images), 'image')} would give is in {args.out} already")
        return 0
    check_free((path for kinds in targets.values() for path in kinds.values()), args.overwrite, REMEDIES)
    found = checkpoint.read(options.find_checkpoint(args.checkpoint))
    recipe = override_recipe(found.record.recipe or Recipe(), options.inference_overrides(args))
    data = options.calibration(args, _data(recipe, args))
    predictor = Predictor(found, parse_contexts(args.ctx)[0], recipe.eval, args.dtype, data, **_limit(args))
    draw, failed = _drawing(args, predictor), []
    for name, kinds in tqdm(targets.items(), unit="img", disable=args.quiet, leave=False):
        try:
            if not images[name].is_file():  # a link to nowhere; a pipe, which reading would wait for
                raise MXNetSegError(f"{images[name]}: is no file, nor a link to one")
            image = predictor.read(images[name])
            prediction = predictor(image)
        except MXNetSegError as err:  # the others can be predicted all the same
            failed.append(str(err))
            continue
        for kind, path in kinds.items():
            save_png(path, draw(kind, predictor.picture(image), prediction))
    there = len(images) - len(targets)
    print(
        f"{counted(len(targets) - len(failed), 'prediction')} in {args.out}: "
        + ", ".join(f"*_{kind}.png" for kind in args.save)
        + (f"; {there} were there already" if there else "")
    )
    return options.tell_broken(failed, "image")


def _targets(args, images: Dict[str, Path]) -> Dict[str, Dict[str, Path]]:
    """Name -> kind -> file to write."""
    targets = {name: {kind: Path(args.out) / f"{name}_{kind}.png" for kind in args.save} for name in images}
    if not args.skip_existing:
        return targets
    # a file that is there is whole, see saving.py
    missing = {name: {kind: p for kind, p in kinds.items() if not p.is_file()} for name, kinds in targets.items()}
    return {name: kinds for name, kinds in missing.items() if kinds}


def _check_used(args) -> None:
    """Raise MXNetSegError for an option that would have no effect."""
    framed, drawn = {"overlay", "panel"}, {"color", "overlay", "panel"}
    for option, value, kinds in (
        ("--opacity", args.opacity, framed),
        ("--no-legend", args.no_legend or None, framed),
        ("--classes", args.classes, drawn),
    ):
        if value is not None and not kinds & set(args.save):
            raise MXNetSegError(f"{option} has no effect without --save {' or '.join(sorted(kinds))}; leave it out")


def _limit(args):
    return {} if args.max_pixels is None else {"max_pixels": args.max_pixels}


def _data(recipe, args):
    """The data set a checkpoint was trained on, at --root."""
    data = recipe.data
    there = data.root and Path(data.root).is_dir()  # else that was another machine's folder
    return data.model_copy(update={"root": args.root or (data.root if there else "")})


def _drawing(args, predictor) -> Callable:
    """(kind, image, class map) -> picture, as the options of "drawing" say."""
    import numpy as np

    from .. import visual

    classes, palette = predictor.classes, predictor.palette
    opacity = visual.OPACITY if args.opacity is None else args.opacity
    drawn = np.arange(256).astype(np.uint8)  # class -> its place in the palette
    if args.classes:
        known = {name: index for index, name in enumerate(classes)}
        chosen = list(dict.fromkeys(lookup("class", name, known) for name in args.classes))
        classes, palette = [classes[index] for index in chosen], palette[chosen]
        drawn[:] = 255
        drawn[chosen] = range(len(chosen))

    def draw(kind: str, image, prediction):
        if kind == "label":
            return prediction
        shown = drawn[prediction]
        if kind == "color":
            return visual.colorize(shown, palette)
        if kind == "overlay":
            picture = visual.overlay(image, shown, palette, opacity)
            return picture if args.no_legend else visual.with_legend(picture, classes, palette)
        return visual.panel(image, None, shown, classes, palette, opacity, with_names=not args.no_legend)

    return draw
